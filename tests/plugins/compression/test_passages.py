"""A text is cut into sentences, lines and fences, which joined are the text, each with what stands above it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.compression.passages import passages

PARTS = st.lists(
    st.sampled_from(
        ["# Head\n", "\n", "\r\n", "One. Two said so! Why? ", "```\n", "| a | b |\n", "|---|---|\n", "a,b,c\n",
         "- item\n",         "  inset\n", "Key: value\n", "word " * 30, "x" * 900, "日本語。です。", "\u2028",
         "=====\n", " = Title = \n"]
    ),
    max_size=40,
)  # fmt: skip


@given(PARTS)
def test_passages_joined_are_the_text(parts: list[str]) -> None:
    text = "".join(parts)
    found = passages(text)
    assert "".join(one.text for one in found) == text
    for at, one in enumerate(found):
        assert all(place < at for place in one.title)
        assert one.header < at


@given(st.text(max_size=400))
def test_so_they_are_of_any_text(text: str) -> None:
    assert "".join(one.text for one in passages(text)) == text


def test_sentences_of_a_paragraph_are_passages_abbreviations_end_none() -> None:
    found = passages(
        "Dr. Kamau met Mr. J. Otieno at noon. They talked about the vaccines, e.g. Polio. Nobody else came."
    )
    assert [one.text.strip() for one in found] == [
        "Dr. Kamau met Mr. J. Otieno at noon.", "They talked about the vaccines, e.g. Polio.", "Nobody else came.",
    ]  # fmt: skip


def test_lines_that_are_wrapped_are_read_on() -> None:
    found = passages(
        "The first sentence of this paragraph goes on\nin the next line and ends. The second one\nis as long as that."
    )
    assert len(found) == 2


@pytest.mark.parametrize(
    "text", ["# Pumps\n\nThey are blue.\n", "Pumps\n=====\nThey are blue.\n", " = Pumps = \nBlue.\n"]
)
def test_a_heading_is_the_title_of_what_follows(text: str) -> None:
    head, told = passages(text)
    assert "Pumps" in head.text
    assert told.title == (0,)


def test_deeper_headings_add_to_those_above_and_equal_ones_replace_them() -> None:
    found = passages("# A\n\n## B\n\nOne.\n\n## C\n\nTwo.\n")
    assert found[2].title == (0, 1)
    assert found[4].title == (0, 3)


@pytest.mark.parametrize(
    "text", ["| n | city |\n|---|---|\n| 1 | Oslo |\n| 2 | Bonn |\n", "n,city,at\n1,Oslo,x\n2,Bonn,y\n3,Rome,z\n"]
)
def test_rows_know_what_names_their_columns(text: str) -> None:
    found = passages(text)
    assert found[0].header < 0
    assert all(one.header == 0 for one in found[1:])


def test_what_a_paragraph_begins_with_names_it() -> None:
    found = passages(
        "Money. We have spent most of it, and not been half way.\n\n**How long?** Nobody knows for certain.\n"
    )
    assert found[0].lead == "Money"
    assert found[-1].lead == "How long"


def test_indented_lines_belong_to_the_one_above() -> None:
    found = passages("workers: how many\n    At most eight of them\nmemory: how much\n    As much as there is\n")
    assert found[1].title == (0,)
    assert found[3].title == (2,)


def test_what_never_ends_is_cut_all_the_same() -> None:
    assert len(passages("word " * 2000)) > 10
    assert len(passages("x" * 5000)) > 5


@pytest.mark.parametrize(
    "text", ["Mr. " * 40_000, "```\n" * 20_000, "= " * 60_000, "text\n" + "\n" * 60_000, '."' * 60_000]
)
def test_no_text_takes_more_than_its_length_explains(text: str) -> None:
    start = time.process_time()
    passages(text)
    assert time.process_time() - start < 2.0
