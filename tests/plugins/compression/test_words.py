"""Words of a question are found in a text where they are alike or mean the same, surely or less so."""

from __future__ import annotations

from benchmarks.training.meanings import TARGET
from plugins.compression.meanings import forms, meant
from plugins.compression.words import BEGUN, MEANT, SAME, SPELT, alike, asked, stem, words


def sure(term: str, word: str) -> float:
    found = alike([stem(term)], [stem(word), "filler", "other"])
    return max((share for _, share in found.get(stem(word), [])), default=0.0)


def test_how_surely_a_word_stands_for_another() -> None:
    assert sure("warranty", "warranties") == SAME
    assert sure("administrator", "administration") == BEGUN
    assert sure("mail", "mailbox") >= SPELT
    assert sure("artwork", "work") == SPELT
    assert sure("harbour", "harbor") >= SPELT
    assert sure("repair", "mend") == MEANT
    assert sure("pump", "weather") == 0.0


def test_numbers_are_the_same_or_not() -> None:
    assert sure("4711", "4711") == SAME
    assert sure("4711", "4712") == 0.0


def test_signs_without_blanks_are_taken_by_pairs() -> None:
    assert "文章" in words("日本語の文章です")
    assert asked("文章はどこ") != []


def test_meanings_go_both_ways_and_irregular_forms_are_one_word() -> None:
    assert "mend" in meant("repair")
    assert "repair" in meant("mend")
    assert forms()["paid"] == "pay"
    assert meant("") == meant("x y") == meant("\n") == []


def test_the_file_of_meanings_is_ascii_and_small() -> None:
    text = TARGET.read_bytes()
    assert text.isascii()
    assert len(text) < 300_000
