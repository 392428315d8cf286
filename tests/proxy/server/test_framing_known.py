"""Heads that came before are not parsed again: what comes out is the same, however the bytes were cut."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.live import Limits
from proxy.server.framing import Framing
from proxy.server.incoming import Incoming
from tests.proxy.server.line import Line
from tests.raw import HOST, chunked, get, post


class Forgetful(Framing):
    """Learns no head."""

    __slots__ = ()

    def _learn(self, data: bytes, message: Incoming) -> None:
        self._lone = None


def heard(framing: Framing, reads: list[bytes], answered: list[bool]) -> list[Any]:
    """What came of these reads, fed as a connection does: not while a request that is whole waits for its answer, and
    that comes behind the reads where `answered` says so."""
    found, held, at_hand = list[Any](), b"", None
    for read, answers in zip([*reads, b""], [*answered, True], strict=True):
        if at_hand is not None and at_hand.complete:
            held += read
        elif at_hand is None and not held and (known := framing.recognised(read)) is not None:
            at_hand = known
        else:
            framing.feed(read)
        at_hand = at_hand or (framing.ready.pop(0) if framing.ready else None)
        while answers and at_hand is not None and (at_hand.complete or at_hand.closing):
            found.append(told(at_hand))
            at_hand = None
            if not framing.ready and held and not framing.over:
                held, more = b"", held
                framing.feed(more)
            if framing.ready:
                at_hand = framing.ready.pop(0)
    rest = None if at_hand is None else told(at_hand)
    failure = None if framing.failure is None else (framing.failure.error.code, framing.failure.path)
    return [found, rest, failure, framing.over, framing.begun, framing.tail]


def told(request: Incoming) -> tuple[Any, ...]:
    body = b"".join(request._pieces)
    plain = (request.method, request.path, request.query, request.headers, request.length, body, request.received)
    return (*plain, request.complete, request.closing, request.modern, request.expects, request.websocket)


A = (b"Authorization: Bearer a", b"X: \t y ")
REQUESTS = [
    post(b"abc", *A), post(b"abcdef", *A), post(b"x" * 300, *A), post(b"", *A), post(b"POST / HTTP/1.1\r\n\r\n", *A),
    post(b"abc", *A, path=b"/v1/embeddings"), post(b"abc", *A[:1]), post(b"abc", *A, b"Connection: close"),
    post(b"abc", *A).replace(b"Content-Length: 3", b"content-length:3 "), get(b"/v1/models"), chunked(b"abc", b"d"),
    post(post(b"abc", *A), *A), b"\r\n" + post(b"abc", *A), post(b"abc", *A).replace(b"Length: 3", b"Length: x"),
    post(b"abc", *A).replace(b"Length: 3", b"Length: +3"), post(b"abc", *A).replace(b"Length: 3", b"Length: 3, 3"),
    post(b"abc", *A).replace(b"Length: 3", b"Length: 99999999999"), post(b"abc", *A, b"Content-Length: 3"),
    post(b"abc", *A).replace(b"HTTP/1.1", b"HTTP/1.0"), post(b"abc", *A, b"Expect: 100-continue"), b"\r\n", b"\x00",
    post(b"abc", *A, b"Transfer-Encoding: chunked"), post(b"abc", b"Connection: Upgrade", b"Upgrade: h2c"),
    b"POST /v1/x HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nX: y\r\n\r\nabc", post(b"abc", b"X: " + b"y" * 200),
]  # fmt: skip
MOSTLY = st.one_of(st.sampled_from(REQUESTS[:5]), st.sampled_from(REQUESTS))


@st.composite
def reads(draw: st.DrawFn) -> tuple[list[bytes], list[bool]]:
    """Requests, most of them with one head; cut between them, or anywhere."""
    several = draw(st.lists(MOSTLY, min_size=1, max_size=8))
    wire = b"".join(several)
    between = {sum(map(len, several[:at])) for at in range(len(several))}
    kept = {at for at in between if draw(st.booleans())}
    cuts = draw(st.lists(st.integers(0, len(wire)), max_size=6))
    edges = sorted({0, *kept, *cuts, len(wire)})
    parts = [wire[a:b] for a, b in pairwise(edges)]
    return parts, draw(st.lists(st.booleans(), min_size=len(parts), max_size=len(parts)))


@settings(max_examples=400, deadline=None, database=None)
@given(reads(), st.sampled_from([32 * 1024, 120, 200]))
def test_known_heads_give_the_same_requests_as_parsed_ones(cut: tuple[list[bytes], list[bool]], bound: int) -> None:
    limits = Limits(header_bytes=bound)
    assert heard(Framing(Line(limits)), *cut) == heard(Forgetful(Line(limits)), *cut)
