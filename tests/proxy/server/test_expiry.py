from __future__ import annotations

import asyncio

from proxy.live import CallerKey, Identity, Limits, Live, Snapshot, Streams
from proxy.server import expiry
from proxy.server.expiry import Expiry

START_S = 1_798_459_200.0
"""2026-12-28T12:00:00Z."""


def snapshot(version: int, *ends: str) -> Snapshot:
    keys = tuple(CallerKey(f"k{n}", "00" * 32, expires=end) for n, end in enumerate(ends))
    return Snapshot(version, {}, {}, (), {}, Identity(keys=keys), Limits(), Streams())


class Wall:
    def __init__(self) -> None:
        self.now_s = START_S

    def __call__(self) -> float:
        return self.now_s


async def turns(timer: asyncio.TimerHandle | None) -> None:
    assert timer is not None
    while not timer.cancelled() and timer.when() > asyncio.get_running_loop().time():
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.002)


async def test_when_a_key_ends_the_settings_are_read_once_more_and_the_next_end_is_waited_for() -> None:
    wall, renewed = Wall(), 0
    live = Live(snapshot(1, "2026-12-28T12:00:00.010Z", "2026-12-28T12:00:00.020Z"))

    def renew() -> None:
        nonlocal renewed
        renewed += 1
        live.swap(snapshot(1, "2026-12-28T12:00:00.010Z", "2026-12-28T12:00:00.020Z"))

    watched = Expiry(wall, renew)
    watched.watch(live)
    await turns(watched._timer)
    assert renewed == 0, "by wall time it is not over yet"
    wall.now_s += 0.010
    await turns(watched._timer)
    assert renewed == 1
    wall.now_s += 0.010
    await turns(watched._timer)
    assert renewed == 2 and watched._timer is None


async def test_new_settings_say_anew_when_and_without_ends_there_is_no_timer() -> None:
    wall = Wall()
    live = Live(snapshot(1))
    watched = Expiry(wall, lambda: None)
    watched.watch(live)
    assert watched._timer is None
    live.swap(snapshot(2, "2027-12-28"))
    timer = watched._timer
    assert timer is not None and timer.when() - asyncio.get_running_loop().time() <= expiry.LOOK_S
    live.swap(snapshot(3, "2020-01-01"))
    assert watched._timer is None and timer.cancelled()


async def test_what_failed_is_tried_again_until_new_settings_stand() -> None:
    wall, renewed = Wall(), 0

    def renew() -> None:
        nonlocal renewed
        renewed += 1

    watched = Expiry(wall, renew)
    watched.watch(Live(snapshot(1, "2026-12-28T12:00:00.005Z")))
    wall.now_s += 1
    await turns(watched._timer)
    timer = watched._timer
    assert renewed == 1 and timer is not None and timer.when() - asyncio.get_running_loop().time() <= expiry.AGAIN_S
    watched.stop()
    assert timer.cancelled() and watched._timer is None
