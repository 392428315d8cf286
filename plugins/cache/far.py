"""The shelves beyond the process: asked one after another, told beside the calls. What fails there is a miss."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol

from plugins.cache.entry import Entry, Filter
from plugins.cache.marks import Marks
from plugins.cache.options import CacheOptions
from plugins.cache.seal import Seal
from plugins.cache.shared import Kept, Shared
from proxy.errors import WeirError
from proxy.plugin import Kit

if TYPE_CHECKING:
    from plugins.cache.sqlite import Sqlite

LOG: Final = logging.getLogger("weir.cache")
WAITING_BYTES: Final = 8 * 1024 * 1024
"""Of answers that are still to be written; what comes beyond is not written."""
MARKS_S: Final = 2.0
"""So often it is asked what others have invalidated."""
TELL_S: Final = 60.0
FILE: Final = "cache.sqlite"
_FAILS: Final = (WeirError, OSError, ValueError, asyncio.TimeoutError)


class Shelf(Protocol):
    """Keeps entries beyond the process."""

    async def get(self, key: bytes) -> Entry | None: ...

    async def put(self, kept: Sequence[Kept]) -> None: ...

    async def forget(self, wanted: Filter) -> int:
        """How many there were, where that is known."""
        ...

    async def stop(self) -> None: ...


class Far:
    """All of them together. `forgotten` is told what others have invalidated."""

    def __init__(self, kit: Kit, forgotten: Callable[[Filter], Awaitable[object]]) -> None:
        self._kit = kit
        self._forgotten = forgotten
        self._seal = Seal(kit.secret("cache entries"))
        self.marks = Marks()
        self.there = False
        """There are any."""
        self.disk: Sqlite | None = None
        self.shared: Shared | None = None
        self._waiting: list[Kept] = []
        self._waiting_bytes = 0
        self._writing = False
        self._asked_s = float("-inf")
        self._told_s = float("-inf")

    @property
    def _shelves(self) -> list[Shelf]:
        return [shelf for shelf in (self.disk, self.shared) if shelf is not None]

    @property
    def names(self) -> list[str]:
        """What there is, in words."""
        found = (("sqlite", self.disk), ("shared", self.shared))
        return [name for name, shelf in found if shelf is not None]

    def follow(self, options: CacheOptions) -> None:
        """New settings."""
        wanted = getattr(self._kit.store, "shared", False) if options.shared is None else options.shared
        self.shared = (self.shared or Shared(self._kit.store, self._seal)) if wanted else None
        path = FILE if options.sqlite is True else options.sqlite or ""
        if self.disk is not None and (str(self.disk.path), self.disk.most_bytes) != (path, options.sqlite_bytes):
            self._kit.tasks.spawn("cache closed", self.disk.stop())
            self.disk = None
        if path and self.disk is None:
            # (whoever keeps nothing on disk does not pay for the library)
            self.disk = import_module("plugins.cache.sqlite").Sqlite(
                path, options.sqlite_bytes, self._seal, self._kit.tasks, self._kit.clock
            )
        self.there = bool(self._shelves)

    async def start(self) -> None:
        if self.there:
            await self._kit.tasks.in_thread(self._seal.start)

    async def stop(self) -> None:
        """What waits was written by then: work beside the calls ends first."""
        for shelf in self._shelves:
            with suppress(*_FAILS):
                await shelf.stop()

    async def get(self, key: bytes) -> Entry | None:
        await self._ready()
        for shelf in self._shelves:
            try:
                entry = await shelf.get(key)
            except _FAILS as error:
                self._tell(error)
                continue
            if entry is not None and not self.marks.cover(entry):
                return entry
        return None

    def put(self, key: bytes, entry: Entry, lives_s: float) -> None:
        """Written soon, beside the calls."""
        if self._waiting_bytes + entry.size_bytes > WAITING_BYTES:
            return
        self._waiting.append((key, entry, lives_s))
        self._waiting_bytes += entry.size_bytes
        if not self._writing:
            self._writing = True
            self._kit.tasks.spawn("cache writes", self._write())

    async def _write(self) -> None:
        try:
            await self._ready()
            while self._waiting:
                batch, self._waiting, self._waiting_bytes = self._waiting, [], 0
                for shelf in self._shelves:
                    try:
                        await shelf.put([kept for kept in batch if not self.marks.cover(kept[1])])
                    except _FAILS as error:
                        self._tell(error)
        finally:
            self._writing = False

    async def forget(self, wanted: Filter) -> int:
        """Raises what a shelf raises: who asks to be forgotten must know."""
        await self._ready()
        self.marks.add((wanted,))
        return sum([await shelf.forget(wanted) for shelf in self._shelves])

    def look_round(self, now_s: float) -> None:
        """Asks, now and then, what others have invalidated. `now_s`: monotonic."""
        if self.shared is not None and now_s - self._asked_s >= MARKS_S:
            self._asked_s = now_s
            self._kit.tasks.spawn("cache marks", self._heed())

    async def _heed(self) -> None:
        if self.shared is None:
            return
        try:
            found = await self.shared.marks()
        except _FAILS as error:
            self._tell(error)
            return
        for mark in self.marks.add(found):
            await self._forgotten(mark)

    async def _ready(self) -> None:
        if not self._seal.started:
            await self._kit.tasks.in_thread(self._seal.start)

    def _tell(self, error: Exception) -> None:
        """A line a minute."""
        now_s = self._kit.clock.monotonic_s()
        if now_s - self._told_s >= TELL_S:
            self._told_s = now_s
            LOG.warning("a shelf of the cache is away (%s): what lies there is missed", type(error).__name__)
