"""When a key ends by itself, the settings are read again: so that no call has to look at the clock.

Works in the worker alone: a key also ends while control is away. Wall time may jump, so it is looked at once a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from proxy.live import Live, Snapshot
from proxy.server.book import next_end_s

LOOK_S = 60.0
SOONEST_S = 0.005
AGAIN_S = 1.0


class Expiry:
    """`renew` puts the settings at hand in place once more, as new ones."""

    def __init__(self, wall: Callable[[], float], renew: Callable[[], None]) -> None:
        self._wall = wall
        self._renew = renew
        self._end_s: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, live: Live) -> None:
        """From now on, and for all settings to come."""
        live.listen(self._look)
        self._look(live.current)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, snapshot: Snapshot) -> None:
        self.stop()
        self._end_s = next_end_s(snapshot.identity.keys, self._wall())
        self._wait()

    def _wait(self) -> None:
        if self._end_s is not None:
            left_s = min(max(self._end_s - self._wall(), SOONEST_S), LOOK_S)
            self._timer = asyncio.get_running_loop().call_later(left_s, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._end_s is not None and self._wall() >= self._end_s:
            self._renew()  # new settings are put in place, and `_look` follows; where that fails it is tried again
            self._timer = asyncio.get_running_loop().call_later(AGAIN_S, self._ring)
            return
        self._wait()
