"""A whole answer of the Messages dialect: its usage, and one of Weir's own, as JSON or as events."""

from __future__ import annotations

from typing import Any

from proxy.exchange import Usage
from proxy.ports import Json
from proxy.wire import sse
from proxy.wire.dialect import whole


def usage_of(usage: Json, before: Usage | None = None) -> Usage | None:
    """The usage as stated. Streams state it more than once, each time the total so far; what a later statement leaves
    out stays as it was `before`."""
    if type(usage) is not dict:
        return before
    known = before or Usage()
    details = usage.get("output_tokens_details")
    thinking = details.get("thinking_tokens") if type(details) is dict else None
    written, hour = _written(usage, known)
    return Usage(
        input=_newer(usage.get("input_tokens"), known.input),
        cache_read=_newer(usage.get("cache_read_input_tokens"), known.cache_read),
        cache_write=written,
        cache_write_1h=hour,
        output=_newer(usage.get("output_tokens"), known.output),
        reasoning=_newer(thinking, known.reasoning),
    )


def _written(usage: dict[str, Json], known: Usage) -> tuple[int, int]:
    """What was written to the provider's cache, and how much of it is kept for an hour."""
    created = usage.get("cache_creation")
    if type(created) is not dict:
        written = _newer(usage.get("cache_creation_input_tokens"), known.cache_write)
        return written, min(known.cache_write_1h, written)
    hour = whole(created.get("ephemeral_1h_input_tokens"))
    both = whole(created.get("ephemeral_5m_input_tokens")) + hour
    written = whole(usage.get("cache_creation_input_tokens")) or both
    return written, min(hour, written)


def _newer(value: Json, before: int) -> int:
    return before if value is None else whole(value)


def begun(id: str, model: str, usage: Usage | None) -> dict[str, Any]:
    """A message that has just begun; its usage has no output yet."""
    return {
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**_stated(usage), "output_tokens": 0},
    }


def compose_message(text: str, *, model: str, id: str, finish: str, usage: Usage | None) -> dict[str, Any]:
    """A message with one text. `finish` `content_filter` makes it a refusal."""
    return {
        **begun(id, model, usage),
        "content": [{"type": "text", "text": text}],
        "stop_reason": "refusal" if finish == "content_filter" else "end_turn",
        "usage": _stated(usage),
    }


def compose_events(message: dict[str, Any]) -> bytes:
    """All events of a stream that delivers such a message."""
    text = message["content"][0]["text"]
    first = {
        **message,
        "content": [],
        "stop_reason": None,
        "usage": {**message["usage"], "output_tokens": 0},
    }
    end = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    return write_all(
        {"type": "message_start", "message": first},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": end, "usage": message["usage"]},
        {"type": "message_stop"},
    )


def write_all(*events: dict[str, Any]) -> bytes:
    return b"".join(sse.write(event["type"], event) for event in events)


def _stated(usage: Usage | None) -> dict[str, int]:
    known = usage or Usage()
    return {
        "input_tokens": known.input,
        "cache_creation_input_tokens": known.cache_write,
        "cache_read_input_tokens": known.cache_read,
        "output_tokens": known.output,
    }
