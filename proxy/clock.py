"""The real clock: wall time for records, monotonic time for limits and latencies."""

from __future__ import annotations

import time


class SystemClock:
    """Implements `ports.Clock`. Standard library only, for the supervisor uses it too."""

    __slots__ = ()

    def wall_s(self) -> float:
        return time.time()

    def monotonic_s(self) -> float:
        return time.monotonic()
