"""What operators set for embeddings: EmbeddingsOptions."""

from __future__ import annotations

from dataclasses import dataclass

MOST_TTL_S = 31_536_000


@dataclass(frozen=True, slots=True)
class EmbeddingsOptions:
    """Vectors that are kept, and calls that are put together."""

    ttl_s: float = 86_400.0
    """How long a vector is given again; 0: none is kept, and nothing is put together."""
    memory_bytes: int = 64 * 1024 * 1024
    """Memory for vectors, in each worker. What stands under the plugin itself counts, not an agent's."""
    window_ms: float = 3.0
    """How long a call with few inputs waits for others that it can be put together with; 0: not at all."""
    few: int = 8
    """Calls with at most so many inputs are put together."""
    most: int = 256
    """Inputs of calls that were put together, at most."""
    frequent: int = 1024
    """Inputs whose frequency is watched, for the report; 0: none."""

    def __post_init__(self) -> None:
        if not 0 <= self.ttl_s <= MOST_TTL_S:
            raise ValueError(f"ttl_s is a number of seconds from 0 to {MOST_TTL_S} (a year)")
        if not 0 <= self.window_ms <= 1000:
            raise ValueError("window_ms is between 0 and 1000")
        if self.memory_bytes < 64 * 1024:
            raise ValueError("memory_bytes is 65536 at least")
        if not 1 <= self.few <= self.most <= 2048:
            raise ValueError("few is at least 1 and at most `most`, which is at most 2048")
        if not 0 <= self.frequent <= 1_000_000:
            raise ValueError("frequent is between 0 and 1,000,000")
