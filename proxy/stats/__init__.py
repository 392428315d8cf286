"""Mathematics only: pure functions over numbers."""
