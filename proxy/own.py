"""What Weir says of its own: the headers of every answer, and a plugin's answer in the form the caller asked for.

A plugin gives a text, a body or events. Texts turn from one form into another; calls of tools do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from urllib.parse import quote

from proxy import record
from proxy.errors import PluginFailed
from proxy.exchange import Discarded, Exchange, Json, Response, Segment, Usage, UsageSource
from proxy.ports import Headers
from proxy.wire.codec import Answer, Codec, Stream
from proxy.wire.sse import Reader

SHOWN_CHARS = 256
PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")
"""What a header may hold as it is; the rest of a model's name is percent-encoded."""


def headers(exchange: Exchange, *, whole: bool = False) -> Headers:
    """Weir's `x-weir-*` for an answer; cost and overhead only where they are known before the first byte."""
    found = [("x-weir-request-id", exchange.id)]
    target = exchange.target
    if target is not None:
        found.append(("x-weir-model", _plain(target.model)))
    if exchange.variant:
        found.append(("x-weir-variant", exchange.variant))
    if exchange.cache:
        found.append(("x-weir-cache", exchange.cache))
    if exchange.response is not None and exchange.response.headers:
        found.extend(pair for pair in exchange.response.headers if pair[0].startswith("x-weir-"))
    if whole:
        if exchange.cost_nano_usd is not None:
            found.append(("x-weir-cost-usd", f"{exchange.cost_nano_usd / 1e9:.9f}"))
        found.append(("x-weir-overhead-ms", f"{exchange.timeline.own_s * 1000:.3f}"))
    if exchange.tells:
        found.append(("x-weir-debug", record.steps_line(exchange)))
    return found


def lines(exchange: Exchange, *, theirs: bool = False) -> bytes | None:
    """What `headers` says of a whole answer, as lines of its head; None where there is more to say than usual.
    `theirs`: what else the answer's own headers say is told elsewhere."""
    target, cost = exchange.target, exchange.cost_nano_usd
    response, spent_ms = exchange.response, exchange.timeline.own_s * 1000
    if target is None or exchange.variant or exchange.caller.debug:
        return None
    if response is not None and response.headers and (not theirs or _weirs(response.headers)):
        return None
    paid = "" if cost is None else f"x-weir-cost-usd: {cost / 1e9:.9f}\r\n"
    cached = f"x-weir-cache: {exchange.cache}\r\n" if exchange.cache else ""
    return (
        f"x-weir-request-id: {exchange.id}\r\nx-weir-model: {_plain(target.model)}\r\n"
        f"{cached}{paid}x-weir-overhead-ms: {spent_ms:.3f}\r\n"
    ).encode()


def _weirs(given: Headers) -> bool:
    for name, _ in given:  # noqa: SIM110  (a generator costs more than all the rest of it)
        if name[:7].lower() == "x-weir-":
            return True
    return False


@lru_cache(256)
def _plain(model: str) -> str:
    return quote(model[:SHOWN_CHARS], safe=PLAIN)


def theirs(given: Headers) -> Headers:
    """A plugin's headers but `x-weir-*`, which `headers` writes."""
    return [pair for pair in given if not pair[0].lower().startswith("x-weir-")]


def inherit(made: Response, before: Response | None) -> None:
    """What stands in the place of a provider's answer does not undo what that one used."""
    if before is not None and made is not before and made.usage is None:
        made.usage, made.usage_source = before.usage, before.usage_source
        made.model = made.model or before.model


def discard(exchange: Exchange) -> None:
    """The answer that came is nobody's any more. What it used is kept, where that was told or something was said."""
    response, target = exchange.response, exchange.target
    if response is None or target is None or response.source != "upstream" or response.status >= 400:
        return
    if response.usage_source != "cached" and (response.usage is not None or response.complete or response.said):
        exchange.discarded.append(Discarded(target, response))


def received(exchange: Exchange, response: Response, answer: Answer, body: bytes) -> None:
    """A provider's whole answer, as the codec read it."""
    response.said, response.usage, response.model = answer.texts, answer.usage, answer.model
    response.usage_source = "none" if answer.usage is None else source(exchange)
    response.finish, response.complete, response.body = answer.finish, True, body
    response.id = named if type(named := answer.doc.get("id")) is str else ""


def source(exchange: Exchange) -> UsageSource:
    """Whose the usage is that stands in an answer: a call that shares another's is not charged for it."""
    return "cached" if exchange.cache == "COALESCED" else "provider"


def told(exchange: Exchange) -> bool:
    """Whether the last event of a stream has gone out: many clients hang up there, before the end of the body."""
    response = exchange.response
    whole = exchange.request.stream and response is not None and response.complete and exchange.error is None
    return whole and delivered(exchange)


def delivered(exchange: Exchange) -> bool:
    return exchange.response is not None and exchange.response.delivered_bytes > 0


def body(codec: Codec, exchange: Exchange, response: Response) -> bytes:
    """One JSON body. Raises PluginFailed where events hold more than text."""
    if response.body is not None:
        return response.body
    if response.events is None:
        return _composed(codec, exchange, response, response.text or "")
    segments, stream = said(codec, exchange.request.doc, response.events)
    return _turned(codec, exchange, response, (segments, stream.finish, stream.usage))


def events(codec: Codec, exchange: Exchange, response: Response) -> Sequence[bytes]:
    """All events of a stream. Raises PluginFailed where a body holds more than text."""
    if response.events is not None:
        return response.events
    answer = codec.answer(response.body) if response.body is not None else None
    if answer is None:
        return [_composed(codec, exchange, response, response.text or "")]
    return [_turned(codec, exchange, response, (answer.segments, answer.finish, answer.usage))]


def said(codec: Codec, doc: Json, chunks: Iterable[bytes]) -> tuple[list[Segment], Stream]:
    """The texts of a recorded stream, and its state after the last event."""
    stream, reader = codec.stream(doc), Reader()
    found: dict[int, Segment] = {}
    came = [event for chunk in chunks for event in reader.feed(chunk)]
    for event in [*came, *reader.close()]:
        steps = stream.event(event)
        try:
            piece = next(steps)
            while True:
                kept = found.get(id(piece.segment))
                if kept is None:
                    kept = found[id(piece.segment)] = piece.segment
                    kept.begin()
                kept.grow(piece.text)
                piece = steps.send(piece.text)
        except StopIteration:
            continue
    return list(found.values()), stream


def _turned(
    codec: Codec, exchange: Exchange, response: Response, came: tuple[list[Segment], str, Usage | None]
) -> bytes:
    segments, finish, usage = came
    if any(segment.kind == "tool_arguments" for segment in segments):
        raise PluginFailed(response.source, "a recorded answer with calls of tools has one form only")
    response.usage = response.usage or usage
    response.finish = response.finish or ("content_filter" if finish in ("content_filter", "refusal") else "stop")
    return _composed(codec, exchange, response, "".join(one.text for one in segments if one.kind == "text"))


def _composed(codec: Codec, exchange: Exchange, response: Response, text: str) -> bytes:
    stream = exchange.request.stream
    return codec.compose(
        text,
        model=response.model or exchange.request.model,
        id=exchange.id,
        stream=stream,
        finish=response.finish or "stop",
        usage=response.usage if not stream or codec.wants_usage(exchange.request.doc) else None,
    )
