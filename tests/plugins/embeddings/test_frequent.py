"""What comes again and again is found in bounded memory."""

from __future__ import annotations

import random

import pytest

from plugins.embeddings.frequent import Frequent
from plugins.embeddings.inputs import listed
from plugins.embeddings.options import EmbeddingsOptions


def test_the_most_frequent_are_found_among_very_many() -> None:
    frequent, draw = Frequent(50), random.Random(3)
    for number in range(20_000):
        frequent.add(b"often" if draw.random() < 0.1 else number.to_bytes(8, "big"), 5)
        assert len(frequent._counts) <= 101
    (first, *_) = frequent.top()
    assert first["input"] == b"often".hex()
    assert 500 < first["count"] <= 2200
    assert frequent.seen == 20_000


def test_none_are_watched_where_none_are_wanted() -> None:
    frequent = Frequent(0)
    frequent.add(b"a", 1)
    assert frequent.top() == []


def test_of_a_text_that_may_be_kept_its_beginning_is_told_once_it_comes_again() -> None:
    frequent, asked = Frequent(50), list[str]()

    def begins() -> str:
        asked.append("x")
        return "Hello"

    for _ in range(3):
        frequent.add(b"a", 5, begins, b"ann")
        frequent.add(b"b", 7)
    assert {each["begins"] for each in frequent.top()} == {"Hello", ""}
    assert len(asked) == 1
    assert (frequent.forget(b"bob"), frequent.forget(b"ann")) == (0, 1)
    assert {each["begins"] for each in frequent.top()} == {""}


def test_inputs_are_one_by_one() -> None:
    assert listed("a") == ["a"]
    assert listed([1, 2]) == [[1, 2]]
    assert listed([[1], [2]]) == [[1], [2]]
    assert listed(["a", "b"]) == ["a", "b"]
    assert listed(["a", [1]]) == listed([True]) == listed([]) == listed("") == []


@pytest.mark.parametrize(
    "wrong", [{"ttl_s": -1}, {"window_ms": 5000}, {"memory_bytes": 1}, {"few": 9, "most": 3}, {"frequent": -1}]
)
def test_options_that_cannot_be_are_told(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"is|least"):
        EmbeddingsOptions(**wrong)
