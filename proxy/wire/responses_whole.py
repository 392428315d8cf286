"""A whole response of the Responses dialect: its usage, how it ended, and one of Weir's own, as JSON or as events."""

from __future__ import annotations

from typing import Any

from proxy.exchange import Usage
from proxy.ports import Json
from proxy.wire import sse
from proxy.wire.responses_items import type_of, walk


def usage_of(response: Json) -> Usage | None:
    """The usage that a response states; None where it states none."""
    usage = response.get("usage")
    if type(usage) is not dict:
        return None
    came, went = _details(usage, "input_tokens_details"), _details(usage, "output_tokens_details")
    prompt, output = _count(usage, "input_tokens"), _count(usage, "output_tokens")
    read = min(_count(came, "cached_tokens"), prompt)
    written = min(_count(came, "cache_write_tokens"), prompt - read)
    fresh = prompt - read - written
    return Usage(
        input=fresh,
        cache_read=read,
        cache_write=written,
        output=output,
        reasoning=min(_count(went, "reasoning_tokens"), output),
        audio_input=min(_count(came, "audio_tokens"), fresh),
        audio_output=min(_count(went, "audio_tokens"), output),
    )


def finish_of(response: Json) -> str:
    """Why it ended (`max_output_tokens`, `content_filter` ...), else its status; empty while it runs."""
    details = response.get("incomplete_details")
    reason = details.get("reason") if type(details) is dict else None
    status = response.get("status")
    if status == "incomplete" and type(reason) is str:
        return reason
    return status if type(status) is str and status not in ("in_progress", "queued") else ""


def joined_text(items: list[Any]) -> str:
    """The text of all messages, as some servers repeat it beside the items."""
    found = (one for item in items if type_of(item) == "message" for one in walk(item, []))
    return "".join(one.text for one in found if one.key == "text")


def compose_response(text: str, *, model: str, id: str, finish: str, usage: Usage | None) -> dict[str, Any]:
    """A response with one message. `finish` `content_filter` makes it an incomplete one."""
    response = begun(id, model)
    response["output"] = [message(f"msg_{id}", [output_text(text)], "completed")]
    response["usage"] = _stated(usage)
    return ended(response, "content_filter" if finish == "content_filter" else "")


def begun(id: str, model: str) -> dict[str, Any]:
    """A response that has just begun."""
    return {
        "id": id,
        "object": "response",
        "created_at": 0,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": model,
        "output": [],
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": None,
    }


def ended(response: dict[str, Any], reason: str) -> dict[str, Any]:
    """The same response, completed, or incomplete for this reason."""
    details = {"reason": reason} if reason else None
    return {**response, "status": "incomplete" if reason else "completed", "incomplete_details": details}


def message(id: str, parts: list[Json], status: str) -> dict[str, Any]:
    return {"id": id, "type": "message", "status": status, "role": "assistant", "content": parts}


def output_text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": []}


def compose_events(response: dict[str, Any], text: str) -> bytes:
    """All events of a stream that delivers such a response."""
    item = response["output"][0]
    first = {**response, "status": "in_progress", "incomplete_details": None, "output": [], "usage": None}
    spot = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    added = {**item, "status": "in_progress", "content": []}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": first},
        {"type": "response.in_progress", "response": first},
        {"type": "response.output_item.added", "output_index": 0, "item": added},
        {"type": "response.content_part.added", **spot, "part": output_text("")},
        {"type": "response.output_text.delta", **spot, "delta": text, "logprobs": []},
        {"type": "response.output_text.done", **spot, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **spot, "part": item["content"][0]},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": f"response.{response['status']}", "response": response},
    ]
    return write_all(events, 0)


def write_all(events: list[dict[str, Any]], number: int) -> bytes:
    """The events as bytes, their sequence numbers counted from `number`."""
    numbered = ({**event, "sequence_number": number + at} for at, event in enumerate(events))
    return b"".join(sse.write(event["type"], event) for event in numbered)


def _stated(usage: Usage | None) -> Json:
    if usage is None:
        return None
    return {
        "input_tokens": usage.input + usage.cache_read + usage.cache_write,
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total,
    }


def _details(usage: dict[str, Any], name: str) -> dict[str, Any]:
    found = usage.get(name)
    return found if type(found) is dict else {}


def _count(counts: dict[str, Any], name: str) -> int:
    found = counts.get(name)
    return found if type(found) is int else 0
