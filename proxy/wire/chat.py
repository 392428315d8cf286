"""The chat dialect: `/v1/chat/completions` of OpenAI and of everyone who speaks it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, Final

from proxy.exchange import Dialect, Insert, Request, Role, Segment, Usage
from proxy.ports import Json
from proxy.wire import chat_texts, sse
from proxy.wire.body import Place, encode
from proxy.wire.chat_stream import ChatStream, moved
from proxy.wire.chat_texts import Walk
from proxy.wire.codec import Answer, Stream
from proxy.wire.dialect import DialectCodec, expect, named, wrong
from proxy.wire.usage import normalised, reported

_TYPES: Final = MappingProxyType(
    {"stream": bool, "n": int, "stream_options": dict, "tools": list, "max_tokens": int, "max_completion_tokens": int}
)
_TOLD_CHARS = 2048
_SYSTEM = ("system", "developer")


class ChatCodec(DialectCodec):
    """See `wire.codec.Codec`."""

    dialect: ClassVar[Dialect] = "chat"

    def check(self, doc: dict[str, Json]) -> None:
        if type(doc.get("model")) is not str:
            expect(doc, "model", str, required="model" in doc)
        if type(doc.get("messages")) is not list:
            expect(doc, "messages", list, required=True)
        for name, value in doc.items():
            if name in _TYPES and type(value) is not _TYPES[name]:
                expect(doc, name, _TYPES[name])
        for message in doc["messages"]:
            if type(message) is not dict or "tool_calls" in message:
                break
            if type(message.get("content")) is not str or type(message.get("role")) is not str:
                break
        else:  # most are like this
            return
        for position, message in enumerate(doc["messages"]):
            where = f"messages[{position}]"
            if type(message) is not dict:
                wrong(where, message, dict)
            expect(message, "role", str, where=where)
            expect(message, "content", str, list, where=where)
            expect(message, "tool_calls", list, where=where)

    def plain(self, doc: Json) -> bool:
        for message in doc["messages"]:
            if len(message) != 2 or type(message.get("content")) is not str or "role" not in message:
                return False
        return True

    def walk(self, doc: Json) -> tuple[list[Segment], list[str]]:
        segments, uninspected = chat_texts.messages(doc)
        fresh = not any(message.get("role") == "assistant" for message in doc.get("messages") or ())
        return segments + chat_texts.settings(doc, fresh), list(dict.fromkeys(uninspected))

    def placed(self, doc: Json, inserts: Sequence[Insert]) -> Json:
        messages = list(doc["messages"])
        lead = _lead(messages)
        later: dict[int, list[Json]] = {}
        for insert in inserts:
            if insert.role != "system":
                role: Role = "user" if insert.role == "tool" else insert.role
                at = min(max(insert.index, lead), len(messages))
                later.setdefault(at, []).append({"role": role, "content": insert.text})
        placed: list[Json] = []
        for position in range(len(messages) + 1):
            placed += later.get(position, ())
            placed += messages[position : position + 1]
        for insert in inserts:
            if insert.role == "system":
                _add_system(placed, insert.text)
        return {**doc, "messages": placed}

    def opening(self, doc: Json) -> Json:
        found: list[Json] = []
        for message in doc.get("messages") or ():
            content = message.get("content")
            if type(content) is str and len(content) > _TOLD_CHARS:
                # (enough to tell it from others, and texts may be long)
                found.append([message.get("role"), len(content), content[:_TOLD_CHARS], content[-_TOLD_CHARS:]])
            else:
                found.append(message)
            if message.get("role") == "user":
                break
        return found

    def wants_usage(self, doc: Json) -> bool:
        options = doc.get("stream_options")
        return type(options) is dict and options.get("include_usage") is True

    def ask_usage(self, request: Request) -> None:
        request.set("stream_options.include_usage", True)

    def understood(self, body: bytes, doc: Json) -> Answer | None:
        choices = doc.get("choices") if type(doc) is dict else None
        if type(choices) is not list:
            return None
        for choice in choices:
            if type(choice) is not dict:
                return None
        return Answer(body, doc, partial(_texts, choices), normalised(doc), named(doc), finish_of(choices))

    def settle(self, answer: Answer, changed: list[Segment]) -> list[tuple[Any, Any, Json]]:
        also: list[tuple[Any, Any, Json]] = []
        for position, choice in enumerate(answer.doc["choices"]):
            here = [segment for segment in changed if segment.index == place_of(choice, position)]
            if here and choice.get("logprobs") is not None:
                also.append((choice, "logprobs", None))
            message = choice.get("message")
            for segment in here:
                slot = segment.slot
                if isinstance(slot, Place) and slot.container is message and slot.key == "content":
                    notes = message.get("annotations")
                    if type(notes) is list and notes:
                        also.append((message, "annotations", moved(notes, segment.original, segment.text)))
        return also

    def stream(self, doc: Json) -> Stream:
        n = doc.get("n")
        return ChatStream(model=named(doc), n=n if type(n) is int else 1, kept=doc.get("store") is True)

    def compose(self, text: str, *, model: str, id: str, stream: bool, finish: str, usage: Usage | None) -> bytes:
        if not stream:
            message = {"role": "assistant", "content": text, "refusal": None}
            choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
            doc = {"id": id, "object": "chat.completion", "created": 0, "model": model, "choices": [choice]}
            return encode({**doc, "usage": reported(usage)} if usage else doc)
        head = {"id": id, "object": ChatStream.kind, "created": 0, "model": model}
        deltas: list[tuple[Json, str | None]] = [
            ({"role": "assistant", "content": "", "refusal": None}, None),
            ({"content": text}, None),
            ({}, finish),
        ]
        events = [
            sse.write("", {**head, "choices": [{"index": 0, "delta": said, "logprobs": None, "finish_reason": reason}]})
            for said, reason in deltas
        ]
        if usage:
            events.append(sse.write("", {**head, "choices": [], "usage": reported(usage)}))
        return b"".join(events) + sse.DONE


def _texts(choices: list[dict[str, Json]]) -> list[Segment]:
    """Of an answer."""
    segments: list[Segment] = []
    for position, choice in enumerate(choices):
        message = choice.get("message")
        if type(message) is dict:
            walk = Walk("assistant", place_of(choice, position))
            walk.message(message)
            segments += walk.segments
    return segments


def place_of(choice: dict[str, Json], position: int) -> int:
    index = choice.get("index")
    return index if type(index) is int else position


def finish_of(choices: list[dict[str, Json]]) -> str:
    """Why the first choice ended."""
    if len(choices) == 1:
        first = choices[0]
    else:
        first = min(enumerate(choices), key=lambda pair: place_of(pair[1], pair[0]), default=(0, {}))[1]
    reason = first.get("finish_reason")
    return reason if type(reason) is str else ""


def _lead(messages: list[Json]) -> int:
    """How many messages the system prompt takes at the top."""
    return next((at for at, message in enumerate(messages) if message.get("role") not in _SYSTEM), len(messages))


def _add_system(messages: list[Json], text: str) -> None:
    lead = _lead(messages)
    if not lead:
        messages.insert(0, {"role": "system", "content": text})
        return
    last = messages[lead - 1]
    content = last.get("content")
    if type(content) is list:
        added: Json = [*content, {"type": "text", "text": text}]
    else:
        added = f"{content}\n\n{text}" if content else text
    messages[lead - 1] = {**last, "content": added}
