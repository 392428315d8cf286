"""What guards of one process tell each other about texts of earlier turns, through the memory of segments."""

from __future__ import annotations

REMOTE = "injection_remote"
"""The guard that asks a classifier elsewhere."""
REFUSED = "refused"
"""Under this name it remembers what it refused: in overlap it cannot change a call any more, so `injection`, which
stands above it, replaces such texts when they come again."""
