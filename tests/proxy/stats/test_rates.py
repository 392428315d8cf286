"""Wilson's interval and thresholds by rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.stats.rates import needed, threshold, wilson


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [
        (0, 100, 0.0, 0.0370),
        (10, 100, 0.0552, 0.1744),
        (100, 100, 0.9630, 1.0),
        (0, 0, 0.0, 1.0),
        (1, 10, 0.0179, 0.4042),
    ],
)
def test_the_interval_is_that_of_the_books(hits: int, count: int, low: float, high: float) -> None:
    assert wilson(hits, count) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 5000), st.data())
def test_the_interval_holds_the_rate(count: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, count))
    low, high = wilson(hits, count)
    assert -1e-9 <= low <= hits / count + 1e-9
    assert hits / count - 1e-9 <= high <= 1 + 1e-9


def test_one_in_a_hundred_takes_three_hundred_examples() -> None:
    assert needed(0.01) == 300


@given(st.lists(st.floats(0, 1), min_size=1), st.floats(0.001, 0.999))
def test_no_more_than_the_rate_reach_the_threshold_and_a_lower_one_would_let_more(
    scores: list[float], rate: float
) -> None:
    limit = threshold(scores, rate)
    assert sum(score >= limit for score in scores) <= rate * len(scores)
    lower = max((score for score in scores if score < limit), default=None)
    if lower is not None:
        assert sum(score >= lower for score in scores) > rate * len(scores)


def test_no_scores_give_no_threshold() -> None:
    with pytest.raises(ValueError, match="needs scores"):
        threshold([], 0.1)
