"""A stream's events put together to the JSON answer that the provider would have given without streaming; pure.

How to use it: `assembler(dialect, call)`, then `take` each event as it comes; at the end `fault` (what the stream said
went wrong), `complete` (it ended properly) and `document()`.

Fields that are not known here are kept: texts of deltas are joined, lists joined or merged by `index`, other values
taken as they first (top level of chunks) or last came. Numbers are exact, as everywhere in `wire`.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from typing import Any, Protocol

from proxy.exchange import Dialect
from proxy.ports import Json
from proxy.wire.codec import Event
from proxy.wire.coding import load
from proxy.wire.partial import completed

_ONCE = frozenset({"id", "type", "role", "name", "object", "format"})
"""Texts that come whole; some servers repeat them with every chunk."""
_OF_CHUNKS = frozenset({"choices", "usage", "object", "obfuscation"})
_LEADING = ("id", "object", "created", "model")
_WHOLE = MappingProxyType({"chat.completion.chunk": "chat.completion"})


class Assembler(Protocol):
    """Of one answer."""

    @property
    def complete(self) -> bool:
        """The answer ended as its dialect says it ends."""
        ...

    @property
    def fault(self) -> Json | None:
        """The error that the stream told, in the provider's words."""
        ...

    def take(self, event: Event) -> None:
        """The next event. What is no JSON or no event of this dialect is passed over."""
        ...

    def document(self) -> dict[str, Json] | None:
        """The answer as far as it came; None where none has begun. Asked once, at the end."""
        ...


def assembler(dialect: Dialect, call: Json = None) -> Assembler:
    """For a dialect that streams; `call` is the body that was sent. KeyError for one that does not stream."""
    if dialect in ("chat", "completions"):
        count = call.get("n") if type(call) is dict else None
        return Chunks(count if type(count) is int else 1)
    makers: dict[str, type[Blocks | Items]] = {"messages": Blocks, "responses": Items}
    return makers[dialect]()


def assembled(dialect: Dialect, events: Iterable[Event], call: Json = None) -> dict[str, Json] | None:
    """The answer of a whole stream; None where it is not complete or told an error."""
    made = assembler(dialect, call)
    for event in events:
        made.take(event)
    return made.document() if made.complete and made.fault is None else None


class Text:
    """A text that is still growing."""

    __slots__ = ("pieces",)

    def __init__(self, *pieces: str) -> None:
        self.pieces = list(pieces)


class Chunks:
    """Chat and completions: chunks with deltas by choice."""

    def __init__(self, count: int = 1) -> None:
        self._count = count
        self._top: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self.fault: Json | None = None

    @property
    def complete(self) -> bool:
        ended = sum(1 for choice in self._choices.values() if choice.get("finish_reason"))
        return 0 < len(self._choices) == ended and ended >= self._count

    def take(self, event: Event) -> None:
        chunk = _read(event)
        if chunk is None:
            return
        if chunk.get("error") is not None and not chunk.get("choices"):
            self.fault = chunk["error"]
            return
        for name, value in chunk.items():
            if name not in _OF_CHUNKS:
                _put_first(self._top, name, value)
        if type(chunk.get("object")) is str and chunk["object"]:
            self._top.setdefault("object", _WHOLE.get(chunk["object"], chunk["object"]))
        if chunk.get("usage") is not None:
            self._top["usage"] = chunk["usage"]
        choices = chunk.get("choices")
        for position, choice in enumerate(choices if type(choices) is list else ()):
            if type(choice) is dict:
                self._take_choice(choice, position)

    def _take_choice(self, came: dict[str, Json], position: int) -> None:
        index = came.get("index")
        index = index if type(index) is int else position
        choice = self._choices.setdefault(index, {"index": index})
        for name, value in came.items():
            if name in ("delta", "message"):
                _merge(choice.setdefault("message", {}), value if type(value) is dict else {})
            elif name in ("text", "logprobs"):
                _merge(choice, {name: value})
            elif name != "index" and (value is not None or name not in choice):
                choice[name] = value

    def document(self) -> dict[str, Json] | None:
        if not self._top and not self._choices:
            return None
        made: dict[str, Json] = {name: self._top[name] for name in _LEADING if name in self._top}
        choices = [_choice(self._choices[index]) for index in sorted(self._choices)]
        return {**made, "choices": choices, **{name: value for name, value in self._top.items() if name not in made}}


def _choice(choice: dict[str, Any]) -> Json:
    made = _settled({name: value for name, value in choice.items() if name != "finish_reason"})
    message = made.get("message")
    if type(message) is dict:
        message = made["message"] = {"role": message.pop("role", "assistant"), "content": None, **message}
        calls = message.get("tool_calls")
        for call in calls if type(calls) is list else ():
            if type(call) is dict:
                call.pop("index", None)
        if message["content"] == "" and (calls or message.get("refusal")):
            message["content"] = None
    return {**made, "finish_reason": choice.get("finish_reason")}


