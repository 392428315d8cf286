"""Words: which there are, their plain forms, and what is misspelt."""

from __future__ import annotations

import pytest

from plugins.cache.semantic.lexicon import distance, misspelt, packaged, plain


@pytest.mark.parametrize("word", ["password", "employees", "colour", "color", "hypotension", "during"])
def test_words_are_known(word: str) -> None:
    assert word in packaged()


@pytest.mark.parametrize("word", ["pasword", "recieve", "acount", "bagage", "xqzzt"])
def test_what_is_no_word_is_not(word: str) -> None:
    assert word not in packaged()


@pytest.mark.parametrize(
    ("word", "form"),
    [("filing", "file"), ("running", "run"), ("opening", "open"), ("boxes", "box"), ("sizes", "size"),
     ("deliveries", "delivery"), ("children", "child"), ("caring", "care"), ("cars", "car"), ("news", "news"),
     ("colours", "color"), ("cancelled", "canceled"), ("building", "building")],
)  # fmt: skip
def test_a_word_has_one_plain_form(word: str, form: str) -> None:
    assert plain(word) == plain(form) == form


@pytest.mark.parametrize(("one", "other"), [("pasword", "password"), ("allowence", "allowance"), ("druing", "during")])
def test_a_misspelt_word_is_known_by_the_right_one(one: str, other: str) -> None:
    assert misspelt(one, other, packaged())
    assert misspelt(other, one, packaged())


@pytest.mark.parametrize(
    ("one", "other"),
    [("employer", "employee"), ("hypertension", "hypotension"), ("import", "export"), ("increase", "decrease"),
     ("affect", "effect"), ("form", "from"), ("witout", "without"), ("cat", "cta"), ("zzqxa", "zzqxb")],
)  # fmt: skip
def test_two_words_are_two_words(one: str, other: str) -> None:
    assert not misspelt(one, other, packaged())


@pytest.mark.parametrize(("one", "other", "letters"), [("form", "from", 1), ("abc", "abcd", 1), ("abc", "xyz", 3)])
def test_a_swap_is_one_letter_wrong(one: str, other: str, letters: int) -> None:
    assert distance(one, other, 5) == letters
    assert distance(one, other, 0) == 1
