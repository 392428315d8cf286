"""Extracts keep what is asked for, in order and whole, say what they left out, and never cut blindly."""

from __future__ import annotations

import json

import pytest

from plugins.compression.passages import passages
from plugins.compression.pieces import GAP, LEFT_OUT
from plugins.compression.selection import extract
from plugins.compression.words import asked, stem

FILLER = [f"Paragraph {n} tells of the weather in autumn, of rain and of wind over the hills." for n in range(40)]
NEEDLE = "The warranty of pump P-200 ends on 14 May 2027."
TEXT = "\n\n".join([*FILLER[:25], NEEDLE, *FILLER[25:]])


def tokens(text: str) -> int:
    return len(text) // 4


@pytest.mark.parametrize(
    "question", ["When does the warranty of the P-200 end?", "pump warranties", "P-200 guarantee of pumps"]
)
@pytest.mark.parametrize("share", [2, 4, 8])
def test_what_is_asked_for_is_kept(question: str, share: int) -> None:
    whole = tokens(TEXT)
    out = extract(TEXT, question, whole // share, whole)
    assert out is not None
    assert NEEDLE in out
    assert tokens(out) <= whole // share
    assert GAP in out


def test_a_longer_extract_begins_with_how_much_was_left_out() -> None:
    out = extract(TEXT, "pump warranties", 300, tokens(TEXT))
    assert out is not None
    assert out.startswith("[Extract: about ")
    assert "left out at [...]]" in out.split("\n")[0]


@pytest.mark.parametrize("question", ["", "the of and?", "   "])
def test_nothing_is_cut_without_a_question(question: str) -> None:
    assert extract(TEXT, question, 50, tokens(TEXT)) is None


def test_what_fits_is_left_whole() -> None:
    assert extract(TEXT, "warranty", tokens(TEXT), tokens(TEXT)) is None


def test_passages_joined_are_the_text_and_fences_stay_whole() -> None:
    text = (
        "# Head\n\nOne.\n\n```py\na = 1\n\nb = 2\n```\n\n"
        + "A sentence of some length that goes on. " * 40
        + "\n\nlast"
    )
    found = passages(text)
    assert "".join(one.text for one in found) == text
    assert any(one.text.lstrip().startswith("```py\na = 1\n\nb = 2\n```") for one in found)
    assert len(found) > 6


def test_order_is_kept_and_the_heading_comes_with_its_passage() -> None:
    text = "\n\n".join([*FILLER, "## Pumps", NEEDLE, *FILLER, "The pump P-200 is blue."])
    out = extract(text, "Which pump P-200 warranty?", 120, tokens(text))
    assert out is not None
    assert out.index("## Pumps") < out.index(NEEDLE) < out.index("is blue")


def test_json_stays_json() -> None:
    rows = [{"id": n, "name": f"device {n}", "note": "all well"} for n in range(60)]
    rows[33]["note"] = "leaking valve in the cellar"
    text = json.dumps({"total": 60, "rows": rows})
    out = extract(text, "Which device has a leaking valve?", tokens(text) // 4, tokens(text))
    assert out is not None
    told = json.loads(out)
    assert told["total"] == 60
    assert rows[33] in told["rows"]
    assert LEFT_OUT in told["rows"][-1]
    assert tokens(out) <= tokens(text) // 4


@pytest.mark.parametrize(
    ("one", "other"),
    [("warranties", "warranty"), ("ending", "ended"), ("stopped", "stop"), ("paid", "pays"), ("pump's", "pumps")],
)
def test_words_without_their_endings_are_the_same(one: str, other: str) -> None:
    assert stem(one) == stem(other)


def test_words_that_ask_nothing_are_none_of_a_question() -> None:
    assert asked("What is it about the cat?") == ["cat"]
