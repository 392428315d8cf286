"""Where things are kept: hot state in memory or Redis, history and audit trail in SQLite."""
