"""The real clock: wall time for records, monotonic time for limits and latencies."""

from __future__ import annotations

import time


class SystemClock:
    """Implements `ports.Clock`. Standard library only, for the supervisor uses it too."""

    __slots__ = ()

    # (the functions themselves: a call reads the clock some twenty times)
    wall_s = staticmethod(time.time)
    monotonic_s = staticmethod(time.monotonic)
