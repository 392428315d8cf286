from __future__ import annotations

import string
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.training import routing as training
from plugins.routing.features import MOST_CHARS, NAMES, asked_text, read
from plugins.routing.quality import PACKAGED, Prior, chance, logit
from proxy.errors import ConfigError
from tests import kit

PRIOR = Prior.packaged()


@given(st.text(max_size=3000))
def test_every_text_has_a_chance(text: str) -> None:
    judged = PRIOR.judge(text, why=True)
    assert 0.0 < judged.score < 1.0
    assert len(judged.shape) == len(NAMES)
    assert abs(chance(judged.shift + PRIOR.usual) - judged.score) < 1e-9


def test_arithmetic_with_many_steps_is_harder_than_a_greeting() -> None:
    steps = "Tom buys 3 boxes with 12 eggs each, twice as many as Ann, who pays 20% more. How much do both pay in all?"
    assert PRIOR.judge("Good morning!").score > PRIOR.judge(steps).score + 0.05


def test_of_a_long_text_beginning_and_end_are_read() -> None:
    text = "how many " + "word " * 100_000 + "dollars?"
    shape, words = read(text)
    assert shape[0] < 9.0
    assert {b"how", b"dollars"} <= words.keys()
    assert len(text) > MOST_CHARS


@given(st.text(alphabet=string.printable, max_size=500))
def test_reading_does_not_depend_on_what_was_read_before(text: str) -> None:
    assert read(text) == read(text)


def test_a_file_of_another_version_is_refused() -> None:
    for data in (b"{}", b"[]", b'{"shape": [{"name": "x"}]}', b"not json"):
        with pytest.raises(ConfigError, match=PACKAGED):
            Prior.parse(data)


def test_no_word_belongs_to_a_few_questions_alone() -> None:
    """What ships knows words that many texts share, not questions."""
    assert len(PRIOR.words) < 1500
    texts = [row["text"] for row in training.rows("strong_weak")] + [
        row["question"] for row in training.rows("nine_models")
    ]
    seen = Counter(word for text in texts for word in read(text)[1])
    assert min(seen[word] for word in PRIOR.words) >= training.RARE


def test_log_odds_and_chances_are_the_same_thing() -> None:
    for value in (0.001, 0.2, 0.5, 0.99):
        assert abs(chance(logit(value)) - value) < 1e-9


def test_the_newest_question_counts_and_later_how_it_began() -> None:
    turns = [("system", "be brief"), ("user", "first"), ("assistant", "yes"), ("user", "second")]
    docs = [
        {"model": "m", "messages": [{"role": role, "content": text} for role, text in turns[:end]]} for end in (2, 4)
    ]
    segments = [kit.exchange(doc=doc).request.segments for doc in docs]
    assert [asked_text(each) for each in segments] == ["first", "first"]
    assert asked_text(segments[1], newest=True) == "second"
    assert asked_text([]) == ""


def test_the_state_that_ships_is_the_one_that_the_training_makes_of_its_features() -> None:
    """A change of the features needs a new training: the names are compared, and one judgement of a fold's state."""
    pairs = training.two_models(training.rows("strong_weak")[:400])
    state = training.fitted(pairs)
    assert [number["name"] for number in state["shape"]] == list(NAMES)
    assert training.plain(state).judge("How many apples are left?").shape
