"""Statistics for rounds: medians, ratios of pairs, and how sure they are."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A median over rounds, and between which of the rounds' values the true one lies, by the sign test."""

    median: float
    low: float
    high: float
    rounds: int
    sure: float
    """Of the interval, 0 to 1; below 0.95 where there were too few rounds."""


def interval(values: Sequence[float]) -> Interval | None:
    """The narrowest interval between order statistics that holds the median with 95 %: no distribution is assumed."""
    if not values:
        return None
    ordered, count = sorted(values), len(values)
    depth = 0
    while depth + 1 < (count + 1) // 2 and coverage(count, depth + 1) >= CONFIDENCE:
        depth += 1
    return Interval(statistics.median(ordered), ordered[depth], ordered[-1 - depth], count, coverage(count, depth))


def coverage(count: int, depth: int) -> float:
    """How probable it is that the median lies between the values at `depth` from both ends, of `count`."""
    outside = sum(math.comb(count, number) for number in range(depth + 1))
    return max(0.0, 1.0 - 2.0 * outside / float(1 << count))


def ratios(these: Sequence[float | None], those: Sequence[float | None]) -> list[float]:
    """Round by round, where both have a value: what happens to the machine happens to both."""
    pairs = zip(these, those, strict=False)
    return [one / other for one, other in pairs if one is not None and other is not None and other > 0]


def differences(these: Sequence[float | None], those: Sequence[float | None]) -> list[float | None]:
    pairs = zip(these, those, strict=False)
    return [None if one is None or other is None else one - other for one, other in pairs]


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
