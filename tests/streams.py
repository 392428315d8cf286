"""Drives a codec's stream with filters, as the chain does, and gathers what happened."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from proxy.errors import Refused
from proxy.exchange import Segment
from proxy.wire.codec import Stream
from proxy.wire.sse import Reader

Make = Callable[[Segment], Any]
"""A filter for a segment, or None."""


class Pass:
    """Lets everything through."""

    def feed(self, piece: str) -> str:
        return piece

    def close(self) -> str:
        return ""


class Hold:
    """Holds back the last `chars` characters until the end: lengths stay, cuts move."""

    def __init__(self, chars: int = 7) -> None:
        self._chars = chars
        self._held = ""

    def feed(self, piece: str) -> str:
        text = self._held + piece
        keep = min(self._chars, len(text))
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def close(self) -> str:
        held, self._held = self._held, ""
        return held


class Swap:
    """Puts `new` for `old`, however it was cut."""

    def __init__(self, old: str, new: str) -> None:
        self._old, self._new = old, new
        self._held = ""

    def feed(self, piece: str) -> str:
        text = (self._held + piece).replace(self._old, self._new)
        keep = next((size for size in range(len(self._old) - 1, 0, -1) if text.endswith(self._old[:size])), 0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def close(self) -> str:
        held, self._held = self._held, ""
        return held


class Forbid:
    """Refuses as soon as `word` has been seen."""

    def __init__(self, word: str) -> None:
        self._word = word
        self._seen = ""

    def feed(self, piece: str) -> str:
        self._seen += piece
        if self._word in self._seen:
            raise Refused("forbid", "a word that must not be said")
        return piece

    def close(self) -> str:
        return ""


class Told:
    """Every text of a stream: what the filters were given, and what they gave."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.given: dict[int, str] = {}
        self.sent: dict[int, str] = {}
        self.ended: list[int] = []
        self.pieces: list[tuple[str, str, int, int, str, bool]] = []

    def rows(self) -> list[list[Any]]:
        return [
            [s.role, s.kind, s.index, s.part, s.sealed, self.given[id(s)], self.sent[id(s)], self.ended.count(id(s))]
            for s in self.segments
        ]


def drive(stream: Stream, chunks: Iterable[bytes], make: Make) -> tuple[bytes, Told]:
    """What the caller gets for these bytes, a refusal included."""
    told, filters, out, reader = Told(), {}, [], Reader()

    def through(steps: Any) -> None:
        try:
            piece = next(steps)
            while True:
                segment = piece.segment
                key = id(segment)
                if key not in filters:
                    filters[key] = make(segment) or Pass()
                    told.segments.append(segment)
                    told.given[key] = told.sent[key] = ""
                told.pieces.append((segment.kind, segment.role, segment.index, segment.part, piece.text, piece.final))
                text = filters[key].feed(piece.text) + (filters[key].close() if piece.final else "")
                text = piece.text if segment.sealed else text
                told.given[key] += piece.text
                told.sent[key] += text
                if piece.final:
                    told.ended.append(key)
                piece = steps.send(text)
        except StopIteration as done:
            out.append(done.value)

    try:
        for chunk in chunks:
            for event in reader.feed(chunk):
                through(stream.event(event))
        for event in reader.close():
            through(stream.event(event))
        through(stream.finish_open())
    except Refused as refused:
        out.append(stream.refuse(refused))
    return b"".join(out), told


def cut(data: bytes, sizes: Iterable[int]) -> list[bytes]:
    """`data` in pieces of these sizes, the rest as the last one."""
    pieces, at = [], 0
    for size in sizes:
        if at >= len(data):
            break
        pieces.append(data[at : at + size])
        at += size
    return [*pieces, data[at:]]


def docs(data: bytes) -> list[Any]:
    """The JSON of every event."""
    return [orjson.loads(event.data) for event in Reader().feed(data) if event.data and event.data != b"[DONE]"]
