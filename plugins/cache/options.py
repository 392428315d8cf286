"""What operators set for the cache: CacheOptions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from plugins.cache.semantic.options import SemanticOptions

Say = Literal["no-cache", "no-store", "ttl"]
MOST_TTL_S = 31_536_000


@dataclass(frozen=True, slots=True)
class CacheOptions:
    """Which answers are given again, for how long, and where they are kept."""

    cacheable: Literal["deterministic", "all"] = "deterministic"
    """Which calls may share an answer: those with temperature 0, with a seed, or of embeddings; or all that leave no
    state at the provider. Calls under way at the same time share one upstream call by the same rule."""
    ttl_s: float = 3600.0
    """How long an answer is given again; 0: the cache is off."""
    strategy: Literal["lru", "lfu"] = "lru"
    """What goes first when memory is full: what was not used for longest, or what is used least (W-TinyLFU)."""
    memory_bytes: int = 64 * 1024 * 1024
    """Memory for answers, in each worker. What stands under the plugin itself counts, not an agent's."""
    entry_bytes: int = 1024 * 1024
    """Largest answer that is kept."""
    shared: bool | None = None
    """Keep answers in hot state as well, for all workers and sidecars; left out: where that is a Redis or Valkey.
    Entries are encrypted. What stands under the plugin itself counts, not an agent's."""
    sqlite: str | bool = False
    """Keep answers on disk as well, so that they outlive a restart: true for a file in the data directory, or a path.
    Entries are encrypted. What stands under the plugin itself counts, not an agent's."""
    sqlite_bytes: int = 1024 * 1024 * 1024
    """How large that may grow; what was not used for longest goes first."""
    retry_s: float = 120.0
    """An identical call in the same `x-weir-session`, so soon after its answer, is a retry and is asked anew; 0: it is
    answered like any other."""
    stale_if_error_s: float = 0.0
    """When the provider fails, an answer that is over its time by at most this is given, with a `warning`; 0: never.
    Where it is set, streams start only when their first content is there."""
    callers: tuple[Say, ...] = ("no-cache", "no-store", "ttl")
    """What callers may say in `x-weir-cache`; the rest is not heard."""
    most_ttl_s: float = 86_400.0
    """The longest `ttl` that a caller may ask for."""
    semantic: SemanticOptions = field(default_factory=SemanticOptions)
    """Answers to calls that ask the same in other words."""

    def __post_init__(self) -> None:
        for name in ("ttl_s", "most_ttl_s", "retry_s", "stale_if_error_s"):
            if not 0 <= getattr(self, name) <= MOST_TTL_S:
                raise ValueError(f"{name} is a number of seconds from 0 to {MOST_TTL_S} (a year)")
        for name, least in (("memory_bytes", 64 * 1024), ("entry_bytes", 1024), ("sqlite_bytes", 1024 * 1024)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is a number of bytes, {least} at least")
