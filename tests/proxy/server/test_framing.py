from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.live import Limits
from proxy.server.framing import AHEAD_MOST, FRAMING_BYTES, HEADERS_MOST, Framing
from proxy.server.incoming import Incoming
from tests.proxy.server.line import Line
from tests.raw import HOST, chunked, get, post

SOCKET = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + b"A" * 22
H2C = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__")


def fed(*reads: bytes, bounds: Limits | None = None) -> Framing:
    framing = Framing(Line(bounds or Limits()))
    for read in reads:
        framing.feed(read)
    return framing


async def told(request: Incoming) -> tuple[str, str, list[tuple[str, str]], bytes]:
    return request.method, request.path, request.headers, await request.read()


def refused(framing: Framing) -> tuple[int, str]:
    assert framing.failure is not None
    return framing.failure.error.status, framing.failure.error.code


WIRE = b"".join(
    (post(b"abc" * 50), chunked(b"x" * 20, b"\r\n\r\n", b"z"), get(b"/v1/a?b", b"Empty:", b"Padded: \t a b \t"),
     b"\r\n", post(b"", *H2C, path=b"/v1/h2c"), get(b"/v1/last", b"Connection: close"))
)  # fmt: skip


@settings(max_examples=150, deadline=None, database=None)
@given(st.lists(st.integers(1, len(WIRE) - 1), max_size=12))
async def test_requests_are_the_same_however_the_bytes_were_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WIRE)]
    framing = fed(*(WIRE[a:b] for a, b in pairwise(edges)))
    requests = [await told(request) for request in framing.ready]
    assert [(method, path, len(body)) for method, path, _, body in requests] == [
        ("POST", "/v1/chat/completions", 150), ("POST", "/v1/x", 25), ("GET", "/v1/a", 0), ("POST", "/v1/h2c", 0),
        ("GET", "/v1/last", 0),
    ]  # fmt: skip
    assert requests[2][2][1:] == [("Empty", ""), ("Padded", "a b")]
    assert [request.closing for request in framing.ready] == [False] * 4 + [True]
    assert framing.over and framing.failure is None and framing.message is None


async def test_a_request_that_would_rather_speak_http_2_keeps_its_body() -> None:
    """llhttp would take the body for the other protocol, and so for a request."""
    smuggled = get(b"/smuggled")
    for wire in (
        post(smuggled, *H2C),
        chunked(smuggled, line=b"POST /v1/x HTTP/1.1\r\n" + b"".join(header + b"\r\n" for header in H2C)),
    ):
        framing = fed(wire + get(b"/v1/next"))
        first, second = [await told(request) for request in framing.ready]
        assert first[3] == smuggled
        assert ("Connection", "Upgrade, HTTP2-Settings") in first[2]
        assert second[1] == "/v1/next"


def test_what_follows_a_websockets_handshake_is_not_http() -> None:
    framing = fed(get(b"/v1/realtime", SOCKET + b"==") + b"\x81\x00GET /")
    assert [request.websocket for request in framing.ready] == [True]
    assert (framing.tail, framing.failure, framing.over) == (b"\x81\x00GET /", None, False)


@pytest.mark.parametrize("framed", [b"Content-Length: 3", b"Transfer-Encoding: chunked"])
def test_a_websockets_handshake_has_no_body(framed: bytes) -> None:
    for before in (b"", get(b"/v1/realtime", SOCKET + b"==")):
        framing = fed(before, get(b"/v1/realtime", SOCKET + b"==", framed) + b"abc")
        assert refused(framing) == (400, "bad_handshake")


@pytest.mark.parametrize(
    "header", [b"Content-Type: a\r\nContent-Type: b", b"User-Agent: a\r\nuser-agent: a", b"HOST: 127.0.0.1"]
)
def test_what_may_be_said_once_is_not_said_twice(header: bytes) -> None:
    assert refused(fed(get(b"/v1/x", header))) == (400, "malformed_request")


