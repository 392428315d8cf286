"""The arithmetic of token buckets: pure, with the time passed in. The Redis script says the same in Lua."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from proxy.ports import Bucket

ROUNDING = 1e-9
"""A level is a sum of floats: what is missing by less than this is not missing."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The result of `Store.take`: what is left is in whole units; `wait_s` is infinite for what can never be had."""

    ok: bool
    wait_s: float
    left: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Level:
    """How full a bucket was at a moment of the store's own clock. An absent bucket is a full one."""

    units: float
    at_s: float


def refill(bucket: Bucket, level: Level | None, now_s: float) -> float:
    """The units in the bucket now. A clock that went backwards refills nothing."""
    if level is None:
        return float(bucket.capacity)
    gained = max(0.0, now_s - level.at_s) * bucket.refill_per_s
    return min(float(bucket.capacity), level.units + gained)


def wait(bucket: Bucket, units: float, amount: int) -> float:
    """Seconds until `amount` can be taken; 0 for now, infinite for never."""
    missing = amount - units
    if missing <= ROUNDING:
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
        return Taken(False, wait_s, tuple(math.floor(units + ROUNDING) for units in present)), list(present)
    after = [min(float(bucket.capacity), max(0.0, units - amount)) for bucket, amount, units in trio]
    return Taken(True, 0.0, tuple(math.floor(units + ROUNDING) for units in after)), after
