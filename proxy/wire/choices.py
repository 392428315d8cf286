"""Streams made of chunks with `choices`: what chat and completions have in common.

Each choice (n > 1) has its own texts under way. What a filter still holds when a choice's `finish_reason` comes is put
before it, as a chunk of the same choice. A chunk that nothing changed keeps its own bytes.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Generator
from typing import Any, ClassVar

import orjson

from proxy.errors import ProtocolViolation, Refused, WeirError
from proxy.exchange import Dialect, Usage
from proxy.ports import Json
from proxy.wire import faults, sse
from proxy.wire.alike import Alike, Pattern
from proxy.wire.body import load
from proxy.wire.codec import Event, Piece, Steps
from proxy.wire.deltas import Arguments, Text
from proxy.wire.dialect import NAME_CHARS, named
from proxy.wire.usage import normalised

DONE = b"[DONE]"
MAX_CHOICES = 128
_HEAD = ("id", "object", "created", "model", "system_fingerprint", "service_tier", "provider")
_TELLS = re.compile(rb'"(?:usage|finish_reason|error|timings)"\s*:\s*[^\sn]')
_SPEAKS = re.compile(
    rb'"(?:content|reasoning_content|reasoning|refusal|arguments|name|input|transcript|text|data)"\s*:\s*"(?!")'
)
_WORTH = re.compile(rb'"(?:usage|finish_reason|error|timings)"(?!:\s?null)')
"""Where `_TELLS` may find something, whatever lines the event was cut into."""
_MODEL = re.compile(rb'"model"\s*:\s*"([^"\\]*)"')
_ID = re.compile(rb'^\s*\{\s*"id"\s*:\s*"([^"\\]{1,256})"')

Key = tuple[Any, ...]
"""Which text of a choice: ("content",), ("tool_calls", 1), ..."""
Passed = Generator[Piece, str, bool]
"""Passes the texts of something, says whether they changed it."""


class Choice:
    """One of the n answers of a stream."""

    __slots__ = ("_parts", "begun", "finished", "index", "texts")

    def __init__(self, index: int) -> None:
        self.index = index
        self.begun = False
        """A chunk of it has passed (not known where chunks are only glanced at)."""
        self.finished = False
        self.texts: dict[Key, Text | Arguments] = {}
        self._parts = 0

    def number(self) -> int:
        """The position of the next text inside this choice."""
        self._parts += 1
        return self._parts - 1


class ChoiceStream(ABC):
    """The state of one streamed answer; see `wire.codec.Stream`."""

    dialect: ClassVar[Dialect]
    kind: ClassVar[str]
    """What a chunk calls its `object`."""

    def __init__(self, *, model: str = "", n: int = 1, kept: bool = False) -> None:
        self.usage: Usage | None = None
        self.id = ""
        """The provider's own id, where the answer is `kept`: under it may be found again what was said."""
        self._kept = kept
        self.model = ""
        self.finish = ""
        self.complete = False
        self.failed = False
        self.withhold_usage = False
        self.started = False
        self._alike = Alike()
        self._fed: list[tuple[bytes, Text, str]] = []
        """Of the event at hand, the texts it fed that may stand alone in the next ones."""
        self._asked_model = model
        self._choices: dict[int, Choice] = {index: Choice(index) for index in range(max(1, min(n, MAX_CHOICES)))}
        self._first = b""
        self._read = False
        self._head: dict[str, Json] = {}

    @abstractmethod
    def pass_choice(self, state: Choice, choice: dict[str, Json], final: bool) -> Passed:
        """Passes every text of the choice, writing into it what came back; `final` where it has a finish reason."""

    @abstractmethod
    def delta(self, key: Key, text: str) -> dict[str, Json]:
        """What a choice of a chunk says to add `text` to the text under `key`."""

    def over(self, state: Choice, choice: dict[str, Json]) -> list[Key]:
        """The texts that have ended because this chunk goes on with something else."""
        return []

    def like(self, raw: bytes) -> Pattern | None:
        return self._alike.of(raw)

    def event(self, event: Event) -> Steps:
        data = event.data
        if not data:
            return event.raw
        if data.strip() == DONE:
            held = yield from self._close_all()
            self.complete = not self.failed
            return held + event.raw
        doc = self._parsed(data)
        self._note(doc)
        if self._is_withheld(doc):
            return b""
        self._fed = []
        before: list[bytes] = []
        changed = False
        for choice in _choices(doc):
            if type(choice) is dict:
                changed |= yield from self._choice(choice, before)
        if len(self._fed) == 1 and self._alone(doc):
            self._alike.learn(event.raw, *self._fed[0])
        else:
            self._alike.forget()
        return b"".join(before) + (sse.write(event.name, doc) if changed else event.raw)

    def glance(self, event: Event) -> bytes:
        data = event.data
        if not self._first and data[:1] == b"{":
            self._begin(data)
        if _TELLS.search(data) is None:
            if data.strip() == DONE:
                self.complete = not self.failed
            elif not self.started and _SPEAKS.search(data) is not None:
                self.started = True
            return event.raw
        try:
            doc = load(data)
        except ValueError:
            return event.raw
        if type(doc) is dict:
            self._note(doc)
            if not self.started and _SPEAKS.search(data) is not None:
                self.started = True
            if self._is_withheld(doc):
                return b""
        return event.raw

    def spot(self, block: bytes, at: int) -> int:
        if not self.started or not self._first:
            return at
        done = block.find(DONE, at)
        found = _WORTH.search(block, at) if done < 0 else _WORTH.search(block, at, done)
        return done if found is None else found.start()

    def finish_open(self) -> Steps:
        return self._close_all()

    def refuse(self, refused: Refused) -> bytes:
        self.finish = "content_filter"
        ends = []
        for state in self._choices.values():
            if not state.finished:
                state.finished = True
                state.texts.clear()
                unseen = not state.begun and (self._read or not self._first)
                ends.append(self._chunk(state.index, self.ending(unseen), "content_filter"))
        return b"".join(ends) + sse.DONE

    def fault(self, error: WeirError) -> bytes:
        return faults.event(error, self.dialect)

    def ending(self, unseen: bool) -> dict[str, Json]:
        """What a choice of a chunk says that only ends it; `unseen`: nothing was said of the choice before."""
        return {"delta": {"role": "assistant"} if unseen else {}}

    def _alone(self, doc: dict[str, Json]) -> bool:
        """Whether the event that was read says nothing but the one text it fed."""
        choices = _choices(doc)
        if len(choices) != 1 or doc.get("error") or normalised(doc) is not None:
            return False
        choice = choices[0]
        if choice.get("finish_reason") is not None or choice.get("logprobs"):
            return False
        delta = choice.get("delta") or {}
        key = self._fed[0][0].decode()
        return all(name in (key, "role") or not value for name, value in delta.items())

    def _begin(self, data: bytes) -> None:
        self._first = data
        if self._kept and (named := _ID.search(data)) is not None:
            self.id = named[1].decode("ascii", "replace")
        found = _MODEL.search(data)
        if found:
            self.model = found[1].decode("utf-8", "replace")[:NAME_CHARS]

    def _parsed(self, data: bytes) -> dict[str, Json]:
        try:
            doc = load(data)
        except ValueError as error:
            raise ProtocolViolation("The provider sent an event that is not JSON.") from error
        if type(doc) is not dict:
            raise ProtocolViolation("The provider sent an event that is not a JSON object.")
        if not self._first:
            self._begin(data)
        self._read = True
        return doc

    def _note(self, doc: dict[str, Json]) -> None:
        """Usage, finish and failure."""
        usage = normalised(doc)
        if usage is not None:
            self.usage = usage
        if not self.model:
            self.model = named(doc)
        if doc.get("error"):
            self.failed = True
        for choice in _choices(doc):
            if type(choice) is dict and type(reason := choice.get("finish_reason")) is str:
                state = self._state(choice)
                state.finished = True
                if state.index == 0 or not self.finish:
                    self.finish = reason

    def _is_withheld(self, doc: dict[str, Json]) -> bool:
        return self.withhold_usage and doc.get("choices") == [] and type(doc.get("usage")) is dict

    def _state(self, choice: dict[str, Json]) -> Choice:
        index = choice.get("index")
        index = index if type(index) is int else 0
        state = self._choices.get(index)
        if state is None:
            if len(self._choices) >= MAX_CHOICES:
                raise ProtocolViolation(f"The provider sent more than {MAX_CHOICES} choices.")
            state = self._choices[index] = Choice(index)
        return state

    def _choice(self, choice: dict[str, Json], before: list[bytes]) -> Passed:
        state = self._state(choice)
        state.begun = True
        final = choice.get("finish_reason") is not None
        for key in self.over(state, choice) if state.texts else ():
            before += yield from self._end(state, key)
        changed = yield from self.pass_choice(state, choice, final)
        if changed and choice.get("logprobs") is not None:
            choice["logprobs"] = None
            self._fed.clear()
        if final:
            before += yield from self._close(state)
        return changed

    def _close(self, state: Choice) -> Generator[Piece, str, list[bytes]]:
        """Ends the choice's texts; the chunks with what was still held."""
        chunks = []
        for key in tuple(state.texts):
            chunks += yield from self._end(state, key)
        return chunks

    def _end(self, state: Choice, key: Key) -> Generator[Piece, str, list[bytes]]:
        held = yield from state.texts.pop(key).close()
        return [self._chunk(state.index, self.delta(key, held), None)] if held else []

    def _close_all(self) -> Steps:
        chunks: list[bytes] = []
        for state in tuple(self._choices.values()):
            chunks += yield from self._close(state)
        return b"".join(chunks)

    def _chunk(self, index: int, said: dict[str, Json], reason: str | None) -> bytes:
        choice = {"index": index, **said, "logprobs": None, "finish_reason": reason}
        return sse.write("", {**self._heading(), "choices": [choice]})

    def _heading(self) -> dict[str, Json]:
        """What every chunk of this stream says of itself, as its first one did."""
        if not self._head:
            first: Any = {}
            if self._first:
                try:
                    first = orjson.loads(self._first)
                except ValueError:
                    first = {}
            fallback = {"id": "weir", "object": self.kind, "created": 0, "model": self.model or self._asked_model}
            self._head = fallback | {name: first[name] for name in _HEAD if name in first}
        return self._head


def _choices(doc: dict[str, Json]) -> list[Json]:
    choices = doc.get("choices")
    return choices if type(choices) is list else []
