"""What may be configured, where values come from, what is wrong with them; for control and the command line only."""
