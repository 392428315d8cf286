"""`streaming: auto`: a provider's stream, put together to the JSON answer for which its caller asked.

Long answers then come as they are made: a time-out between two pieces tells a provider that hangs from one that writes,
a caller that leaves ends the work at once, and what was used is known.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from proxy import own, wire
from proxy.errors import StreamCut, UpstreamFailed
from proxy.exchange import Exchange, Json, Request, Response
from proxy.live import Snapshot
from proxy.ports import Headers
from proxy.upstream import failure
from proxy.upstream.link import Answering
from proxy.wire import assemble
from proxy.wire.coding import encode
from proxy.wire.sse import Reader

DIALECTS = frozenset({"chat", "completions", "messages", "responses"})
_FRAMED = frozenset({"content-type", "content-length", "transfer-encoding"})


def fits(snapshot: Snapshot, agent: str, request: Request) -> bool:
    """Whether this call is to be streamed from its provider though its caller did not ask."""
    if request.stream or request.dialect not in DIALECTS or not snapshot.streams_for(agent):
        return False
    doc = request.doc
    return type(doc) is dict and not doc.get("background") and doc.get("best_of") in (None, 1)


async def gathered(exchange: Exchange, answering: Answering) -> Gathered:
    """The whole answer. Raises UpstreamFailed with what the stream told that went wrong, StreamCut where it ended
    before its end, ProtocolViolation where it is too large."""
    parts = assemble.assembler(exchange.request.dialect, exchange.request.doc)
    try:
        return Gathered(answering, encode(await _document(exchange, answering, parts)))
    except UpstreamFailed:
        if exchange.fallbacks:
            _take_down(exchange, parts)
        raise


def _take_down(exchange: Exchange, parts: assemble.Assembler) -> None:
    """An answer that broke off, before another is asked for: what came of it is paid for."""
    doc = parts.document()
    answer = None if doc is None else wire.codec(exchange.request.dialect).answer(encode(doc))
    if answer is not None:
        exchange.response = Response()
        own.received(exchange, exchange.response, answer, b"")
        exchange.response.complete = False


async def _document(exchange: Exchange, answering: Answering, parts: assemble.Assembler) -> dict[str, Json]:
    limit, size, reader = exchange.snapshot.limits.answer_bytes, 0, Reader()
    async for data in answering.chunks():
        size += len(data)
        if size > limit:
            answering.close()
            raise failure.too_large()
        for event in reader.feed(data):
            parts.take(event)
    for event in reader.close():
        parts.take(event)
    if parts.fault is not None:
        raise UpstreamFailed("The provider broke off its answer with an error.", code="upstream_stream_error")
    doc = parts.document() if parts.complete else None
    if doc is None:
        raise StreamCut("The provider's answer broke off.")
    return doc


class Gathered:
    """`upstream.link.Answering` with the body as one JSON document."""

    def __init__(self, answering: Answering, body: bytes) -> None:
        self.status = answering.status
        self.reused = answering.reused
        kept = [pair for pair in answering.headers if pair[0].lower() not in _FRAMED]
        self.headers: Headers = [("content-type", "application/json"), *kept]
        self._answering = answering
        self._body = body

    def header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known.lower() == name), None)

    def lines(self, changed: bool) -> bytes | None:
        return None

    async def read(self, limit: int) -> bytes:
        return self._body

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._body

    def close(self) -> None:
        self._answering.close()
