"""Where things are kept: hot state in memory or Redis, history and audit trail in SQLite."""

from __future__ import annotations

import importlib
from typing import Protocol, cast

from proxy.ports import Clock, Store
from proxy.store.memory import MemoryStore

__all__ = ["OpenStore", "open_store"]


class OpenStore(Store, Protocol):
    """A store that is to be closed again. `start` may be left out: the first use then pays for connecting."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


def open_store(address: str, clock: Clock) -> OpenStore:
    """The hot state behind the option `store`: `memory` and `auto` in this process, any other address is Redis."""
    if address in ("auto", "memory"):
        return MemoryStore(clock)
    # Loaded here, so that a worker without Redis does not carry the client.
    redis = importlib.import_module("proxy.store.redis")
    return cast("OpenStore", redis.RedisStore(address))