@pytest.mark.parametrize("before", [b"", get(b"/v1/x"), post(b"abc")])
def test_a_head_is_bounded_as_a_whole_while_it_comes_and_when_it_is_there(before: bytes) -> None:
    small = Limits(header_bytes=200)
    start = b"GET /v1/x HTTP/1.1\r\n" + HOST
    dripping = fed(before + start, *[b"X: y\r\n"] * 40, bounds=small)
    assert refused(dripping) == (431, "headers_too_large")
    assert refused(fed(before + start + b"X: " + b"y" * 200 + b"\r\n\r\n", bounds=small)) == (431, "headers_too_large")
    assert fed(before + start + b"X: " + b"y" * 100 + b"\r\n\r\n", bounds=small).failure is None
    assert len(dripping.ready) == bool(before)


def test_one_header_without_an_end_is_bounded_too() -> None:
    framing = fed(get(b"/v1/x") + b"GET / HTTP/1.1\r\nX: ", *[b"y" * 100] * 10, bounds=Limits(header_bytes=500))
    assert refused(framing) == (431, "headers_too_large")


def test_headers_are_counted() -> None:
    lines = [b"X%d: y" % number for number in range(HEADERS_MOST)]
    assert fed(get(b"/v1/x", *lines[1:])).failure is None
    assert refused(fed(get(b"/v1/x", *lines))) == (431, "headers_too_large")


def test_refusals_know_the_path_and_whether_a_body_may_follow() -> None:
    failure = fed(b"HEAD /v1/messages?a HTTP/1.1\r\n" + HOST + b"Expect: the-moon\r\n\r\n").failure
    assert failure is not None
    assert (failure.path, failure.silent, failure.error.status) == ("/v1/messages", True, 417)


async def test_trailers_are_thrown_away_and_bounded() -> None:
    body = chunked(b"abc")[:-2]
    framing = fed(body + b"X-Late: 1\r\n\r\n" + get(b"/v1/next"))
    first, second = [await told(request) for request in framing.ready]
    assert (first[3], second[2]) == (b"abc", [("Host", "127.0.0.1")])
    for trailers in ([b"X: y\r\n"] * (HEADERS_MOST + 1), [b"X: " + b"y" * 1000 + b"\r\n"] * 20):
        framing = fed(body, *trailers, b"\r\n")
        assert framing.over and framing.ready[0].closing


def test_chunk_framing_may_cost_what_honest_chunks_cost_and_little_more() -> None:
    honest = chunked(*[b"x"] * 20_000)
    at = [honest[start : start + 5000] for start in range(0, len(honest), 5000)]
    for reads in ([honest], at, [post(b"y" * 50_000) + honest + get(b"/v1/next")]):
        framing = fed(*reads)
        assert not framing.over
        assert all(request.complete for request in framing.ready)
    long = chunked(b"abc").replace(b"\r\n3\r\n", b"\r\n3;" + b"a" * 2 * FRAMING_BYTES + b"\r\n")
    for reads in ([long], [long[start : start + 1000] for start in range(0, len(long), 1000)]):
        assert fed(*reads).over


def test_only_so_many_requests_of_one_read_wait() -> None:
    framing = fed(get(b"/v1/x") * 1000)
    assert len(framing.ready) == AHEAD_MOST
    assert [request.closing for request in framing.ready] == [False] * (AHEAD_MOST - 1) + [True]
    assert framing.over and framing.surplus and framing.failure is None


def test_nothing_is_read_behind_the_last_request() -> None:
    framing = fed(get(b"/v1/x", b"Connection: foo, close"))
    assert framing.over and not framing.surplus
    framing.feed(get(b"/v1/late"))
    assert len(framing.ready) == 1 and framing.surplus


@settings(max_examples=200, deadline=None, database=None)
@given(st.binary(max_size=40), st.integers(0, len(WIRE)), st.randoms(use_true_random=False))
def test_whatever_is_fed_only_judgements_come_out(junk: bytes, at: int, dice: random.Random) -> None:
    wire = WIRE[:at] + junk + WIRE[at + dice.randrange(20) :]
    framing = fed(*(wire[start : start + 50] for start in range(0, len(wire), 50)))
    if framing.failure is not None:
        assert framing.over and framing.surplus and 400 <= framing.failure.error.status < 600
    framing.close()
    framing.feed(b"GET")
