from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.store import block
from proxy.store.block import Block


@given(st.binary(max_size=5_000))
def test_what_was_packed_is_unpacked(text: bytes) -> None:
    assert block.unpacked(block.packed(text)) == text


@given(st.binary(max_size=200))
def test_what_was_not_packed_is_text_or_refused(body: bytes) -> None:
    try:
        block.unpacked(body)
    except ValueError:
        assert body[:1] != block.PLAIN


def test_large_bodies_are_compressed_and_small_ones_are_not() -> None:
    text = b'wr_1\t"w"\t1\t\t\t{"action":"llm.call"}\n' * 200
    assert len(block.packed(text)) < len(text) / 10
    assert block.packed(b"small") == b"\0small"


@pytest.mark.parametrize("body", [b"", b"x", zlib.compress(b"a" * 100)[:-1], zlib.compress(b"a") + b"b"])
def test_a_body_that_is_not_whole_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="block"):
        block.unpacked(body)


def test_a_block_has_as_many_lines_as_entries() -> None:
    text = block.packed(b"a\nb\nc")
    assert block.lines(Block(9, 7, 0.0, "", "", b"", text)) == [b"a", b"b", b"c"]
    for first in (6, 8, 10):
        with pytest.raises(ValueError, match="line for each"):
            block.lines(Block(9, first, 0.0, "", "", b"", text))


def test_a_line_is_read_in_one_way_only() -> None:
    text = b'wr_1\t"w"\t7\tp\tc\t{"action":"x"}'
    assert block.parsed(text) == (b"wr_1", b'"w"', b"7", b"p", b"c", b'{"action":"x"}')
    assert block.mark(text) == b'wr_1\t"w"\t7'
    for wrong in (text + b"\t", text[: text.rindex(b"\t")], b""):
        with pytest.raises(ValueError, match="six fields"):
            block.parsed(wrong)
