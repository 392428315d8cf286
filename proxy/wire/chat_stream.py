"""A chat answer as it streams: every text of every delta of every choice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from proxy.exchange import Dialect, Kind, Segment
from proxy.ports import Json
from proxy.wire.chat_texts import REASONING, is_signed
from proxy.wire.choices import Choice, ChoiceStream, Key, Passed
from proxy.wire.deltas import Arguments, Text
from proxy.wire.marks import Mover

_FIELDS = (*REASONING, "content", "refusal")
_ANSWERS = ("content", "refusal", "tool_calls", "function_call")
_KINDS: dict[str, Kind] = {
    **dict.fromkeys((*REASONING, "reasoning_details", "thinking_parts"), "reasoning"),
    "refusal": "refusal",
    "custom": "tool_arguments",
}


class ChatStream(ChoiceStream):
    """Chunks of `chat.completion.chunk`."""

    dialect: ClassVar[Dialect] = "chat"
    kind: ClassVar[str] = "chat.completion.chunk"

    def pass_choice(self, state: Choice, choice: dict[str, Json], final: bool) -> Passed:
        delta = choice.get("delta")
        if type(delta) is not dict:
            return False
        changed = False
        for name in _FIELDS:
            value = delta.get(name)
            if type(value) is str:
                changed |= yield from self._pass(state, (name,), delta, name, final)
            elif type(value) is list:
                changed |= yield from self._parts(state, value, final)
        if delta.get("reasoning_details"):
            yield from self._reasoning_details(state, delta["reasoning_details"])
        audio = delta.get("audio")
        if type(audio) is dict:
            self.started = self.started or bool(audio.get("data"))
            changed |= yield from self._pass(state, ("audio",), audio, "transcript", final)
        if delta.get("tool_calls") or delta.get("function_call"):
            self.started = True
            changed |= yield from self._calls(state, delta, final)
        return self._annotations(state, delta) or changed

    def over(self, state: Choice, choice: dict[str, Json]) -> list[Key]:
        """Reasoning ends where the answer itself begins: its last words belong before that."""
        delta = choice.get("delta")
        if type(delta) is not dict or not any(delta.get(name) for name in _ANSWERS):
            return []
        return [key for key in state.texts if key[0] in REASONING and not delta.get(key[0])]

    def delta(self, key: Key, text: str) -> dict[str, Json]:
        match key:
            case ("tool_calls", index):
                said: Json = {"tool_calls": [{"index": index, "function": {"arguments": text}}]}
            case ("custom", index):
                said = {"tool_calls": [{"index": index, "custom": {"input": text}}]}
            case ("function_call",):
                said = {"function_call": {"arguments": text}}
            case ("audio",):
                said = {"audio": {"transcript": text}}
            case ("text_parts",):
                said = {"content": [{"type": "text", "text": text}]}
            case ("thinking_parts",):
                said = {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]}
            case _:
                said = {key[0]: text}
        return {"delta": said}

    def _text(self, state: Choice, key: Key, sealed: bool) -> Text:
        text = state.texts.get(key)
        if not isinstance(text, Text):
            kind = _KINDS.get(key[0], "text")
            segment = Segment("assistant", kind, "", index=state.index, part=state.number(), sealed=sealed)
            text = state.texts[key] = Text(segment)
        return text

    def _pass(
        self, state: Choice, key: Key, container: dict[str, Any], name: str, final: bool, sealed: bool = False
    ) -> Passed:
        """The text `container[name]` of a delta, put back as it came from the filters."""
        value = container.get(name)
        if type(value) is not str or not value:
            return False
        self.started = True
        text = self._text(state, key, sealed)
        got = yield from text.feed(value, final=final)
        self._fed.append((name.encode(), text, value))
        container[name] = got
        return got != value

    def _parts(self, state: Choice, parts: list[Json], final: bool) -> Passed:
        """Content that comes as a list: texts, and thinking that is a list of texts again."""
        changed = False
        last: dict[Key, dict[str, Any]] = {}
        for key, piece in _pieces(parts):
            changed |= yield from self._pass(state, key, piece, "text", False)
            last[key] = piece
        for key, piece in last.items() if final else ():
            if held := (yield from self._text(state, key, False).close()):
                piece["text"] += held
                changed = True
        return changed

    def _reasoning_details(self, state: Choice, details: Json) -> Passed:
        """The signature that covers these comes after them, so they are taken for sealed from the first piece."""
        for position, item in enumerate(details if type(details) is list else ()):
            if type(item) is dict:
                index = _number(item, position)
                for name in ("text", "summary"):
                    key = ("reasoning_details", index, name)
                    yield from self._pass(state, key, item, name, False, True)
        return False

    def _calls(self, state: Choice, delta: dict[str, Json], final: bool) -> Passed:
        changed = False
        calls = delta.get("tool_calls")
        for position, call in enumerate(calls if type(calls) is list else ()):
            if type(call) is not dict:
                continue
            index = _number(call, position)
            function, custom = call.get("function"), call.get("custom")
            if type(custom) is dict:
                sealed = is_signed(call)
                key = ("custom", index)
                changed |= yield from self._pass(state, key, custom, "input", final, sealed)
            if type(function) is dict:
                sealed = is_signed(call) or is_signed(function)
                changed |= yield from self._arguments(state, ("tool_calls", index), function, final, sealed)
        legacy = delta.get("function_call")
        if type(legacy) is dict:
            changed |= yield from self._arguments(state, ("function_call",), legacy, final, False)
        return changed

    def _arguments(self, state: Choice, key: Key, function: dict[str, Any], final: bool, sealed: bool) -> Passed:
        fragment = function.get("arguments")
        if type(fragment) is not str or not fragment:
            return False
        text = state.texts.get(key)
        if not isinstance(text, Arguments):
            text = state.texts[key] = Arguments(state.index, state.number, sealed=sealed)
        got = yield from text.feed(fragment, final=final)
        function["arguments"] = got
        return got != fragment

    def _annotations(self, state: Choice, delta: dict[str, Json]) -> bool:
        """Citations whose offsets no longer fit the text are moved or dropped."""
        notes, text = delta.get("annotations"), state.texts.get(("content",))
        if type(notes) is not list or not isinstance(text, Text):
            return False
        history = text.history()
        if history is None:
            return False
        delta["annotations"] = moved(notes, *history)
        return True


def _number(item: dict[str, Json], position: int) -> int:
    index = item.get("index")
    return index if type(index) is int else position


def _pieces(parts: list[Json]) -> Iterator[tuple[Key, dict[str, Any]]]:
    for part in parts:
        if type(part) is not dict:
            continue
        thinking = part.get("thinking")
        inner, name = (thinking, "thinking_parts") if type(thinking) is list else ([part], "text_parts")
        for piece in inner:
            if type(piece) is dict and type(piece.get("text")) is str and piece["text"]:
                yield (name,), piece


def moved(notes: list[Json], original: str, text: str) -> list[Json]:
    """Citations of a text that was `original` and is now `text`."""
    mover = Mover(original, text)
    kept = []
    for note in notes:
        inner = note.get("url_citation") if type(note) is dict else None
        if type(inner) is not dict:
            kept.append(note)
        elif (citation := mover.move(inner)) is not None:
            kept.append({**note, "url_citation": citation})
    return kept
