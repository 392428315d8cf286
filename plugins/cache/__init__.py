"""Cache: gives the known answer to identical deterministic calls, for an hour; those under way share one call."""