class Blocks:
    """Messages: content blocks that begin, grow and end."""

    def __init__(self) -> None:
        self._message: dict[str, Any] | None = None
        self._blocks: dict[int, dict[str, Any]] = {}
        self._arguments: dict[int, Text] = {}
        self.complete = False
        self.fault: Json | None = None

    def take(self, event: Event) -> None:
        doc = _read(event)
        if doc is None:
            return
        kind, index = doc.get("type"), doc.get("index")
        if kind == "message_start" and type(doc.get("message")) is dict:
            self._message = dict(doc["message"])
        elif kind == "content_block_start" and type(index) is int and type(doc.get("content_block")) is dict:
            self._blocks[index] = dict(doc["content_block"])
        elif kind == "content_block_delta" and type(index) is int and type(doc.get("delta")) is dict:
            self._grow(index, doc["delta"])
        elif kind == "message_delta":
            self._change(doc)
        elif kind == "message_stop":
            self.complete = self._message is not None
        elif kind == "error":
            self.fault = doc.get("error") or {"type": "api_error", "message": "the provider broke off"}

    def _grow(self, index: int, delta: dict[str, Json]) -> None:
        block = self._blocks.setdefault(index, {})
        for name, value in delta.items():
            if name == "type":
                continue
            if name == "partial_json" and type(value) is str:
                self._arguments.setdefault(index, Text()).pieces.append(value)
            elif name == "citation":
                block["citations"] = [*(block.get("citations") or ()), value]
            elif name == "signature":
                block[name] = value
            else:
                _merge(block, {name: value})

    def _change(self, doc: dict[str, Json]) -> None:
        """What is known of the whole message only at its end."""
        message = self._message = self._message if self._message is not None else {}
        for name, value in doc.items():
            if name == "delta" and type(value) is dict:
                message.update(value)
            elif name == "usage" and type(value) is dict:
                stated = {key: one for key, one in value.items() if one is not None}
                message["usage"] = {**(message.get("usage") or {}), **stated}
            elif name not in ("type", "delta", "usage"):
                message[name] = value

    def document(self) -> dict[str, Json] | None:
        if self._message is None:
            return None
        for index, arguments in self._arguments.items():
            said = "".join(arguments.pieces)
            if said:
                self._blocks[index]["input"] = completed(said)
        began = self._message.get("content")
        blocks = [_settled(self._blocks[index]) for index in sorted(self._blocks)]
        return {**self._message, "content": blocks or (began if type(began) is list else [])}


class Items:
    """Responses: the last event has the whole answer in it."""

    _ENDS = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})

    def __init__(self) -> None:
        self._response: dict[str, Json] | None = None
        self._items: dict[int, Json] = {}
        self.complete = False
        self.fault: Json | None = None

    def take(self, event: Event) -> None:
        doc = _read(event)
        if doc is None:
            return
        kind, response = doc.get("type"), doc.get("response")
        if kind == "response.output_item.done" and type(doc.get("output_index")) is int:
            self._items[doc["output_index"]] = doc.get("item")
        elif kind == "error" or (kind is None and doc.get("error") is not None):
            told = {name: value for name, value in doc.items() if name not in ("type", "sequence_number")}
            self.fault = doc.get("error") or told
        elif type(response) is dict:
            self._response = response
            if kind in self._ENDS:
                self.complete = True
            if kind == "response.failed":
                self.fault = response.get("error") or {"message": "the response failed"}

    def document(self) -> dict[str, Json] | None:
        """Some servers leave the items out of the last event, since each was told before."""
        response = self._response
        if response is not None and not response.get("output") and self._items:
            return {**response, "output": [self._items[index] for index in sorted(self._items)]}
        return response


def _read(event: Event) -> dict[str, Json] | None:
    data = event.data.strip()
    if not data.startswith(b"{"):
        return None
    try:
        doc = load(data)
    except ValueError:
        return None
    return doc if type(doc) is dict else None


def _put_first(into: dict[str, Any], name: str, value: Json) -> None:
    """The first value that says something; objects are put together."""
    present = into.get(name)
    if type(present) is dict and type(value) is dict:
        into[name] = {**present, **value}
    elif not present and (value or name not in into):
        into[name] = value


def _merge(into: dict[str, Any], delta: dict[str, Json]) -> None:
    """Adds what came to what is there."""
    for name, value in delta.items():
        present = into.get(name)
        if value is None:
            into.setdefault(name, None)
        elif type(value) is str and name not in _ONCE:
            if type(present) is Text:
                present.pieces.append(value)
            else:
                into[name] = Text(present, value) if type(present) is str else Text(value)
        elif type(value) is str:
            into[name] = present or value
        elif type(value) is dict:
            if type(present) is not dict:
                into[name] = present = {}
            _merge(present, value)
        elif type(value) is list:
            into[name] = _extended(present if type(present) is list else [], value)
        else:
            into[name] = value


def _extended(present: list[Any], came: list[Json]) -> list[Any]:
    for item in came:
        index = item.get("index") if type(item) is dict else None
        if type(index) is not int:
            present.append(item)
            continue
        known = next((one for one in reversed(present) if type(one) is dict and one.get("index") == index), None)
        if known is None or (known.get("id") and item.get("id") and known["id"] != item["id"]):
            known = {}  # (some servers give every call the same index)
            present.append(known)
        _merge(known, item)
    return present


def _settled(value: Any) -> Any:
    """Without texts that are still growing."""
    if type(value) is Text:
        return "".join(value.pieces)
    if type(value) is dict:
        return {name: _settled(inner) for name, inner in value.items()}
    if type(value) is list:
        return [_settled(inner) for inner in value]
    return value
