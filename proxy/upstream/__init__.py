"""The way to the providers: client, endpoint, pool, retry (and later gate, balance, breaker)."""
