"""Where texts stand in chat messages and choices: strings, parts, refusals, reasoning, tool calls, descriptions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from proxy.exchange import Kind, Role, Segment
from proxy.ports import Json
from proxy.wire.body import Place, argument_segments, descriptions
from proxy.wire.slots import Name, encoded_text

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_UNREAD = {
    "image_url": "image",
    "image": "image",
    "input_image": "image",
    "input_audio": "audio",
    "audio": "audio",
    "audio_url": "audio",
    "video_url": "video",
    "file": "file",
    "input_file": "file",
    "document": "file",
}
REASONING = ("reasoning_content", "reasoning")


class Walk:
    """Collects the segments of one message, numbered in order."""

    __slots__ = ("fresh", "index", "kind", "role", "segments", "uninspected")

    def __init__(self, role: Role, index: int, *, fresh: bool = False) -> None:
        self.role: Role = role
        self.kind: Kind = "tool_result" if role == "tool" else "text"
        self.index = index
        self.fresh = fresh
        self.segments: list[Segment] = []
        self.uninspected: list[str] = []

    def message(self, message: dict[str, Any]) -> None:
        """Every text of a message of a call, or of a choice's `message`."""
        if type(message.get("name")) is str and message["name"]:
            # (that of a tool says which it is: it may be read, and stays)
            self._add(message["name"], Name(message, "name"), self.kind, self.role == "tool" or is_signed(message))
        for name in REASONING:
            self.text(message, name, "reasoning")
        self._reasoning_details(message)
        sealed = is_signed(message)
        content = message.get("content")
        if type(content) is list:
            for position in range(len(content)):
                self._part(content, position, sealed)
        elif content is not None and not self.text(message, "content", self.kind, sealed=sealed):
            self.uninspected.append("unknown")
        self.text(message, "refusal", "refusal")
        self._calls(message)
        audio = message.get("audio")
        if type(audio) is dict:
            self.uninspected.append("audio")
            self.text(audio, "transcript", "text")

    def text(self, container: Any, key: str | int, kind: Kind, *, sealed: bool = False) -> bool:
        """Points at `container[key]`; False where that is no string."""
        value = container.get(key) if type(container) is dict else container[key]
        if type(value) is not str:
            return False
        if value:
            self._add(value, Place(container, key), kind, sealed)
        return True

    def _add(self, text: str, place: Place, kind: Kind, sealed: bool) -> None:
        self.segments.append(
            Segment(self.role, kind, text, place, index=self.index, part=len(self.segments),
                    fresh=self.fresh, sealed=sealed)
        )  # fmt: skip

    def _part(self, content: list[Any], position: int, sealed: bool) -> None:
        part = content[position]
        if type(part) is str:
            self.text(content, position, self.kind, sealed=sealed)
            return
        if type(part) is not dict:
            self.uninspected.append("unknown")
            return
        type_ = part.get("type")
        sealed = sealed or is_signed(part)
        if type_ in ("text", "input_text", "output_text") and self.text(part, "text", self.kind, sealed=sealed):
            return
        if type_ == "refusal" and self.text(part, "refusal", "refusal", sealed=sealed):
            return
        if type_ == "thinking" and self._thinking(part, sealed):
            return
        if type_ in ("file", "input_file") and self._file(part, sealed):
            return
        if type(type_) is not str or type_ not in _UNREAD:  # whatever it is, what it says is read
            self.text(part, "text", self.kind, sealed=sealed)
        self.uninspected.append(_UNREAD.get(type_, "unknown") if type(type_) is str else "unknown")

    def _file(self, part: dict[str, Any], sealed: bool) -> bool:
        """A file that is text, and stands here itself."""
        holder = part.get("file") if type(part.get("file")) is dict else part
        found = encoded_text(holder, "file_data")
        if found is not None:
            self._add(found[1], found[0], "document", sealed)
        return found is not None

    def _thinking(self, part: dict[str, Any], sealed: bool) -> bool:
        thinking = part.get("thinking")
        if type(thinking) is not list:
            return self.text(part, "thinking", "reasoning", sealed=sealed)
        for piece in thinking:
            if type(piece) is not dict or not self.text(piece, "text", "reasoning", sealed=sealed):
                self.uninspected.append("unknown")
        return True

    def _reasoning_details(self, message: dict[str, Any]) -> None:
        details = message.get("reasoning_details")
        details = [item for item in details if type(item) is dict] if type(details) is list else []
        sealed = any(is_signed(item) for item in details)
        for item in details:
            for name in ("text", "summary"):
                self.text(item, name, "reasoning", sealed=sealed)

    def _calls(self, message: dict[str, Any]) -> None:
        calls = message.get("tool_calls")
        for call in calls if type(calls) is list else ():
            if type(call) is not dict:
                continue
            sealed = is_signed(call) or is_signed(call.get("function"))
            custom = call.get("custom")
            if type(custom) is dict:
                self.text(custom, "input", "tool_arguments", sealed=sealed)
            self._arguments(call.get("function"), sealed)
        self._arguments(message.get("function_call"), is_signed(message))

    def _arguments(self, function: Json, sealed: bool) -> None:
        arguments = function.get("arguments") if type(function) is dict else None
        if type(arguments) is dict:  # as some servers have it
            self.leaves(arguments, "tool_arguments", sealed=sealed)
        if type(function) is not dict or type(arguments) is not str:
            return
        self.segments += argument_segments(
            Place(function, "arguments"), arguments, self.role,
            index=self.index, part=len(self.segments), fresh=self.fresh, sealed=sealed,
        )  # fmt: skip

    def leaves(self, value: Json, kind: Kind, *, sealed: bool = False) -> None:
        """Every text within an object or array."""
        for key, inner in value.items() if type(value) is dict else enumerate(value):
            if type(inner) in (dict, list):
                self.leaves(inner, kind, sealed=sealed)
            else:
                self.text(value, key, kind, sealed=sealed)


