"""A bounded queue of changed keys between a store and whoever watches it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

LIMIT = 1_000


class Watch:
    """Gives the prefix itself once at the beginning and whenever changes may have been missed (read everything under it
    anew), else the keys that changed. Keys that wait are told once; past `LIMIT` of them the prefix stands for all."""

    def __init__(self, prefix: str, registry: list[Watch] | None = None) -> None:
        self.prefix = prefix
        self._registry = registry
        self._waiting: OrderedDict[str, None] = OrderedDict({prefix: None})
        self._ready = asyncio.Event()
        self._ready.set()
        self._ended = False

    def tell(self, key: str) -> None:
        if not key.startswith(self.prefix):
            return
        if len(self._waiting) >= LIMIT:
            self._waiting.clear()
            key = self.prefix
        self._waiting[key] = None
        self._ready.set()

    def end(self) -> None:
        self._ended = True
        self._ready.set()
        if self._registry is not None and self in self._registry:
            self._registry.remove(self)

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> str:
        while not self._waiting:
            if self._ended:
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()
        key, _ = self._waiting.popitem(last=False)
        return key

    async def aclose(self) -> None:
        self.end()
