"""The real clock."""

from __future__ import annotations

import time

from proxy.clock import SystemClock


def test_monotonic_time_never_goes_back_and_wall_time_is_the_machines() -> None:
    clock = SystemClock()
    assert clock.monotonic_s() <= clock.monotonic_s()
    assert abs(clock.wall_s() - time.time()) < 60
