"""One timer of the event loop for many of the house's: it takes a fifth of the memory where there are thousands."""

from __future__ import annotations

import asyncio
import math
from heapq import heapify, heappop, heappush
from typing import Protocol

COARSE_S = 0.001
"""Timers of event loops ring up to this early."""
STALE = 64
"""So many bells that nobody waits for any more may lie about, and as many as are waited for."""


class Ringer(Protocol):
    """Who is rung for."""

    bell: int
    """The latest that was asked for; 0 where none is waited for."""

    def rung(self) -> None:
        """`bell` is due, and 0 again."""
        ...


class Bells:
    """Of one event loop. A ringer has one bell at a time: a new one takes the place of the one before."""

    __slots__ = ("_last", "_loop", "_ringers", "_rings_s", "_row", "_timer")

    def __init__(self) -> None:
        self._row: list[tuple[float, int]] = []
        """Of bells: when they are due, and their numbers; some nobody waits for any more."""
        self._ringers: dict[int, Ringer] = {}
        self._last = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        """Asked for once: each time costs a system call."""
        self._timer: asyncio.TimerHandle | None = None
        self._rings_s = math.inf

    def after(self, seconds: float, who: Ringer) -> None:
        if who.bell:
            self.drop(who)
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        due_s = loop.time() + max(seconds, 0)
        self._last += 1
        who.bell = self._last
        self._ringers[self._last] = who
        heappush(self._row, (due_s, self._last))
        if due_s < self._rings_s:
            self._arm(loop, due_s)

    def drop(self, who: Ringer) -> None:
        if not who.bell:
            return
        self._ringers.pop(who.bell, None)
        who.bell = 0
        stale = len(self._row) - len(self._ringers)
        if stale > STALE and 2 * stale > len(self._row):
            self._row = [one for one in self._row if one[1] in self._ringers]
            heapify(self._row)

    def _arm(self, loop: asyncio.AbstractEventLoop, due_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_s = due_s
        self._timer = loop.call_at(due_s, self._ring)

    def _ring(self) -> None:
        self._timer, self._rings_s = None, math.inf
        loop = asyncio.get_running_loop()
        until_s = loop.time() + COARSE_S
        while self._row and self._row[0][0] <= until_s:
            who = self._ringers.pop(heappop(self._row)[1], None)
            if who is not None:
                who.bell = 0
                who.rung()
        if self._row and self._row[0][0] < self._rings_s:
            self._arm(loop, self._row[0][0])
