"""A block of the audit trail: the entries of one commit, a line each, packed together.

A line is `ref`, `worker` (JSON; empty for Weir's own), `seq`, the hashes of person and content (hex; empty where there
is none) and the manifest, separated by tabs. Neither tab nor newline can stand in any of them, so that a block has as
many lines as entries, and a line reads in one way only.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

PLAIN = b"\0"
"""The first byte of a body that is not compressed; one that is begins with zlib's `x`."""
SMALL_BYTES = 2_048
"""Below it compressing costs more than it saves."""
MOST_BYTES = 1 << 30
FIELDS = 6


class Block(NamedTuple):
    """As stored, in the order of the columns. `earliest` and `latest`: the first and the last of its references in
    order of the alphabet, which is that of time. What is small stands before the body: a walk over many never touches
    the pages of that."""

    last: int
    first: int
    chained: float
    earliest: str
    latest: str
    mac: bytes
    body: bytes


class Line(NamedTuple):
    """An entry as signed."""

    ref: bytes
    worker: bytes
    seq: bytes
    person: bytes
    content: bytes
    manifest: bytes


def packed(text: bytes) -> bytes:
    """The lines of a block, as its body."""
    return PLAIN + text if len(text) < SMALL_BYTES else zlib.compress(text, 1)


def unpacked(body: bytes) -> bytes:
    """What was packed; ValueError where it was not packed by `packed`."""
    if body[:1] == PLAIN:
        return body[1:]
    try:
        tool = zlib.decompressobj()
        text = tool.decompress(body, MOST_BYTES)
    except zlib.error as error:
        raise ValueError("the block cannot be unpacked") from error
    if not tool.eof or tool.unused_data:
        raise ValueError("the block is not whole")
    return text


def lines(block: Block) -> list[bytes]:
    """The lines of a block, the first entry first; ValueError where they are not as many as its entries."""
    found = unpacked(block.body).split(b"\n")
    if len(found) != block.last - block.first + 1:
        raise ValueError("a block has a line for each of its entries")
    return found


def parsed(line: bytes) -> Line:
    """A line's fields; ValueError where it has others."""
    found = line.split(b"\t")
    if len(found) != FIELDS:
        raise ValueError("a line has six fields")
    return Line(*found)


def mark(line: bytes) -> bytes:
    """What tells an entry of a worker from every other: reference, worker, number."""
    return line[: line.index(b"\t", line.index(b"\t", line.index(b"\t") + 1) + 1)]
