"""A stream from the upstream to the caller: what comes is passed on at once, and the call's own task only waits.

Where nobody wants the texts, each read of the provider's socket is looked over and written to the caller's from where
it came (`Flow.take`): no future, no step of a task. The task takes over where something must be awaited: start-up
events are held back, a stored answer's id is to be remembered, the caller reads too slowly, a filter has a text judged
before it lets it pass. Filters that need not wait work where the bytes come, too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from proxy import own
from proxy.coroutines import resumed
from proxy.errors import Refused, UpstreamFailed, WeirError
from proxy.exchange import Exchange, Response, Target
from proxy.house import Trip
from proxy.passage import Passage
from proxy.pulse import Pulse
from proxy.route import Route
from proxy.upstream import endpoint
from proxy.upstream.arrival import Arrival, Straight
from proxy.upstream.link import Answering
from proxy.wire import sliced
from proxy.wire.codec import Codec

Now = Callable[[], float]
Chunks = AsyncIterator[bytes]
Remember = Callable[[Exchange, str], Awaitable[None]]
"""Told of the id of a stored answer before the caller can build on it."""
Pour = Callable[[Callable[[bytes], bool]], Awaitable[bool]]
Replaced = tuple[Response | Target, int]
"""What a plugin put in the place of an answer, and the place under which that goes on."""


class Streaming:
    """Carries streams back."""

    def __init__(self, now: Now, remember: Remember) -> None:
        self._now = now
        self._remember = remember

    async def carry(self, trip: Trip, answering: Answering, pulse: Pulse) -> Replaced | None:
        """The provider's stream. Errors that the caller cannot have seen are raised with nothing started."""
        exchange = trip.exchange
        response = exchange.response = Response(status=answering.status)
        kept: list[bytes] | None = None
        if exchange.snapshot.stream_buffer and route_of(trip).by_hook["answer"]:
            kept, replaced = await self._judged(trip, answering)
            if replaced is not None:
                return replaced
        passage = passage_of(trip)
        passage.open_stream(trip.withhold)
        response.text_sample = passage.text_sample
        try:
            await trip.chain.response(exchange, route_of(trip), trip.below)
            await self._open(trip, answering, pulse)
            flow = Flow(self._now, trip, passage, pulse)
            try:
                await self._pump(flow, answering, kept)
                failed = passage.inner.failed
            except UpstreamFailed:
                if not flow.unseen:
                    raise
                failed = True
            if failed and flow.unseen:  # before any content, and there is another target to try
                return exchange.fallbacks[0], trip.below
            if pulse.holding or not trip.reply.started:
                await pulse.release()
            await self.end(trip, passage, flow.tail)
        except UpstreamFailed:  # what was held is dropped, should a plugin know better
            raise
        except WeirError:
            if trip.reply.started or pulse.holding:
                await pulse.release()
            raise
        finally:
            self._note(exchange, response, passage)
            passage.close(response.complete)
        return None

    async def end(self, trip: Trip, passage: Passage, data: bytes = b"") -> None:
        """What is left to write, with what filters still held; then the proper end, also of a refused stream."""
        error = passage.broken
        if error is None:
            data += await passage.drain()
            error = passage.broken
        if data and error is not None:
            await trip.reply.write(data)
            data = b""
        if isinstance(error, Refused):
            trip.exchange.error = error
            trip.exchange.outcome = "refused"
            if trip.exchange.response is not None:
                trip.exchange.response.finish = "content_filter"
            await trip.reply.write(passage.outer.refuse(error))
        elif error is not None:
            raise error
        trip.exchange.timeline.ended = self._now()
        await trip.reply.end(data)

    async def _open(self, trip: Trip, answering: Answering, pulse: Pulse) -> None:
        """The caller's headers: at once, or held with what comes first, where another could still answer instead."""
        headers, lines = own.headers(trip.exchange), answering.lines(True)
        if lines is None:
            headers = [*endpoint.answer_headers(answering.headers, changed=True), *headers]
        if isinstance(answering, Arrival):
            answering.let_headers_go()
        request = trip.exchange.request
        if len(request.body) < sliced.LONG_BYTES:  # (a long one is not read at once, see `pipeline`)
            request.fold(codec_of(trip).read)
        if trip.exchange.fallbacks or route_of(trip).by_hook["answer"]:
            pulse.hold(answering.status, headers, lines or b"")
        else:
            await pulse.open(answering.status, headers, lines or b"")

    async def _pump(self, flow: Flow, answering: Answering, kept: list[bytes] | None) -> None:
        """Bytes as they come."""
        if isinstance(answering, Arrival) and kept is None:
            pour: Pour = answering.pour
            flow.arrival = answering
        else:
            pour = partial(_poured, answering.chunks() if kept is None else _again(kept))
        while not await pour(flow.take):
            if await self._settle(flow):
                return
        flow.line.upstream_end = self._now()

    async def _settle(self, flow: Flow) -> bool:
        """What `flow` waits for is done. True: nothing of the provider's is wanted any more."""
        passage, pulse, line = flow.passage, flow.pulse, flow.line
        if flow.judged is not None:
            (work, waiting), flow.judged = flow.judged, None
            flow.waiting = await resumed(work, waiting)
        data, flow.waiting = flow.waiting, None
        if data is None:
            await flow.reply.ready()
            return False
        first = not line.first and passage.inner.started
        if first and (name := getattr(passage.inner, "id", "")):
            await self._remember(flow.exchange, name)
        if pulse.holding:
            if passage.inner.failed and flow.unseen:
                return True
            pulse.keep(data)
            if passage.inner.started or passage.broken is not None or pulse.full:
                await pulse.release()
        elif data:
            await pulse.write(data)
        if first:
            line.first = self._now()
        return passage.broken is not None

    async def _judged(self, trip: Trip, answering: Answering) -> tuple[list[bytes], Replaced | None]:
        """`stream_buffer`: the whole stream is held, so that plugins may judge a complete answer."""
        exchange, response = trip.exchange, trip.exchange.response
        assert response is not None
        kept, size = list[bytes](), 0
        async for chunk in answering.chunks():
            kept.append(chunk)
            size += len(chunk)
            if size > exchange.snapshot.limits.answer_bytes:
                raise UpstreamFailed("the answer is larger than stream_buffer may hold", code="answer_too_large")
        exchange.timeline.upstream_end = self._now()
        response.segments, stream = own.said(codec_of(trip), exchange.request.doc, kept)
        response.usage, response.model, response.finish = stream.usage, stream.model, stream.finish
        response.usage_source = own.source(exchange) if stream.usage else "none"
        response.events, response.complete = kept, stream.complete and not stream.failed
        replaced = await trip.chain.answer(exchange, route_of(trip), trip.below, None)
        if replaced is None:
            response.segments, response.events, response.complete = [], None, False
        return kept, replaced

    def _note(self, exchange: Exchange, response: Response, passage: Passage) -> None:
        stream, line = passage.inner, exchange.timeline
        line.upstream_end = line.upstream_end or self._now()
        response.usage = response.usage or stream.usage
        response.usage_source = own.source(exchange) if stream.usage else "none"
        response.model, response.finish = stream.model, response.finish or stream.finish
        response.id = getattr(stream, "id", "")
        response.complete = stream.complete and not stream.failed and passage.broken is None
        if stream.failed and exchange.error is None:
            exchange.outcome = "provider_error"


