from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.marks import Mover, settle


def span(start: int, end: int) -> dict[str, Any]:
    return {"type": "url_citation", "start_index": start, "end_index": end}


@pytest.mark.parametrize(("original", "text", "note", "wanted"), [
    ("see (a) now", "see (a) NOW", span(4, 7), span(4, 7)),
    ("see X (a)", "see LONGER (a)", span(6, 9), span(11, 14)),
    ("X (a) X", "LONG (a) LONG", span(2, 5), span(5, 8)),
    ("see (a)", "see nothing", span(4, 7), None),
    ("X (a) (a) X", "YY (a) (a) YY", span(2, 5), None),
    ("short", "other", span(3, 99), None),
    ("X end", "LONG end", {"type": "file_citation", "index": 5}, {"type": "file_citation", "index": 8}),
    ("X end", "X end!", {"type": "file_citation", "index": 2}, {"type": "file_citation", "index": 2}),
    ("one gone two", "one two", {"type": "file_citation", "index": 7}, {"type": "file_citation", "index": 4}),
    ("any", "other", {"type": "something"}, {"type": "something"}),
    ("any", "other", "nonsense", "nonsense"),
])  # fmt: skip
def test_annotations_move_or_go(original: str, text: str, note: Any, wanted: Any) -> None:
    assert Mover(original, text).move(note) == wanted


@given(st.text("abX", max_size=12), st.text("abX", max_size=12), st.integers(0, 12), st.integers(0, 12))
def test_a_moved_annotation_marks_the_same_words(original: str, text: str, start: int, length: int) -> None:
    moved = Mover(original, text).move(span(start, start + length))
    if moved is not None:
        marked = original[start : start + length]
        assert text[moved["start_index"] : moved["end_index"]] == marked
    assert (
        0 <= Mover(original, text).move({"index": min(start, len(original))})["index"] <= max(len(text), len(original))
    )


def test_logprobs_of_a_changed_text_are_emptied() -> None:
    part = {"text": "b", "logprobs": [{"token": "a"}], "annotations": [span(0, 1)]}
    settle(part, "a", "b")
    assert part == {"text": "b", "logprobs": [], "annotations": []}
