"""Rates and what is known of them: Wilson intervals, and the score from which on few harmless things are taken ill."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, nextafter, sqrt
from typing import NamedTuple

Z95 = 1.959963984540054
"""Of a two-sided interval that holds the truth 95 times in 100."""


class Interval(NamedTuple):
    low: float
    high: float


def wilson(hits: int, count: int, z: float = Z95) -> Interval:
    """Where the rate behind `hits` of `count` lies. Holds at the edges, where the usual interval does not."""
    if count == 0:
        return Interval(0.0, 1.0)
    rate, square = hits / count, z * z
    middle = (rate + square / (2 * count)) / (1 + square / count)
    half = z * sqrt(rate * (1 - rate) / count + square / (4 * count * count)) / (1 + square / count)
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def needed(rate: float) -> int:
    """How many harmless examples it takes before a false-positive rate can be told from nothing at all: with fewer,
    even none among them leaves room for a higher one (rule of three)."""
    return ceil(3 / rate)


def threshold(harmless: Sequence[float], rate: float) -> float:
    """The lowest score from which on no more than `rate` of these are taken for ill: just above the highest that must
    not be. Ties count together. Raises ValueError where there are no scores."""
    if not harmless:
        raise ValueError("a threshold needs scores")
    ordered = sorted(harmless, reverse=True)
    allowed = int(rate * len(ordered))
    return nextafter(ordered[allowed], 2.0) if allowed < len(ordered) else 0.0
