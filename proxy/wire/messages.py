"""The codec of Anthropic's Messages API: `/v1/messages`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar

from proxy.errors import MalformedBody
from proxy.exchange import Dialect, Insert, Role, Segment, Usage
from proxy.ports import Json
from proxy.wire.codec import Answer
from proxy.wire.coding import encode
from proxy.wire.dialect import DialectCodec, expect, expect_objects, named, wrong
from proxy.wire.messages_blocks import content, walk
from proxy.wire.messages_stream import MessagesStream
from proxy.wire.messages_whole import compose_events, compose_message, usage_of
from proxy.wire.spots import Found, Spot, of_tools, search, segments

ABOVE = -1
"""The index of what stands above the messages: the system prompt, the answer's schema."""

_ROLES: MappingProxyType[Any, Role] = MappingProxyType(
    {"user": "user", "assistant": "assistant", "system": "system"}
)  # fmt: skip
_TOOLS = (
    Spot("*", "tool_description", "system", "descriptions"),
    Spot("*.input_examples", "tool_description", "system", "leaves"),
)
_SETUP = (
    Spot("output_config.format", "tool_description", "system", "descriptions"),
    Spot("output_format", "tool_description", "system", "descriptions"),
    Spot("context_management.edits.*.instructions", "text", "system"),
)


class MessagesCodec(DialectCodec):
    """Reads and writes calls and answers of `/v1/messages`."""

    dialect: ClassVar[Dialect] = "messages"

    def check(self, doc: dict[str, Json]) -> None:
        expect(doc, "model", str)
        expect(doc, "max_tokens", int)
        expect(doc, "stream", bool)
        expect_objects(doc, "messages", required=True)
        expect_objects(doc, "tools")
        for number, message in enumerate(doc["messages"]):
            where = f"messages[{number}]"
            if _ROLES.get(message.get("role") if type(message.get("role")) is str else None) is None:
                raise MalformedBody(f"The parameter '{where}.role' must be user or assistant.", param=f"{where}.role")
            _check_content(message, "content", where)
        _check_content(doc, "system", "")

    def walk(self, doc: Json) -> tuple[list[Segment], list[str]]:
        messages = doc.get("messages") or []
        turn = _last_turn(messages)
        unread: list[str] = []
        found = segments(_system(doc, unread), index=ABOVE, fresh=turn < 0)
        above = len(found)
        for index, message in enumerate(messages):
            found += segments(_message(message, unread), index=index, fresh=index > turn)
        found += of_tools(doc, _TOOLS, fresh=turn < 0)
        found += segments(search(doc, _SETUP), index=ABOVE, fresh=turn < 0, part=above)
        return found, unread

    def placed(self, doc: Json, inserts: Sequence[Insert]) -> Json:
        doc = dict(doc)
        system = [one.text for one in inserts if one.role == "system"]
        others = [one for one in inserts if one.role != "system"]
        if system:
            doc["system"] = _extended(doc.get("system"), system)
        messages = list(doc["messages"])
        last = len(messages)
        placed = sorted(((min(max(0, one.index), last), one) for one in others), key=lambda pair: pair[0])
        for at, one in reversed(placed):  # backwards, so that positions stay those of the caller's messages
            role = "assistant" if one.role == "assistant" else "user"
            messages.insert(at, {"role": role, "content": one.text})
        doc["messages"] = messages
        return doc

    def opening(self, doc: Json) -> Json:
        unread: list[str] = []
        texts = [[one.role, one.text] for one in _system(doc, unread)]
        for message in doc.get("messages") or ():
            texts += [[one.role, one.text] for one in _message(message, unread)]
            if message.get("role") == "user":
                break
        return texts

    def understood(self, body: bytes, doc: Json) -> Answer | None:
        if type(doc) is not dict or doc.get("type") != "message" or type(doc.get("content")) is not list:
            return None
        finish = doc.get("stop_reason")
        return Answer(
            body, doc, partial(_texts, doc), usage_of(doc.get("usage")),
            named(doc), finish if type(finish) is str else "",
        )  # fmt: skip

    def stream(self, doc: Json) -> MessagesStream:
        return MessagesStream()

    def compose(self, text: str, *, model: str, id: str, stream: bool, finish: str, usage: Usage | None) -> bytes:
        message = compose_message(text, model=model, id=id, finish=finish, usage=usage)
        return compose_events(message) if stream else encode(message)


def _texts(doc: Json) -> list[Segment]:
    """Of an answer."""
    found: list[Segment] = []
    for index, block in enumerate(doc["content"]):
        found += segments(answered(block), index=index)
    return found


def answered(block: Json) -> Iterator[Found]:
    """The texts of a block of an answer."""
    return walk(block, "text", "assistant", [])


def _check_content(holder: dict[str, Any], name: str, where: str) -> None:
    expect(holder, name, str, list, where=where)
    blocks = holder.get(name)
    for number, block in enumerate(blocks if type(blocks) is list else ()):
        if type(block) is not dict:
            wrong(f"{where}.{name}[{number}]".lstrip("."), block, dict)


def _last_turn(messages: list[Any]) -> int:
    """The last message of the assistant, not counting a begun answer at the very end, which the call asks to go on."""
    last = len(messages) - 1
    while last >= 0 and messages[last].get("role") == "assistant":
        last -= 1
    while last >= 0 and messages[last].get("role") != "assistant":
        last -= 1
    return last


def _system(doc: Json, unread: list[str]) -> Iterator[Found]:
    value = doc.get("system")
    if type(value) is str and value:
        yield Found(("system",), doc, "system", "text", "system")
    for number, block in enumerate(value if type(value) is list else ()):
        yield from walk(block, "text", "system", unread, ("system", number))


def _message(message: Json, unread: list[str]) -> Iterator[Found]:
    return content(message, "text", _ROLES.get(message.get("role"), "user"), unread)


def _extended(value: Json, texts: list[str]) -> Json:
    if type(value) is list:
        return [*value, *({"type": "text", "text": text} for text in texts)]
    return "\n\n".join([value, *texts] if value else texts)
