"""Ratelimit: answers a call over a limit or budget with 429. There are none until some are set, here or for a key."""
