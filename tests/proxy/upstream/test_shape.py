"""Whole answers like ones before are read without the parser: nothing is read that it would not have read so."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.live import Timeouts
from proxy.upstream.connection import Connection
from proxy.upstream.endpoint import answer_headers
from proxy.upstream.shape import Shape, Shapes
from tests.kit import FakeClock


class Owner:
    """Takes connections back."""

    def released(self, connection: Connection) -> None:
        return

    def lost(self, connection: Connection) -> None:
        return


class Transport:
    """A socket that takes everything."""

    def write(self, data: bytes) -> None:
        return

    def get_extra_info(self, name: str) -> None:
        return

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        return


FIRST = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nX-A: b\r\nContent-Length: 2\r\n\r\nok"
PIECES = (
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 200\r\n",
    b"HTTP/1.1 204 No\r\n",
    b"HTTP/1.0 200 OK\r\n",
    b"HTTP/1.1 500 O\tk \r\n",
    b"HTTP/1.1 100 C\r\n\r\n",
    b"HTTP/1.1 600 X\r\n",
    b"Content-Type: a/b\r\n",
    b"Content-Type:\t a/b \t\r\n",
    b"X-A: b\r\n",
    b"X-A:\r\n",
    b"X-A: \xff\xc3\xa9 \r\n",
    b"X-A: a\x00b\r\n",
    b"X-A: a\rb\r\n",
    b"X-A: a\r\n b\r\n",
    b"X-A : b\r\n",
    b"x-a: b\r\n",
    b"Content-Length: 2\r\n",
    b"Content-Length: 02\r\n",
    b"Content-Length: 2 \r\n",
    b"Content-Length: +2\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: 2, 2\r\n",
    b"Content-Length:\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"\r\n",
    b"\n",
    b"ok",
    b"okk",
    b"o",
    b"\r\nok",
    FIRST,
)
USUAL = [b"HTTP/1.1 200 OK\r\n", b"Content-Type: a/b\r\n", b"X-A: b\r\n", b"Content-Length: 2\r\n", b"\r\n", b"ok"]


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """An answer like the first one, a little off."""
    parts = list(USUAL)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(parts) - 1))
        if draw(st.booleans()):
            parts[at] = draw(st.sampled_from(PIECES))
        else:
            parts.insert(at, draw(st.sampled_from(PIECES)))
    whole = b"".join(parts)
    if whole and draw(st.booleans()):
        at = draw(st.integers(0, len(whole) - 1))
        whole = whole[:at] + bytes([draw(st.integers(0, 255))]) + whole[at + 1 :]
    return whole


def read(data: bytes, *, known: bool) -> list[Any]:
    """What comes of `data` as the second answer of a connection."""
    connection = Connection(Owner(), FakeClock(), Timeouts(), shapes := Shapes())
    connection.connection_made(cast(Any, Transport()))
    connection.begin(b"", b"", bodyless=False, end_s=float("inf"))
    connection.data_received(FIRST)
    if not known:
        shapes.latest = None
        shapes.clear()
    arrival = connection.begin(b"", b"", bodyless=False, end_s=float("inf"))
    connection.data_received(data)
    connection.close()
    lines = arrival.lines(False) if known else None
    if lines is not None:
        sent = answer_headers(arrival.headers, changed=False)
        kept = [f"{name}: {value}\r\n" for name, value in sent if name.lower() != "content-length"]
        assert lines.decode("latin-1") == "".join(kept).encode().decode("latin-1") or not lines.isascii()
    body = arrival.rest if arrival.whole else b"".join(connection.pieces)
    return [arrival.status, arrival.headers, body, arrival.over, repr(arrival.error), connection.calls]


@settings(max_examples=400, deadline=None, database=None)
@given(answers())
async def test_an_answer_is_read_as_the_parser_reads_it(data: bytes) -> None:
    assert read(data, known=True) == read(data, known=False)
    await asyncio.sleep(0)


def test_what_does_not_match_is_given_up_at_once() -> None:
    shape = Shape((b"A", b"B", b"Content-Length"))
    blanks = b"HTTP/1.1 200 OK\r\nA:" + b" " * 200_000 + b"x\r\nC: y\r\nContent-Length: 0\r\n\r\n"
    before = time.perf_counter()
    assert shape.match(blanks) is None
    assert time.perf_counter() - before < 1


def test_a_shape_that_comes_once_costs_no_pattern() -> None:
    one, other = Shape((b"Content-Length", b"X-A")), Shape((b"Transfer-Encoding",))
    assert one._pattern is None
    assert one.match(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nok") == (200, 46, [b"2", b"b"])
    kept = one._pattern
    assert kept is not None and one.match(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") is None
    assert one._pattern is kept
    assert other.match(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n") is None
