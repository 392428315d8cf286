"""How long a worker's event loop is held: a timer that fires ten times a second, and how late it does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from proxy.ports import Metrics

EVERY_S = 0.1


class Lag:
    """Observes `weir_loop_lag_seconds` from `start` to `stop`: about 15 us of work a second."""

    def __init__(self, now: Callable[[], float], metrics: Metrics) -> None:
        self._now = now
        self._histogram = metrics.histogram("weir_loop_lag_seconds")
        self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._again(asyncio.get_running_loop())

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _again(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due_s = self._now() + EVERY_S
        self._timer = loop.call_later(EVERY_S, self._fired, loop)

    def _fired(self, loop: asyncio.AbstractEventLoop) -> None:
        self._histogram.observe(max(0.0, self._now() - self._due_s))
        self._again(loop)
