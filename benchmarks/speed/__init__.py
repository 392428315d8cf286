"""What a call costs: a fast provider, a fast caller, the relays between them, and what is read from them."""
