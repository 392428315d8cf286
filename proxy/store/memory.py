"""Hot state in this process: the store of the embedded default, bounded in entries and bytes.

When it is full the entry that was used least recently leaves. For a bucket that is the one nearest to being full
again, so little is forgiven; whoever needs limits that outlive this process configures Redis.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from proxy.ports import Allowance, Bucket, Clock
from proxy.store import bucket as buckets_
from proxy.store.bucket import Level, Taken
from proxy.store.watch import Watch

ENTRY_BYTES = 200
"""What an entry costs beside its key and value: measured roughly, meant as a bound."""
LINE_BYTES = 64
"""The same for one line of a log."""

Value = bytes | int | Level | deque[bytes]


@dataclass(slots=True)
class Entry:
    value: Value
    expires_s: float = math.inf
    size_bytes: int = ENTRY_BYTES


@dataclass(slots=True)
class MemoryStore:
    """`ports.Store` in memory. Single-threaded: it belongs to one event loop."""

    at_once: ClassVar[bool] = True
    """No verb waits: a coroutine of one may be run by hand."""
    clock: Clock
    max_entries: int = 100_000
    max_bytes: int = 64 * 1024 * 1024
    used_bytes: int = 0
    _entries: OrderedDict[str, Entry] = field(default_factory=OrderedDict)
    _watches: list[Watch] = field(default_factory=list)

    async def get(self, key: str) -> bytes | None:
        entry = self._find(key)
        return None if entry is None else _as_bytes(key, entry.value)

    async def put(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        self._set(key, value, self._expiry(ttl_s))
        self._tell(key)

    async def put_all(self, values: Mapping[str, bytes], ttl_s: float | None = None) -> None:
        for key, value in values.items():
            await self.put(key, value, ttl_s)

    async def put_if(self, key: str, value: bytes, expected: bytes | None, ttl_s: float | None = None) -> bool:
        entry = self._find(key)
        present = None if entry is None else _as_bytes(key, entry.value)
        if present != expected:
            return False
        await self.put(key, value, ttl_s)
        return True

    async def delete(self, key: str) -> bool:
        if self._find(key) is None:
            return False
        self._drop(key)
        self._tell(key)
        return True

    async def add(self, key: str, amount: int, ttl_s: float | None = None) -> int:
        entry = self._find(key)
        if entry is None:
            self._set(key, amount, self._expiry(ttl_s))
            return amount
        total = _as_int(key, entry.value) + amount
        expires_s = self._expiry(ttl_s) if entry.expires_s == math.inf else entry.expires_s
        self._set(key, total, expires_s)
        return total

    async def take(self, buckets: Sequence[Bucket], amounts: Sequence[int]) -> Taken:
        now_s = self.clock.monotonic_s()
        present = [self._present(each, now_s) for each in buckets]
        taken, after = buckets_.take(buckets, amounts, present)
        if taken.ok:
            for each, units in zip(buckets, after, strict=True):
                self._fill(each, units, now_s, 0.0)
        return taken

    def reserve(self, buckets: Sequence[Allowance], amounts: Sequence[int]) -> Taken:
        now_s = self.clock.monotonic_s()
        present = [self._present(each, now_s) for each in buckets]
        for units, amount in zip(present, amounts, strict=True):
            if amount > units:  # (or not, by a rounding: the arithmetic of all kinds says which)
                break
        else:
            after = []
            for each, units, amount in zip(buckets, present, amounts, strict=True):
                left = units - amount
                self._fill(each, left, now_s, each.ttl_s)
                after.append(int(left) if left > 0 else 0)
            return Taken(True, 0.0, tuple(after))
        taken, exact = buckets_.take(buckets, amounts, present)
        if taken.ok:
            for each, units in zip(buckets, exact, strict=True):
                self._fill(each, units, now_s, each.ttl_s)
        return taken

    def settle(self, buckets: Sequence[Allowance], amounts: Sequence[int]) -> None:
        now_s = self.clock.monotonic_s()
        for each, amount in zip(buckets, amounts, strict=True):
            self._fill(each, buckets_.owing(each, self._present(each, now_s), amount), now_s, each.ttl_s)

    def _present(self, bucket: Bucket, now_s: float) -> float:
        """The units in the bucket now."""
        entry = self._entries.get(bucket.key)
        if entry is None or entry.expires_s <= now_s:
            return float(bucket.capacity)
        level = entry.value
        if type(level) is not Level:
            raise ValueError(f"{bucket.key} is not a bucket")
        return buckets_.refill(bucket, level, now_s)

    def _fill(self, bucket: Bucket, units: float, now_s: float, ttl_s: float) -> None:
        entry = self._entries.get(bucket.key)
        level = None if entry is None else entry.value
        if entry is None or type(level) is not Level:  # (a value whose time was over)
            expires_s = _full_again(bucket, units, now_s, ttl_s)
            self._set(bucket.key, Level(units, now_s, bucket.capacity), expires_s)
            return
        level.units, level.at_s, level.capacity = units, now_s, bucket.capacity
        self._entries.move_to_end(bucket.key)
        if bucket.refill_per_s > 0:
            entry.expires_s = now_s + (bucket.capacity - units) / bucket.refill_per_s
        elif entry.expires_s <= now_s:
            entry.expires_s = _full_again(bucket, units, now_s, ttl_s)

    async def append(self, log: str, value: bytes, limit: int) -> None:
        entry = self._find(log)
        lines = deque[bytes]() if entry is None else entry.value
        if not isinstance(lines, deque):
            raise ValueError(f"{log} is not a log")
        size = len(value) + LINE_BYTES + (ENTRY_BYTES + len(log) if entry is None else entry.size_bytes)
        lines.append(value)
        while len(lines) > limit:
            size -= len(lines.popleft()) + LINE_BYTES
        self._set(log, lines, math.inf, size)

    async def tail(self, log: str, limit: int) -> list[bytes]:
        """The newest `limit` entries of a log, newest first."""
        entry = self._find(log)
        if entry is None or not isinstance(entry.value, deque):
            return []
        return list(entry.value)[-limit:][::-1]

    def watch(self, prefix: str) -> AsyncIterator[str]:
        watch = Watch(prefix, self._watches)
        self._watches.append(watch)
        return watch

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        for watch in list(self._watches):
            watch.end()

    def __len__(self) -> int:
        return len(self._entries)

    def _find(self, key: str) -> Entry | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires_s <= self.clock.monotonic_s():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry

    def _expiry(self, ttl_s: float | None) -> float:
        return math.inf if ttl_s is None else self.clock.monotonic_s() + ttl_s

    def _set(self, key: str, value: Value, expires_s: float, size: int = 0) -> None:
        size = size or ENTRY_BYTES + len(key) + (len(value) if isinstance(value, bytes) else 0)
        self._drop(key)
        if size > self.max_bytes:
            return
        self._entries[key] = Entry(value, expires_s, size)
        self.used_bytes += size
        while len(self._entries) > self.max_entries or self.used_bytes > self.max_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.used_bytes -= entry.size_bytes

    def _tell(self, key: str) -> None:
        for watch in self._watches:
            watch.tell(key)


def _full_again(bucket: Bucket, units: float, now_s: float, ttl_s: float) -> float:
    """When the bucket will be full: from then on it need not be remembered."""
    if bucket.refill_per_s <= 0:
        return now_s + ttl_s if ttl_s else math.inf
    return now_s + (bucket.capacity - units) / bucket.refill_per_s


def _as_bytes(key: str, value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, int):
        return str(value).encode()
    raise ValueError(f"{key} holds no value: it is a bucket or a log")


def _as_int(key: str, value: Value) -> int:
    if isinstance(value, int):
        return value
    try:
        return int(_as_bytes(key, value))
    except ValueError as error:
        raise ValueError(f"{key} is not a counter") from error
