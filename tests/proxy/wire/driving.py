"""Drives codecs in tests: filters, a run of a stream through them, and the official clients fed with what came out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import orjson

from proxy.errors import Refused
from proxy.exchange import Segment
from proxy.plugin import Filter
from proxy.wire import sse
from proxy.wire.codec import Event, Steps, Stream

GOLDEN = Path(__file__).parents[2] / "golden"

Make = Callable[[Segment], Filter]


class Pass:
    """Changes nothing."""

    def feed(self, piece: str) -> str:
        return piece

    def close(self) -> str:
        return ""


class Hold(Pass):
    """Always holds the newest characters back."""

    def __init__(self, chars: int = 6) -> None:
        self.chars = chars
        self.held = ""

    def feed(self, piece: str) -> str:
        text = self.held + piece
        sure = max(0, len(text) - self.chars)
        self.held = text[sure:]
        return text[:sure]

    def close(self) -> str:
        held, self.held = self.held, ""
        return held


class Replace(Pass):
    """Replaces a word, however it is cut."""

    def __init__(self, word: str = "Paris", by: str = '[CITY_"1"]') -> None:
        self.word = word
        self.by = by
        self.held = ""

    def feed(self, piece: str) -> str:
        text = (self.held + piece).replace(self.word, self.by)
        kept = next((n for n in range(min(len(self.word) - 1, len(text)), 0, -1) if self.word.startswith(text[-n:])), 0)
        self.held = text[len(text) - kept :]
        return text[: len(text) - kept]

    def close(self) -> str:
        held, self.held = self.held, ""
        return held


class Refuse(Replace):
    """Refuses at a word; until then nothing that could begin it goes out."""

    def feed(self, piece: str) -> str:
        if self.word in self.held + piece:
            raise Refused("guard", "The answer names a place that may not be named.")
        return super().feed(piece)


def events(raw: bytes, size: int | None = None) -> list[Event]:
    """The events of a stream that arrives in chunks of this size."""
    reader = sse.Reader()
    size = size or len(raw) or 1
    found = [event for at in range(0, len(raw), size) for event in reader.feed(raw[at : at + size])]
    return found + reader.close()


class Run:
    """A stream on its way through a filter for each of its texts."""

    def __init__(self, stream: Stream, make: Make) -> None:
        self.stream = stream
        self.make = make
        self.filters: dict[int, Filter] = {}
        self.segments: list[Segment] = []
        self.seen: dict[int, str] = {}

    def steps(self, steps: Steps) -> bytes:
        try:
            piece = next(steps)
            while True:
                key = id(piece.segment)
                if key not in self.filters:
                    self.filters[key] = self.make(piece.segment)
                    self.segments.append(piece.segment)
                    self.seen[key] = ""
                assert piece.text or piece.final
                self.seen[key] += piece.text
                through = self.filters[key]
                told = str(through.feed(piece.text)) if piece.text else ""
                piece = steps.send(told + (str(through.close()) if piece.final else ""))
        except StopIteration as end:
            raw: bytes = end.value
            return raw

    def all(self, came: Iterable[Event]) -> bytes:
        out = []
        try:
            for event in came:
                out.append(self.steps(self.stream.event(event)))
            out.append(self.steps(self.stream.finish_open()))
        except Refused as refused:
            out.append(self.stream.refuse(refused))
        return b"".join(out)


def through(stream: Stream, raw: bytes, make: Make = lambda _: Pass(), size: int | None = None) -> bytes:
    return Run(stream, make).all(events(raw, size))


def docs(raw: bytes) -> list[dict[str, Any]]:
    """The documents of the events of a stream."""
    return [orjson.loads(event.data) for event in events(raw) if event.data]


def _transport(raw: bytes) -> httpx2.Client:
    headers = {"content-type": "text/event-stream"}
    return httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, content=raw)))


def openai_stream(raw: bytes) -> tuple[Any, list[Any]]:
    """What the official client makes of a Responses stream: the final response (None without one), and its events."""
    client = openai.OpenAI(api_key="k", base_url="http://weir.test/v1", http_client=_transport(raw))
    with client, client.responses.stream(model="m", input="x") as stream:
        seen = list(stream)
        final = stream.get_final_response() if seen and seen[-1].type == "response.completed" else None
    return final, seen


def anthropic_stream(raw: bytes) -> tuple[Any, list[Any]]:
    """What the official client makes of a Messages stream: the final message, and its events."""
    client = anthropic.Anthropic(api_key="k", base_url="http://weir.test", http_client=_transport(raw))
    asked = client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}])
    with client, asked as stream:
        seen = list(stream)
        return stream.get_final_message(), seen
