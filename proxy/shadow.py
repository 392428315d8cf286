"""The store as plugins see it: what a shadow hook writes goes to a namespace of its own."""

from __future__ import annotations

from asyncio import Future
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from proxy.chain import SHADOW
from proxy.ports import Allowance, Bucket, Store, Taken

PREFIX = "shadow:"


@dataclass(frozen=True, slots=True)
class _Renamed:
    key: str
    capacity: int
    refill_per_s: float
    ttl_s: float = 0.0
    slots: bool = False


class ShadowStore:
    """Passes everything on; while a shadow hook runs, under keys that enforcing calls never read."""

    def __init__(self, store: Store, *, alone: bool = False) -> None:
        """`alone`: whatever the store could, no other process sees it."""
        self._store = store
        self._alone = alone

    @property
    def shared(self) -> bool:
        """Whether other processes see what is written here."""
        return not self._alone and not getattr(self._store, "at_once", False)

    async def get(self, key: str) -> bytes | None:
        return await self._store.get(_own(key))

    async def put(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        await self._store.put(_own(key), value, ttl_s)

    async def put_all(self, values: Mapping[str, bytes], ttl_s: float | None = None) -> None:
        await self._store.put_all({_own(key): value for key, value in values.items()}, ttl_s)

    async def put_if(self, key: str, value: bytes, expected: bytes | None, ttl_s: float | None = None) -> bool:
        return await self._store.put_if(_own(key), value, expected, ttl_s)

    async def delete(self, key: str) -> bool:
        return await self._store.delete(_own(key))

    async def add(self, key: str, amount: int, ttl_s: float | None = None) -> int:
        return await self._store.add(_own(key), amount, ttl_s)

    async def take(self, buckets: Sequence[Bucket], amounts: Sequence[int]) -> Taken:
        if SHADOW.get():
            buckets = [_Renamed(PREFIX + one.key, one.capacity, one.refill_per_s) for one in buckets]
        return await self._store.take(buckets, amounts)

    def reserve(self, buckets: Sequence[Allowance], amounts: Sequence[int]) -> Taken | Future[Taken]:
        return self._store.reserve(_renamed(buckets) if SHADOW.get() else buckets, amounts)

    def settle(self, buckets: Sequence[Allowance], amounts: Sequence[int]) -> None:
        self._store.settle(_renamed(buckets) if SHADOW.get() else buckets, amounts)

    async def append(self, log: str, value: bytes, limit: int) -> None:
        await self._store.append(_own(log), value, limit)

    def watch(self, prefix: str) -> AsyncIterator[str]:
        return self._store.watch(_own(prefix))


def _renamed(buckets: Sequence[Allowance]) -> list[_Renamed]:
    return [_Renamed(PREFIX + one.key, one.capacity, one.refill_per_s, one.ttl_s, one.slots) for one in buckets]


def _own(key: str) -> str:
    return PREFIX + key if SHADOW.get() else key