def is_signed(item: Json) -> bool:
    """A provider's signature or cipher covers it: its texts may be read and refused, never changed."""
    if type(item) is not dict:
        return False
    if item.get("signature") or item.get("thought_signature") or item.get("type") == "reasoning.encrypted":
        return True
    extra = item.get("extra_content")
    google = extra.get("google") if type(extra) is dict else None
    return type(google) is dict and bool(google.get("thought_signature"))


def messages(doc: dict[str, Json]) -> tuple[list[Segment], list[str]]:
    """The texts of a call's messages in order."""
    found = doc.get("messages") or []
    last = len(found) - 1
    while last >= 0 and found[last].get("role") != "assistant":
        last -= 1
    segments: list[Segment] = []
    uninspected: list[str] = []
    for index, message in enumerate(found):
        content = message.get("content")
        if len(message) == 2 and type(content) is str and "role" in message:  # most are so, and there are many
            if content:
                role = ROLES.get(message["role"], "user")
                kind: Kind = "tool_result" if role == "tool" else "text"
                segments.append(
                    Segment(role, kind, content, Place(message, "content"), index=index, fresh=index > last)
                )
            continue
        walk = Walk(ROLES.get(message.get("role"), "user"), index, fresh=index > last)
        walk.message(message)
        segments += walk.segments
        uninspected += walk.uninspected
    return segments, uninspected


def settings(doc: dict[str, Json], fresh: bool) -> list[Segment]:
    """The texts beside the messages: what tools and schemas say of themselves, the predicted output,
    documents."""
    segments = []
    for index, (container, key) in enumerate(_described(doc)):
        for part, (place, text) in enumerate(descriptions(container, key)):
            segments.append(Segment("system", "tool_description", text, place, index=index, part=part, fresh=fresh))
    prediction = doc.get("prediction")
    if type(prediction) is dict:
        walk = Walk("assistant", len(doc.get("messages") or ()), fresh=fresh)
        walk.message(prediction)
        segments += walk.segments
    documents = doc.get("documents")
    if type(documents) is list:  # of servers that look answers up in them
        walk = Walk("user", len(doc.get("messages") or ()), fresh=fresh)
        walk.leaves(documents, "document")
        segments += walk.segments
    return segments


def _described(doc: dict[str, Json]) -> Iterator[tuple[Any, Any]]:
    """Everything that may describe itself: each tool, each legacy function, the schema of the answer."""
    for name in ("tools", "functions", "response_format"):
        value = doc.get(name)
        if type(value) is list:
            yield from ((value, position) for position in range(len(value)))
        elif value is not None:
            yield doc, name
