"""A version of the system prompt in the place of the one that the call has, before it or behind it."""

from __future__ import annotations

from typing import Any

from proxy.exchange import Request, Segment

PROMPTED = frozenset({"chat", "responses", "messages"})
"""Dialects that know a system prompt."""
MANY = 1 << 40


def write(request: Request, text: str, mode: str, source: str) -> None:
    """`mode`: replace, prepend or append. What a provider has sealed is not touched."""
    if request.dialect not in PROMPTED:
        return
    if mode == "append":
        request.insert("system", text, source)
        return
    if request.dialect == "messages" and mode == "replace" and _blocks(request) > 1:
        request.set("system", _one_block(request.doc["system"], text))
        return
    said = [segment for segment in _leading(request) if not segment.sealed]
    if not said:
        request.insert("system", text, source)
    elif mode == "prepend":
        said[0].text = f"{text}\n\n{said[0].text}"
    else:
        said[0].text = text
        for segment in said[1:]:
            segment.text = ""


def _blocks(request: Request) -> int:
    system = request.get("system")
    return len(system) if isinstance(system, list) else 0


def _one_block(system: list[Any], text: str) -> list[dict[str, Any]]:
    """A text block may not be empty in this dialect, so all become one; the mark for the provider's cache stays."""
    block: dict[str, Any] = {"type": "text", "text": text}
    marks = [one["cache_control"] for one in system if isinstance(one, dict) and one.get("cache_control")]
    return [{**block, "cache_control": marks[-1]}] if marks else [block]


def _leading(request: Request) -> list[Segment]:
    """The texts of the system prompt, before anybody else speaks."""
    segments = request.segments
    first = min((one.index for one in segments if one.role != "system" and one.index >= 0), default=MANY)
    found = [one for one in segments if one.role == "system" and one.kind == "text" and one.index < first]
    if request.dialect == "messages":  # what else stands above the messages is no part of it
        return found[:1] if request.get("system") else []
    return found
