"""The way back: an answer passes filters and tapes, bottom to top, as JSON or event by event.

Theory of operation
-------------------
The members that were passed on the way out are cut into stages at every tape: a tape takes what the filters below it
made of the answer. A stage reads the dialect's events, gives each text to its filters, and writes the events again;
a stage without filters passes the bytes on and only glances at them for usage and the end.

The codec's `event` is a generator that yields pieces (see `wire.codec`); this file drives it, and is the only place
where a filter's `Hold` is awaited: nothing behind it moves until it is released, so order keeps itself.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from proxy.chain import Chain
from proxy.errors import Limited, PluginFailed, Refused, UpstreamFailed, WeirError
from proxy.exchange import Exchange, Segment
from proxy.filtering import Filtered, Reading, Running, Shadowed
from proxy.findings import shadowed
from proxy.plugin import Filter, Tape
from proxy.route import Member, Route, skipped
from proxy.wire.codec import Answer, Codec, Steps, Stream
from proxy.wire.skim import skim
from proxy.wire.sse import Reader

SAMPLE_BYTES = 16 * 1024
"""Of a stream, kept to count tokens in, should the provider not count them; the rest is estimated from it."""


@dataclass(slots=True)
class Stage:
    """Filters between two tapes, and the tape above them (if any)."""

    members: list[Member] = field(default_factory=list)
    tape: Tape | None = None
    stream: Stream | None = None
    reader: Reader | None = None

    @property
    def pending(self) -> bool:
        """The beginning of an event waits for its end."""
        return self.reader is not None and bool(self.reader.pending)


class Passage:
    """One answer on its way back."""

    __slots__ = (
        "_chain", "_codec", "_exchange", "_now", "_texts", "broken", "collect", "filtering", "room", "sample",
        "stages",
    )  # fmt: skip

    def __init__(self, chain: Chain, exchange: Exchange, route: Route, below: int, codec: Codec) -> None:
        self._chain = chain
        self._exchange = exchange
        self._codec = codec
        self._now = chain.now
        self._texts: dict[tuple[int, int], Filtered | None] = {}
        self.stages = self._cut(route, below)
        self.filtering = any(stage.members for stage in self.stages)
        self.broken: WeirError | None = None
        """A filter refused or failed closed: what `feed` returned before it is still to be delivered."""
        self.collect = False
        """Keep the delivered text in `exchange.response.segments` (audit with content, plugins that read answers)."""
        self.sample: list[bytes] = []
        """What was delivered first."""
        self.room = SAMPLE_BYTES
        """For as much more of it, or a last piece."""

    def _cut(self, route: Route, below: int) -> list[Stage]:
        stages = [Stage()]
        for member in route.readers:
            if member.place >= below or (member.partial and skipped(self._exchange, member)):
                continue
            if "filter" in member.hooks and member.plugin.filters(self._exchange):
                stages[-1].members.append(member)
            if "tape" in member.hooks and not member.shadow:
                tape = member.plugin.tape(self._exchange)
                if tape is not None:
                    stages[-1].tape = tape
                    stages.append(Stage())
        if len(stages) > 1 and not stages[-1].members:
            stages.pop()
        return stages

    # --- texts

    def _filtered(self, number: int, segment: Segment) -> Filtered | None:
        key = (number, id(segment))
        if key in self._texts:
            return self._texts[key]
        running = []
        response = self._exchange.response
        if response is not None and not response.id:
            response.id = getattr(self.stages[0].stream, "id", "")
        for member in self.stages[number].members:
            found = self._open(member, segment)
            if found is not None:
                running.append(Running(member, found))
        made = Filtered(self._chain, self._exchange, running, self._now) if running else None
        self._texts[key] = made
        return made

    def _open(self, member: Member, segment: Segment) -> Filter | None:
        findings = self._exchange.findings
        before = len(findings)
        try:
            found = member.plugin.filter(self._exchange, segment)
        except (Refused, Limited):
            raise
        except Exception as error:  # noqa: BLE001  any failure of a plugin is its envelope's matter
            if not member.shadow:
                self._chain.failed(self._exchange, member, "filter", error)
            return None
        if member.shadow and len(findings) > before:
            shadowed(findings, before)
        if found is not None and member.shadow:
            return Shadowed(self._exchange, member, found)
        return Reading(found) if found is not None and segment.sealed else found

    # --- JSON

    async def whole(self, answer: Answer) -> bytes:
        """A JSON answer through all stages. Raises Refused, PluginFailed."""
        body = answer.raw
        for number, stage in enumerate(self.stages):
            changed = False
            for segment in answer.segments if stage.members else ():
                filtered = self._filtered(number, segment)
                if filtered is not None:
                    told = filtered.pass_on(segment.text, True)
                    text = told if isinstance(told, str) else await told
                    if text != segment.text:  # (a sealed one never is, and must not be set)
                        changed, segment.text = True, text
            if changed:
                body = self._codec.write_answer(answer)
            if stage.tape is not None:
                stage.tape.write(body)
        return body

    # --- streams

    def open_stream(self, withhold_usage: bool) -> Stream:
        """Prepares for events; returns the outermost stage's view of the stream (usage, finish, completeness)."""
        for stage in self.stages:
            stage.stream = self._codec.stream(self._exchange.request.doc)
            stage.reader = Reader()
        last = self.outer
        last.withhold_usage = withhold_usage
        return last

    @property
    def outer(self) -> Stream:
        stream = self.stages[-1].stream
        assert stream is not None
        return stream

    @property
    def inner(self) -> Stream:
        """The stream as the provider sent it."""
        stream = self.stages[0].stream
        assert stream is not None
        return stream

    @property
    def plain(self) -> bool:
        """Nobody wants the texts: `skim` does for `feed`."""
        return len(self.stages) == 1 and not self.filtering and not self.collect

    @property
    def untaped(self) -> bool:
        """Where the passage is `plain`: nobody takes the bytes down either."""
        return self.plain and self.stages[0].tape is None

    @property
    def pending(self) -> bytearray:
        """Of the provider's events, the beginning of the one whose end has not come."""
        reader = self.stages[0].reader
        assert reader is not None
        return reader.pending

    def skim(self, data: bytes) -> bytes:
        """As `feed`, at once, where the passage is `plain`."""
        stage = self.stages[0]
        assert stage.stream is not None and stage.reader is not None
        data = skim(stage.stream, stage.reader, data)
        if stage.tape is not None and data:
            stage.tape.write(data)
        self._keep(data)
        return data

    async def feed(self, data: bytes) -> bytes:
        """Provider's bytes in, caller's bytes out: whole events only. Look at `broken` afterwards."""
        for number, stage in enumerate(self.stages):
            assert stage.reader is not None
            data = await self._stage(number, stage, stage.reader.cut(data))
            if not data:
                break
        self._keep(data)
        return data

    async def _stage(self, number: int, stage: Stage, raws: list[bytes]) -> bytes:
        stream, reader = stage.stream, stage.reader
        assert stream is not None and reader is not None
        read = bool(stage.members) or (self.collect and number == len(self.stages) - 1)
        out = []
        for raw in raws:
            try:
                if not read:
                    out.append(stream.glance(reader.event(raw)))
                elif (like := stream.like(raw)) is not None:
                    told = self._told(number, like.text.segment, like.fragment, False)
                    out.append(like.written(raw, told if isinstance(told, str) else await told))
                else:
                    out.append(await self._drive(number, stream.event(reader.event(raw))))
            except (Refused, Limited, PluginFailed) as error:
                self.broken = error
                break
        return self._taped(stage, b"".join(out))

    async def _drive(self, number: int, steps: Steps) -> bytes:
        try:
            piece = next(steps)
            while True:
                told = self._told(number, piece.segment, piece.text, piece.final)
                piece = steps.send(told if isinstance(told, str) else await told)
        except StopIteration as done:
            return bytes(done.value)

    def _told(self, number: int, segment: Segment, text: str, final: bool) -> str | Coroutine[Any, Any, str]:
        """What a stage delivers for a piece of a text. To be awaited only where a filter has it judged first."""
        filtered = self._filtered(number, segment)
        told = text if filtered is None else filtered.pass_on(text, final)
        if final:
            self._texts.pop((number, id(segment)), None)
        if not self.collect or number < len(self.stages) - 1:
            return told
        if isinstance(told, str):
            self._note(segment, told)
            return told
        return self._noted(segment, told)

    async def _noted(self, segment: Segment, telling: Coroutine[Any, Any, str]) -> str:
        told = await telling
        self._note(segment, told)
        return told

    def _note(self, segment: Segment, text: str) -> None:
        response = self._exchange.response
        if response is None:
            return
        if not any(known is segment for known in response.segments[-8:]):
            response.segments.append(segment)
            segment.begin()
        segment.grow(text)

    async def drain(self) -> bytes:
        """The provider has ended: what readers and filters still hold, as bytes for the caller."""
        if self.plain and not self.stages[0].pending:
            return b""
        carry = b""
        for number, stage in enumerate(self.stages):
            assert stage.reader is not None and stage.stream is not None
            carry = await self._stage(number, stage, [*stage.reader.cut(carry), *stage.reader.rest()])
            if stage.members and self.broken is None:
                try:
                    carry += self._taped(stage, await self._drive(number, stage.stream.finish_open()))
                except (Refused, Limited, PluginFailed) as error:
                    self.broken = error
        self._keep(carry)
        return carry

    def _taped(self, stage: Stage, data: bytes) -> bytes:
        if data and stage.tape is not None:
            stage.tape.write(data)
        return data

    def close(self, complete: bool) -> None:
        """Once, at the end of every answer, also of a broken one."""
        for stage in self.stages:
            if stage.tape is not None:
                stage.tape.close(complete)

    # --- what was delivered

    def _keep(self, data: bytes) -> None:
        response = self._exchange.response
        if not data or response is None:
            return
        response.delivered_bytes += len(data)
        if self.room > 0:
            self.sample.append(data)
            self.room -= len(data)

    def text_sample(self) -> tuple[str, float]:
        """The text of what was delivered first, and by how much to scale what is counted in it."""
        response = self._exchange.response
        stream, texts = self._codec.stream(self._exchange.request.doc), list[str]()
        with suppress(UpstreamFailed):  # a provider's garbage was passed on as it came; what is before it still counts
            for event in Reader().feed(b"".join(self.sample)):
                texts.extend(_texts(stream.event(event)))
        sampled = SAMPLE_BYTES - self.room
        scale = response.delivered_bytes / sampled if response and sampled else 1.0
        return "".join(texts), max(1.0, scale)


def _texts(steps: Steps) -> Iterator[str]:
    try:
        piece = next(steps)
        while True:
            yield piece.text
            piece = steps.send(piece.text)
    except StopIteration:
        return


def taped(exchange: Exchange, members: Sequence[Member], below: int) -> list[Tape]:
    """The tapes for an answer that no filter wants: of these members (bottom to top), which have them."""
    found = []
    for member in members:
        if member.place < below and not member.shadow and not (member.partial and skipped(exchange, member)):
            tape = member.plugin.tape(exchange)
            if tape is not None:
                found.append(tape)
    return found
