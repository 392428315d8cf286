"""What a dialect's codec promises: read, walk, write, and the same for answers and streams.

Theory of operation
-------------------
A call's body is parsed once (`wire.body`). `walk` points at every text in it with a `Segment` whose `slot` is the
codec's own pointer (usually `(container, key)`); `write` puts changed texts back where they were and leaves the rest
alone. A body that nothing changed is not re-encoded at all; top-level parameters are set by byte splice.

Answers are read the same way. A stream is read event by event: `Stream.event` is a generator that yields one `Piece`
for each text (or part of a text) in the event, is sent back what to deliver in its place, and returns the event's
bytes as they go to the caller. So the codec stays pure, and whoever drives it may filter, hold or await.
When the last piece of a text has been (`Piece.final`), what a filter still held comes back with it; the codec puts it
into the stream as a delta of the same item, before the item's closing event.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol

from proxy.errors import Refused, WeirError
from proxy.exchange import Dialect, Request, Segment, Usage
from proxy.wire.alike import Pattern

Json = Any


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event. `raw` is all of its bytes with the blank line; `name` and `data` are its fields."""

    raw: bytes
    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer's text on its way to the caller. With `final` the text has ended (`text` may be empty)."""

    segment: Segment
    text: str
    final: bool = False


Steps = Generator[Piece, str, bytes]
"""Yields pieces, is sent the text to deliver for each, returns bytes."""


@dataclass(slots=True)
class Answer:
    """A complete JSON answer: `doc` as parsed, and `walk`, which finds the texts in it."""

    raw: bytes
    doc: Json
    walk: Callable[[], list[Segment]]
    usage: Usage | None
    model: str
    finish: str
    found: list[Segment] | None = None

    @property
    def segments(self) -> list[Segment]:
        """The texts, pointing into `doc`. Walked on first use."""
        return self.texts()

    def texts(self) -> list[Segment]:
        if self.found is None:
            self.found = self.walk()
        return self.found


class Stream(Protocol):
    """The state of one streamed answer, fed with events in order."""

    usage: Usage | None
    model: str
    finish: str
    complete: bool
    """The dialect's proper end has passed (`[DONE]`, `message_stop`, `response.completed` ...)."""
    failed: bool
    """The provider sent an error event."""
    withhold_usage: bool
    """Weir asked for the usage event, the caller did not: keep it back."""
    started: bool
    """Content has passed: from here on no other provider can take over."""

    def like(self, raw: bytes) -> Pattern | None:
        """What the event of these bytes differs in from one that was read before, if that is one text and no more:
        then that text, and `written`, do for `event`."""
        ...

    def event(self, event: Event) -> Steps:
        """The bytes to deliver for this event. Untouched events come back as their own `raw`."""
        ...

    def glance(self, event: Event) -> bytes:
        """As `event`, where no filter wants the text: usage, model, finish and end are noted, the raw bytes returned
        (empty for a withheld usage event). Parses only what a bytes test says is worth it."""
        ...

    def spot(self, block: bytes, at: int) -> int:
        """Where in these whole events the first thing from `at` on (the beginning of an event) may stand that is worth
        a `glance`; -1: nowhere. What lies before it passes without one. The events' lines end in newlines."""
        ...

    def finish_open(self) -> Steps:
        """The upstream ended or broke off: yields a final piece for every text still open, returns their deltas."""
        ...

    def refuse(self, refused: Refused) -> bytes:
        """The proper end of a stream that was refused half way: `finish_reason: content_filter` and its like."""
        ...

    def fault(self, error: WeirError) -> bytes:
        """An error event in the dialect; never followed by the proper end."""
        ...


class Codec(Protocol):
    """One dialect."""

    dialect: Dialect

    def read(self, body: bytes) -> Json:
        """The parsed body; raises `MalformedBody` for what is no call of this dialect, naming the parameter."""
        ...

    def read_quickly(self, body: bytes) -> Json | None:
        """As `read`, for a long body that promises to be quick; None for any other."""
        ...

    def reading(self, body: bytes) -> Generator[None, None, Json]:
        """As `read`, in steps of few milliseconds: for bodies of `sliced.LONG_BYTES` and more."""
        ...

    def walk(self, doc: Json) -> tuple[list[Segment], list[str]]:
        """Every text of the call, and the names of the parts that cannot be read (`image`, `audio`, `file` ...)."""
        ...

    def plain(self, doc: Json) -> bool:
        """True where it is sure without a walk that every part of the call can be read."""
        ...

    def write(self, request: Request) -> bytes:
        """The body to send: original bytes, spliced, or re-encoded, whichever is the least change."""
        ...

    def opening(self, doc: Json) -> Json:
        """Everything up to the first user message, for telling conversations apart."""
        ...

    def wants_usage(self, doc: Json) -> bool:
        """Whether the caller itself asked for usage in the stream (or the dialect always sends it)."""
        ...

    def ask_usage(self, request: Request) -> None:
        """Adds the parameter that makes the provider send usage in a stream, where the dialect has one."""
        ...

    def answer(self, body: bytes) -> Answer | None:
        """Reads a JSON answer; None where it is not one of this dialect (it is then relayed as uninspected)."""
        ...

    def answering(self, body: bytes) -> Generator[None, None, Answer | None]:
        """As `answer`, in steps of few milliseconds."""
        ...

    def write_answer(self, answer: Answer) -> bytes:
        """The answer with changed texts written back; the original bytes where nothing changed."""
        ...

    def stream(self, doc: Json) -> Stream: ...

    def compose(self, text: str, *, model: str, id: str, stream: bool, finish: str, usage: Usage | None) -> bytes:
        """A whole answer of our own in this dialect: JSON, or all its events. `finish` is `stop` or `content_filter`,
        written as the dialect says it."""
        ...
