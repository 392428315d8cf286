"""A stream that nobody reads on its way: what must be noted of it is found by bytes tests over all that came at once.

A stream says where something may stand that is worth a glance (`Stream.spot`); only the events there are cut out and
glanced at. All others pass as they came, and nobody learns where one ends and the next begins.
"""

from __future__ import annotations

from proxy.wire.codec import Stream
from proxy.wire.sse import Reader


def skim(stream: Stream, reader: Reader, data: bytes) -> bytes:
    """Provider's bytes in, caller's bytes out: whole events only. The same bytes and the same notes, in the end, as if
    each event had been glanced at."""
    block: bytes | None = data
    if (
        reader.pending
        or data[-2:] != b"\n\n"
        or data[-3:] == b"\n\n\n"
        or b"\r" in data
        or len(data) > reader.max_bytes
    ):
        block = reader.take(data)
        if block is None:
            return b"".join([stream.glance(event) for event in reader.feed(b"")])
        if not block:
            return b""
    assert block is not None
    at = stream.spot(block, 0)
    return block if at < 0 else _glanced(stream, reader, block, at)


def _glanced(stream: Stream, reader: Reader, block: bytes, at: int) -> bytes:
    passed = 0
    """Up to here it is known what the caller gets."""
    out: list[bytes] = []
    end = 0
    while at >= 0:
        begin = _begin(block, end, at)
        end = block.find(b"\n\n", at) + 2
        event = reader.event(block[begin:end])
        told = stream.glance(event)
        if told is not event.raw:
            out += block[passed:begin], told
            passed = end
        at = stream.spot(block, end) if end < len(block) else -1
    return b"".join((*out, block[passed:])) if passed else block


def _begin(block: bytes, end: int, at: int) -> int:
    """Where the event at `at` begins, the one before having ended at `end` or later: behind a blank line. Of an odd
    number of newlines the last belongs to the event that follows."""
    found = block.rfind(b"\n\n", end, at)
    if found < 0:
        return end
    begin = found + 2
    return begin - (begin - end - len(block[end:begin].rstrip(b"\n"))) % 2
