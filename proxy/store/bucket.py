"""The arithmetic of token buckets: pure, with the time passed in. The Redis script says the same in Lua."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from proxy.ports import Bucket

ROUNDING = 1e-9
"""A level is a sum of floats: what is missing by less than this is not missing."""


class Taken(NamedTuple):
    """The result of `Store.take`: what is left is in whole units; `wait_s` is infinite for what can never be had."""

    ok: bool
    wait_s: float
    left: tuple[int, ...]


@dataclass(slots=True)
class Level:
    """How full a bucket was at a moment of the store's own clock. An absent bucket is a full one."""

    units: float
    at_s: float
    capacity: int = 0
    """Of the bucket at that moment (0: as now): where it has become larger or smaller, so has what is left."""


def refill(bucket: Bucket, level: Level | None, now_s: float) -> float:
    """The units in the bucket now. A clock that went backwards refills nothing."""
    if level is None:
        return float(bucket.capacity)
    capacity, units = bucket.capacity, level.units
    if now_s > level.at_s:
        units += (now_s - level.at_s) * bucket.refill_per_s
    if level.capacity and level.capacity != capacity:
        units += capacity - level.capacity
    return units if units < capacity else float(capacity)


def wait(bucket: Bucket, units: float, amount: int) -> float:
    """Seconds until `amount` can be taken; 0 for now, infinite for never. Giving back never waits, also where the
    bucket owes."""
    missing = amount - units
    if amount <= 0 or missing <= ROUNDING:
        return 0.0
    if amount > bucket.capacity or bucket.refill_per_s <= 0:
        return math.inf
    return missing / bucket.refill_per_s


def take(buckets: Sequence[Bucket], amounts: Sequence[int], present: Sequence[float]) -> tuple[Taken, list[float]]:
    """All or none. A negative amount gives back what was reserved, never above the capacity.
    Returns the verdict and the new units."""
    trio = list(zip(buckets, amounts, present, strict=True))
    wait_s = max((wait(bucket, units, amount) for bucket, amount, units in trio), default=0.0)
    if wait_s > 0:
        return Taken(False, wait_s, tuple(map(whole, present))), list(present)
    after = [min(float(bucket.capacity), _down(units, amount)) for bucket, amount, units in trio]
    return Taken(True, 0.0, tuple(map(whole, after))), after


def owing(bucket: Bucket, units: float, amount: int) -> float:
    """What is left when `amount` is taken whether it is there or not: a bucket may owe up to its capacity."""
    return max(-float(bucket.capacity), min(float(bucket.capacity), units - amount))


def whole(units: float) -> int:
    """As it is told: whole units, and none where the bucket owes."""
    return max(0, math.floor(units + ROUNDING))


def _down(units: float, amount: int) -> float:
    after = units - amount
    return 0.0 if amount > 0 > after else after
