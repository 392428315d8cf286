"""Verdicts: what was wrong is not given again, and the stated bounds hold."""

from __future__ import annotations

import random

import pytest

from plugins.cache.semantic.learned import BARRED, Learned, upper_bound


def test_the_bound_is_that_of_clopper_and_pearson() -> None:
    assert upper_bound(0, 300) == pytest.approx(0.00994, abs=1e-4)
    assert upper_bound(0, 1) == pytest.approx(0.95)
    assert upper_bound(3, 100) == pytest.approx(0.0757, abs=2e-4)
    assert upper_bound(5, 5) == 1.0


def test_an_answer_that_was_wrong_is_given_to_nearer_texts_alone_and_then_to_none() -> None:
    learned = Learned()
    assert learned.least(b"k") == 0.0
    learned.tell("a", b"k", 0.93, False)
    assert learned.least(b"k") == 0.93
    learned.tell("a", b"k", 0.97, False)
    assert learned.least(b"k") == BARRED


def test_the_very_pair_is_not_near_enough_any_more_and_nearer_ones_are() -> None:
    learned = Learned()
    assert learned.permits(lambda: b"k", 0.0)
    learned.tell("a", b"k", 0.93, False)
    assert [learned.permits(lambda: b"k", near) for near in (0.92, 0.93, 0.9301)] == [False, False, True]
    assert learned.permits(lambda: b"another", 0.1)
    learned.tell("a", b"k", 0.93, False)
    assert not learned.permits(lambda: b"k", 1.0)


def test_who_is_within_what_is_permitted_is_hardly_ever_stopped_however_long_one_looks() -> None:
    draw, stopped = random.Random(4), 0
    for _ in range(200):
        learned = Learned()
        for place in range(400):
            learned.tell("a", place.to_bytes(4, "big"), 0.9, draw.random() > 0.01)
            if not learned.trusted("a", 0.01):
                stopped += 1
                break
    assert stopped <= 0.05 * 200 + 6


def test_who_is_wrong_in_one_of_ten_is_stopped_soon() -> None:
    draw, took = random.Random(5), []
    for _ in range(50):
        learned = Learned()
        for place in range(1000):
            learned.tell("a", place.to_bytes(4, "big"), 0.9, draw.random() > 0.1)
            if not learned.trusted("a", 0.01):
                took.append(place)
                break
    assert len(took) == 50
    assert sorted(took)[25] <= 100


def test_unclear_verdicts_prove_nothing_and_the_report_says_all() -> None:
    learned = Learned()
    learned.tally("a").would += 2
    learned.tell("a", b"k", 0.9, None)
    learned.tell("a", b"k", 0.9, True)
    assert learned.report() == {
        "a": {
            "would": 2, "served": 0, "right": 1, "wrong": 0, "unclear": 1, "told_right": 0, "told_wrong": 0,
            "wrong_at_most": 0.95,
        }
    }  # fmt: skip
    assert learned.tally("nobody").wrong_at_most() == 1.0


def test_a_verdict_that_is_taken_back_counts_no_more_and_bars_what_it_barred() -> None:
    learned = Learned()
    learned.tell("a", b"k", 0.9, False)
    learned.untell("a", False)
    learned.untell("a", False)
    learned.tell("a", b"k", 0.9, True)
    assert (learned.tally("a").wrong, learned.tally("a").right) == (0, 1)
    assert learned.least(b"k") == 0.9
    learned.untell("a", True)
    assert learned.tally("a").right == 0


def test_an_answer_that_another_worker_gave_counts_for_its_agent_alone() -> None:
    learned = Learned()
    learned.tell("a", None, 0.9, False)
    assert learned.tally("a").wrong == 1
    assert learned._least == {}


def test_what_somebody_said_is_counted_apart_too_and_what_is_stricter_since_then() -> None:
    learned = Learned()
    learned.told("a", b"k", 0.9, False)
    learned.told("a", b"j", 0.9, False)
    learned.tell("a", b"j", 0.9, False)
    learned.told("a", None, 0.9, True)
    found = learned.report()["a"]
    assert (found["right"], found["wrong"], found["told_right"], found["told_wrong"]) == (1, 3, 1, 2)
    assert learned.stricter() == (1, 1)
    learned.untell("a", True)
    assert learned.report()["a"]["told_right"] == 0
