"""Medians of rounds, and how sure they are."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.speed.figures import coverage, differences, interval, percentile, ratios


def test_few_rounds_give_their_whole_range_and_say_how_sure_that_is() -> None:
    seen = interval([3.0, 1.0, 2.0])
    assert seen is not None
    assert (seen.low, seen.median, seen.high, seen.rounds, seen.sure) == (1.0, 2.0, 3.0, 3, 0.75)


def test_of_thirty_one_rounds_the_ten_nearest_the_middle_hold_the_median() -> None:
    seen = interval([float(number) for number in range(31)])
    assert seen is not None
    assert (seen.low, seen.median, seen.high) == (9.0, 15.0, 21.0)
    assert seen.sure >= 0.95


def test_without_rounds_there_is_no_interval() -> None:
    assert interval([]) is None


@pytest.mark.parametrize(
    ("count", "depth", "sure"), [(1, 0, 0.0), (5, 0, 0.9375), (6, 0, 0.96875), (10, 1, 0.978515625)]
)
def test_coverage_is_that_of_the_sign_test(count: int, depth: int, sure: float) -> None:
    assert coverage(count, depth) == pytest.approx(sure)


def test_intervals_hold_the_median_as_often_as_they_claim() -> None:
    dice = random.Random(3)
    held = 0
    for _ in range(400):
        seen = interval([dice.gauss(5, 1) for _ in range(15)])
        held += seen is not None and seen.low <= 5 <= seen.high
    assert held >= 370


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_the_median_lies_in_its_interval(values: list[float]) -> None:
    seen = interval(values)
    assert seen is not None
    assert seen.low <= seen.median <= seen.high


def test_rounds_without_a_value_make_no_pair() -> None:
    assert ratios([1.0, None, 3.0, 4.0], [2.0, 2.0, None, 0.0]) == [0.5]
    assert differences([3.0, None], [1.0, 1.0]) == [2.0, None]


def test_a_percentile_is_a_value_that_was_seen() -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.99) == 4.0
