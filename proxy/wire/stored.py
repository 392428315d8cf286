"""What providers keep, as it is read again, and calls of which they only tell something: which paths, whose dialect."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from proxy.exchange import Dialect, Insert, Segment
from proxy.ports import Json
from proxy.wire import chat_texts
from proxy.wire.chat import ChatCodec
from proxy.wire.codec import Answer, Codec
from proxy.wire.dialect import named
from proxy.wire.messages import MessagesCodec
from proxy.wire.responses import ResponsesCodec
from proxy.wire.responses_items import type_of, walk
from proxy.wire.spots import segments

TOLD_OF = ("/v1/responses/compact", "/v1/responses/input_tokens", "/v1/messages/count_tokens")
"""Paths of calls that are not made: something is told of them, so their texts go out as those of calls do."""


class Stored(NamedTuple):
    """A path of what a provider keeps."""

    dialect: Dialect
    id: str
    """Of the answer or conversation; empty: the path names none."""
    reads: bool
    """The answer holds texts from before."""
    writes: bool = False
    """The body adds texts to it."""
    call: bool = False
    """The body is a call, of which something is told."""


def of(method: str, path: str) -> Stored | None:
    """What is asked of what a provider keeps; None where that is not what the path is about."""
    if path in TOLD_OF:
        made = Stored("messages" if path.startswith("/v1/messages") else "responses", "", True, writes=True, call=True)
        return made if method == "POST" else None
    _, version, room, *rest = (*path.split("/"), "", "", "")
    if version != "v1":
        return None
    if room == "responses":
        return _response(method, rest)
    if room == "conversations":
        return _conversation(method, rest)
    return _completion(method, rest[1:]) if room == "chat" and rest[0] == "completions" else None


def _response(method: str, rest: list[str]) -> Stored | None:
    if not rest[0]:
        return None
    return Stored("responses", rest[0], method == "GET" or (method == "POST" and rest[1] == "cancel"))


def _conversation(method: str, rest: list[str]) -> Stored | None:
    items = rest[1:2] == ["items"]
    reads = items and method in ("GET", "POST")
    return Stored("responses", rest[0], reads, writes=method == "POST" and (items or not rest[0]))


def _completion(method: str, rest: list[str]) -> Stored | None:
    return Stored("chat", rest[0], method in ("GET", "POST")) if rest[0] or method == "GET" else None


class StoredResponses(ResponsesCodec):
    """Responses, lists of items, single items, and bodies that add items to a conversation."""

    def check(self, doc: dict[str, Json]) -> None:
        super().check({"input": doc.get("items")})

    def walk(self, doc: Json) -> tuple[list[Segment], list[str]]:
        return super().walk({"input": doc.get("items")})

    def placed(self, doc: Json, inserts: Sequence[Insert]) -> Json:
        return doc

    def understood(self, body: bytes, doc: Json) -> Answer | None:
        found = super().understood(body, doc)
        if found is None and type(doc) is dict and type_of(doc) not in ("", "item_reference"):
            unread: list[str] = []
            texts = segments(walk(doc, unread), index=0)
            return None if "unknown" in unread else Answer(body, doc, lambda: texts, None, "", "")
        return found


class StoredCompletions(ChatCodec):
    """Completions, lists of them, and lists of the messages that were sent."""

    def understood(self, body: bytes, doc: Json) -> Answer | None:
        found = super().understood(body, doc)
        if found is not None or type(doc) is not dict or doc.get("object") != "list":
            return found
        items = doc.get("data")
        if type(items) is not list or not all(type(item) is dict for item in items):
            return None
        return Answer(body, doc, partial(_listed, items), None, named(doc), "")

    def settle(self, answer: Answer, changed: list[Segment]) -> list[tuple[Any, Any, Json]]:
        if "choices" in answer.doc:
            return super().settle(answer, changed)
        also: list[tuple[Any, Any, Json]] = []
        for choice in (one for item in answer.doc["data"] for one in _choices(item)):
            message = choice.get("message")
            if choice.get("logprobs") is not None:  # they spell the text out once more
                also.append((choice, "logprobs", None))
            if type(message) is dict and message.get("annotations"):
                also.append((message, "annotations", []))
        return also


def codec(asked: Stored, depth: int) -> Codec:
    """What reads that."""
    made: type[Any] = StoredCompletions if asked.dialect == "chat" else StoredResponses
    if asked.call:
        made = MessagesCodec if asked.dialect == "messages" else ResponsesCodec
    found: Codec = made(depth=depth)
    return found


def _choices(item: dict[str, Json]) -> list[dict[str, Json]]:
    found = item.get("choices")
    return [one for one in found if type(one) is dict] if type(found) is list else []


def _listed(items: list[dict[str, Json]]) -> list[Segment]:
    """The texts of a list: of completions, or of messages."""
    said: list[dict[str, Json]] = []
    for item in items:
        messages = [choice.get("message") for choice in _choices(item)]
        said += [one for one in messages if type(one) is dict] if "choices" in item else [item]
    return chat_texts.messages({"messages": said})[0]
