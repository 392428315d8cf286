"""The shelf in hot state: one for all workers and sidecars. What is invalidated there is marked, for it has no list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from plugins.cache import marks
from plugins.cache.entry import Entry, Filter
from plugins.cache.seal import Seal
from proxy.ports import Store

MARKS: Final = "cache:invalidated"
TRIES: Final = 8
"""Writes of the marks that others write as well."""

Kept = tuple[bytes, Entry, float]
"""Key, entry, and for how many seconds it may be of use."""


class Shared:
    """On `kit.store`. Raises StoreDown where that is away."""

    def __init__(self, store: Store, seal: Seal) -> None:
        self._store = store
        self._seal = seal

    async def get(self, key: bytes) -> Entry | None:
        return self._seal.open(key, await self._store.get(_place(key)))

    async def put(self, kept: Sequence[Kept]) -> None:
        for key, entry, lives_s in kept:
            await self._store.put(_place(key), self._seal.close(key, entry), lives_s)

    async def forget(self, wanted: Filter) -> int:
        """Marks them; nobody knows how many there are."""
        for _ in range(TRIES):
            before = await self._store.get(MARKS)
            known = tuple(marks.read(before))
            if wanted in known or await self._store.put_if(
                MARKS, marks.written(marks.bounded((*known, wanted))), before
            ):
                break
        return 0

    async def marks(self) -> list[Filter]:
        """What was invalidated, by anybody."""
        return marks.read(await self._store.get(MARKS))

    async def stop(self) -> None:
        """Nothing is open."""


def _place(key: bytes) -> str:
    return f"cache:{key.hex()}"
