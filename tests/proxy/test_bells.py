"""Bells: each rings once, when it is due, whoever else asks for one."""

from __future__ import annotations

import asyncio
import weakref

import pytest

from proxy.bells import STALE, Bells


class Ringer:
    def __init__(self, bells: Bells, again_s: float = 0.0) -> None:
        self.bell = 0
        self.rang: list[float] = []
        self.done = asyncio.Event()
        self._bells, self._again_s = bells, again_s

    def rung(self) -> None:
        assert self.bell == 0
        self.rang.append(asyncio.get_running_loop().time())
        if self._again_s and len(self.rang) == 1:
            self._bells.after(self._again_s, self)
            return
        self.done.set()


async def test_all_ring_in_the_order_they_are_due() -> None:
    bells, loop = Bells(), asyncio.get_running_loop()
    ringers = [Ringer(bells) for _ in range(5)]
    begun = loop.time()
    delays = [0.03, 0.01, 0.02, 0.0, 0.015]
    for ringer, delay in zip(ringers, delays, strict=True):
        bells.after(delay, ringer)
    await asyncio.gather(*(ringer.done.wait() for ringer in ringers))
    assert all(ringer.rang[0] >= begun + delay - 0.002 for ringer, delay in zip(ringers, delays, strict=True))
    order = sorted(range(5), key=lambda at: delays[at])
    assert sorted(range(5), key=lambda at: ringers[at].rang[0]) == order
    assert [len(ringer.rang) for ringer in ringers] == [1] * 5


async def test_a_new_one_takes_the_place_of_the_one_before() -> None:
    bells = Bells()
    early, late = Ringer(bells), Ringer(bells)
    bells.after(0.005, early)
    bells.after(0.03, early)
    bells.after(0.01, late)
    await late.done.wait()
    assert early.rang == [] and early.bell
    await early.done.wait()
    assert len(early.rang) == 1


async def test_one_may_be_asked_for_while_it_rings() -> None:
    bells = Bells()
    ringer = Ringer(bells, again_s=0.005)
    bells.after(0.0, ringer)
    await ringer.done.wait()
    assert len(ringer.rang) == 2


@pytest.mark.parametrize("count", [1, 1000])
async def test_what_is_dropped_does_not_ring_and_is_let_go(count: int) -> None:
    bells, last = Bells(), Ringer(Bells())
    ringers = [Ringer(bells) for _ in range(count)]
    for ringer in ringers:
        bells.after(0.005, ringer)
    bells.after(0.01, last)
    for ringer in ringers:
        bells.drop(ringer)
        bells.drop(ringer)
    assert len(bells._row) <= 2 * STALE + 2
    await last.done.wait()
    assert not any(ringer.rang for ringer in ringers)


async def test_whoever_waits_no_more_is_not_held() -> None:
    bells = Bells()
    ringer = Ringer(bells)
    bells.after(10.0, ringer)
    bells.drop(ringer)
    held = weakref.ref(ringer)
    del ringer
    assert held() is None
