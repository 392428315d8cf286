"""What a plugin answers, in the form the caller asked for: one JSON body, or events; and what events say.

A plugin gives a text, a body or events. Texts turn from one form into another; calls of tools do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from proxy.errors import PluginFailed
from proxy.exchange import Exchange, Json, Response, Segment, Usage
from proxy.wire.codec import Codec, Stream
from proxy.wire.sse import Reader


def streams(exchange: Exchange) -> bool:
    """Whether the caller waits for events."""
    return exchange.request.stream and exchange.request.dialect != "embeddings"


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
                    kept.original = ""
                kept.original += piece.text
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
    return codec.compose(
        text,
        model=response.model or exchange.request.model,
        id=exchange.id,
        stream=streams(exchange),
        finish=response.finish or "stop",
        usage=response.usage,
    )
