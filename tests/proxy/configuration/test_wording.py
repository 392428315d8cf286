"""How configuration speaks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.configuration.wording import dotted, nearest, parts, sentence

NAMES = st.text(st.characters(codec="utf-8", exclude_characters='"'), min_size=1)


@settings(deadline=None, max_examples=50)
@given(st.lists(NAMES, min_size=1).map(tuple))
def test_a_key_leads_back_to_its_path(path: tuple[str, ...]) -> None:
    assert parts(dotted(path)) == path


def test_a_name_with_a_dot_stands_in_quotes() -> None:
    assert dotted(("aliases", "gpt-4.1", "model")) == 'aliases."gpt-4.1".model'


@pytest.mark.parametrize(
    ("word", "meant"),
    [("limts", "; did you mean limits?"), ("PORT", "; did you mean port?"), ("zzz", "; there are: limits, port")],
)
def test_the_nearest_name_is_told(word: str, meant: str) -> None:
    assert nearest(word, ["port", "limits"]) == meant


def test_nothing_is_guessed_where_nothing_is_known() -> None:
    assert nearest("x", []) == ""
    assert nearest("zzzz", [f"name{number}" for number in range(40)]) == ""


def test_a_finding_never_repeats_the_value() -> None:
    found = {"type": "int_type", "msg": "Input should be a valid integer", "input": "sk-secret", "ctx": {}}
    assert sentence(found) == "must be a whole number"
