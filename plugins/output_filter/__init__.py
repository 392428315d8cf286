"""The output filter: what an answer must not carry out, found and taken out while it streams."""