class Flow:
    """One stream under way. `take` is called from where the provider's bytes come."""

    __slots__ = (
        "_now", "_skim", "_through", "arrival", "exchange", "judged", "line", "passage", "pulse", "reply", "tail",
        "waiting",
    )  # fmt: skip

    def __init__(self, now: Now, trip: Trip, passage: Passage, pulse: Pulse) -> None:
        self.exchange = trip.exchange
        self.line = trip.exchange.timeline
        self.reply = trip.reply
        self.passage = passage
        self.pulse = pulse
        self.waiting: bytes | None = None
        """Looked over, and not written. None: it is the caller who has to read."""
        self.arrival: Arrival | None = None
        self.tail = b""
        """The last that came, which goes out with the end."""
        self._now = now
        self._skim = passage.skim if passage.plain else None
        self.judged: tuple[Coroutine[Any, Any, bytes], Any] | None = None
        """Filters are at work on what came, and wait for something."""
        self._through = False
        """Content has gone out: nothing is left to be decided."""

    @property
    def unseen(self) -> bool:
        """Nothing of this answer has been shown, and another target may be tried instead."""
        return self.pulse.holding and not self.passage.inner.started and bool(self.exchange.fallbacks)

    def take(self, data: bytes, heard_s: float = 0.0) -> bool:
        """False: more can be taken only when what is waited for is done. `heard_s`: when it came, if that is known."""
        begun, arrival = heard_s or self._now(), self.arrival
        if self._skim is not None:
            data = self._skim(data)
        else:
            work = self.passage.feed(data)
            try:
                self.judged = work, work.send(None)
                return False
            except StopIteration as done:
                data = done.value
            if self.passage.broken is not None:
                self.waiting = data
                return False
        if not self._through and self._must_wait():
            self.waiting = data
            return False
        more = True
        if data:
            self.pulse.last_s = begun
            if arrival is not None and arrival.over:
                self.tail = data
            else:
                more = self.reply.push(data)
        ended = self._now()
        self.line.busy += ended - begun
        if not self._through and self.passage.inner.started:
            self._through = True
            self.line.first = self.line.first or ended
            if arrival is not None and self.passage.untaped:
                arrival.straight = self._straightened()
        return more

    def _straightened(self) -> Straight:
        """`take` for what most often comes: whole events, and nothing in them to be noted. With everything at hand, for
        it is called for each piece of each stream."""
        passage, pulse, line, response = self.passage, self.pulse, self.line, self.exchange.response
        take, pending, spot, push, now = self.take, passage.pending, passage.inner.spot, self.reply.push, self._now
        assert response is not None

        def straight(data: bytes, heard_s: float) -> bool:
            if not data.endswith(b"}\n\n") or pending or data.find(b"\r") >= 0 or spot(data, 0) >= 0:
                return take(data, heard_s)
            size = len(data)
            response.delivered_bytes += size
            if passage.room > 0:
                passage.room -= size
                passage.sample.append(data)
            pulse.last_s = heard_s
            more = push(data)
            line.busy += now() - heard_s
            return more

        return straight

    def _must_wait(self) -> bool:
        inner = self.passage.inner
        return self.pulse.holding or (inner.started and not self.line.first and bool(getattr(inner, "id", "")))


async def _poured(chunks: Chunks, take: Callable[[bytes], bool]) -> bool:
    """As `Arrival.pour`, for what comes another way."""
    async for chunk in chunks:
        if not take(chunk):
            return False
    return True


async def _again(kept: list[bytes]) -> Chunks:
    for chunk in kept:
        yield chunk


def passage_of(trip: Trip) -> Passage:
    """The way back of a call's answer."""
    passage = Passage(trip.chain, trip.exchange, route_of(trip), trip.below, codec_of(trip))
    passage.collect = trip.exchange.wants_text
    return passage


def codec_of(trip: Trip) -> Codec:
    assert trip.codec is not None
    return trip.codec


def route_of(trip: Trip) -> Route:
    assert trip.route is not None
    return trip.route
