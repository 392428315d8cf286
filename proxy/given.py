"""A plugin's whole answer on the short way: what a cache gives again, through the filters above it, and its head."""

from __future__ import annotations

from proxy import own
from proxy.chain import Chain
from proxy.coroutines import at_once
from proxy.exchange import Exchange, Response
from proxy.passage import Passage
from proxy.ports import Headers
from proxy.route import Route
from proxy.wire.codec import Codec

JSON = b"content-type: application/json\r\n"
EVENTS = b"content-type: text/event-stream\r\ncache-control: no-cache\r\n"
Given = tuple[bytes, bytes]
"""Lines of a head, and the body."""


def given(chain: Chain, exchange: Exchange, response: Response, route: Route, place: tuple[int, Codec]) -> Given | None:
    """What `exchange` is answered with, and that it was. `place`: under which the way back begins, and the codec.
    None, and nothing has happened: the regular way has to go on. Raises what filters and hooks decide."""
    below, codec = place
    body = _body(exchange, response)
    if body is None or exchange.verdicts or exchange.wants_text:
        return None
    passage = None
    if route.reads_answers:
        passage = Passage(chain, exchange, route, below, codec)
        if exchange.request.stream and (passage.filtering or not passage.untaped):
            return None
    exchange.response = response
    response.complete = True
    response.model = response.model or exchange.request.model
    if passage is not None and not exchange.request.stream:
        filtered = _filtered(exchange, passage, codec, body)
        if filtered is None:
            exchange.response = None
            return None
        body = filtered
    complete = False
    try:
        at_once(chain.response(exchange, route, below))
        complete = True
    finally:
        if passage is not None:
            passage.close(complete)
    response.delivered_bytes = len(body)
    exchange.timeline.first = exchange.timeline.first or chain.now()
    exchange.timeline.close(chain.now())
    return (EVENTS if exchange.request.stream else JSON) + _lines(exchange, response.headers), body


def _body(exchange: Exchange, response: Response) -> bytes | None:
    if response.status != 200 or response.text is not None:
        return None
    if not exchange.request.stream:
        return response.body
    return b"".join(response.events) if response.events is not None else None


def _filtered(exchange: Exchange, passage: Passage, codec: Codec, body: bytes) -> bytes | None:
    if not passage.filtering and passage.untaped:
        return body
    response, found = exchange.response, len(exchange.findings)
    answer = codec.answer(body)
    if answer is None or response is None:
        return None
    response.said = answer.texts
    response.usage = response.usage or answer.usage
    response.finish = answer.finish
    work = passage.whole(answer)
    try:
        work.send(None)
    except StopIteration as done:
        return bytes(done.value)
    work.close()  # a filter has to wait: begun anew where it can
    del exchange.findings[found:]
    return None


def _lines(exchange: Exchange, headers: Headers) -> bytes:
    ours = own.lines(exchange, theirs=True)
    if ours is None:
        told = own.theirs(headers) + own.headers(exchange, whole=True)
    elif len(headers) == 1:
        name, value = headers[0]
        return b"%b: %b\r\n%b" % (name.encode("latin-1"), value.encode("latin-1"), ours)
    else:
        told = headers
    return "".join([f"{name}: {value}\r\n" for name, value in told]).encode("latin-1") + (ours or b"")
