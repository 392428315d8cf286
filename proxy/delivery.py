"""From the upstream's status line to the caller's last byte: JSON whole, streams event by event.

own         a plugin answered: its answer in the caller's dialect, through the filters above it
upstream    send; then by what came:
  _passed_on   an error of the provider, byte for byte
  _whole       a JSON answer
  _stream      events; start-up events are held back, so that an early error can still go to another target
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from proxy import own, record
from proxy.chain import Route
from proxy.errors import Forbidden, ProtocolViolation, Refused, UpstreamFailed, WeirError
from proxy.exchange import Exchange, Response, Target
from proxy.house import Trip
from proxy.live import Upstream
from proxy.passage import Passage
from proxy.ports import Headers, Tasks
from proxy.pulse import Pulse
from proxy.upstream import endpoint
from proxy.upstream.link import Answering
from proxy.wire import sliced
from proxy.wire.codec import Answer, Codec

Now = Callable[[], float]
Send = Callable[[], Awaitable[tuple[Answering, Target, Upstream]]]
Chunks = AsyncIterator[bytes]
Remember = Callable[[Exchange, str], Awaitable[None]]
"""Told of the id of a stored answer before the caller can build on it."""
Inflate = Callable[[Headers, bytes, int], bytes]
EVENT_STREAM: Headers = [("content-type", "text/event-stream"), ("cache-control", "no-cache")]
REPLACEMENTS = 3
"""How often plugins may replace an answer or name another target, per call."""


class Delivery:
    """Carries answers back."""

    def __init__(self, now: Now, tasks: Tasks, inflate: Inflate, remember: Remember) -> None:
        self._now = now
        self._tasks = tasks
        self._inflate = inflate
        self._remember = remember

    async def own(self, trip: Trip, response: Response) -> None:
        """An answer that a plugin made. Everything above the plugin's place still sees it; guards that judge beside
        the call judge it first."""
        await trip.chain.verdicts(trip.exchange)
        trip.exchange.response = response
        response.complete = True
        response.model = response.model or trip.exchange.request.model
        try:
            if trip.exchange.request.stream:
                await self._own_stream(trip, response)
            else:
                await self._own_body(trip, response)
        except WeirError as error:
            if not trip.reply.started:
                raise
            await self.break_off(trip, error)

    async def refused(self, trip: Trip, error: Refused) -> None:
        """`as_answer`: the refusal as an answer that a content filter ended, for agents that break on errors."""
        answered = Response(source=error.plugin, text=error.message, finish="content_filter")
        own.inherit(answered, trip.exchange.response)
        places = [member.place for member in _route(trip).members if member.name == error.plugin]
        trip.below = places[0] if places else 0
        await self.own(trip, answered)

    async def _own_body(self, trip: Trip, response: Response) -> None:
        codec, passage = _codec(trip), self._passage(trip)
        body, complete = own.body(codec, trip.exchange, response), False
        try:
            answer = codec.answer(body)
            if answer is not None:
                response.said = answer.texts
                response.usage = response.usage or answer.usage
                response.finish = answer.finish
                body = await passage.whole(answer)
            await trip.chain.response(trip.exchange, _route(trip), trip.below)
            complete = True
        finally:
            passage.close(complete)
        headers = [("content-type", "application/json"), *own.theirs(response.headers)]
        await self._send(trip, response.status, headers, body)

    async def _own_stream(self, trip: Trip, response: Response) -> None:
        exchange, passage = trip.exchange, self._passage(trip)
        events = own.events(_codec(trip), exchange, response)
        stream = passage.open_stream(False)
        try:
            await trip.chain.response(exchange, _route(trip), trip.below)
            if not trip.reply.started:
                headers = [*EVENT_STREAM, *own.theirs(response.headers), *own.headers(exchange)]
                await trip.reply.start(response.status, headers)
            exchange.timeline.first = self._now()
            for data in events:
                await trip.reply.write(await passage.feed(data))
                if passage.broken is not None:
                    break
            await self._end(trip, passage)
        finally:
            response.usage = response.usage or stream.usage
            response.finish = response.finish or stream.finish
            response.complete = stream.complete and passage.broken is None
            passage.close(response.complete)

    async def upstream(self, trip: Trip, send: Send) -> None:
        """Sends, and carries back what comes. Errors before the first byte are raised; later ones become events."""
        exchange = trip.exchange
        pulse = Pulse(trip.reply, self._now, self._tasks, exchange)
        try:
            if exchange.request.stream:
                pulse.await_headers()
            for _ in range(1 + REPLACEMENTS + len(exchange.fallbacks)):
                replaced = await self._attempt(trip, send, pulse)
                if replaced is None:
                    return
                found, below = replaced
                exchange.error, exchange.outcome = None, "ok"
                if isinstance(found, Response):
                    trip.below = below
                    own.inherit(found, exchange.response)
                    await self.own(trip, found)
                    return
                _start_over(exchange, found)
                pulse.drop()
            raise UpstreamFailed("plugins kept naming other targets for this call", code="too_many_targets")
        except WeirError as error:
            if not trip.reply.started:
                raise
            await self.break_off(trip, error)
        finally:
            pulse.stop()

    async def _attempt(self, trip: Trip, send: Send, pulse: Pulse) -> tuple[Response | Target, int] | None:
        try:
            return await self._answered(trip, send, pulse)
        except UpstreamFailed as error:
            shown = trip.reply.started and own.delivered(trip.exchange) and not pulse.holding
            replaced = None if shown else await trip.chain.answer(trip.exchange, _route(trip), trip.below, error)
            if replaced is None:
                if pulse.holding:
                    await pulse.release()
                raise
            return replaced

    async def _answered(self, trip: Trip, send: Send, pulse: Pulse) -> tuple[Response | Target, int] | None:
        exchange = trip.exchange
        answering, exchange.target, _ = await send()
        if exchange.target in exchange.fallbacks:
            exchange.fallbacks = exchange.fallbacks[exchange.fallbacks.index(exchange.target) + 1 :]
        try:
            if exchange.verdicts:
                await trip.chain.verdicts(exchange)
            if answering.status >= 400:
                return await self._passed_on(trip, answering)
            if _is_events(answering):
                return await self._stream(trip, answering, pulse)
            return await self._whole(trip, answering)
        finally:
            answering.close()

    async def _passed_on(self, trip: Trip, answering: Answering) -> tuple[Response | Target, int] | None:
        """An error of the provider, as it is."""
        exchange = trip.exchange
        body = await answering.read(exchange.snapshot.limits.answer_bytes)
        exchange.timeline.upstream_end = self._now()
        status = answering.status
        exchange.outcome = record.outcome_of_status(status)
        exchange.response = Response(status=status)
        error = UpstreamFailed(f"the provider answered {status}", code=f"provider_{status}")
        exchange.error = error
        if trip.reply.started:
            raise error
        replaced = await trip.chain.answer(exchange, _route(trip), trip.below, error)
        if replaced is not None:
            return replaced
        await trip.chain.response(exchange, _route(trip), trip.below)
        await self._send_on(trip, answering, body, changed=False)
        return None

    async def _whole(self, trip: Trip, answering: Answering) -> tuple[Response | Target, int] | None:
        exchange, codec = trip.exchange, _codec(trip)
        limit = exchange.snapshot.limits.answer_bytes
        raw = await answering.read(limit)
        exchange.timeline.upstream_end = self._now()
        plain = raw
        if answering.header("content-encoding") is not None:
            plain = self._inflate(answering.headers, raw, limit)
        response = exchange.response = Response(status=answering.status)
        if len(plain) < sliced.LONG_BYTES:
            answer = codec.answer(plain)
        else:
            answer = await sliced.paced(codec.answering(plain), self._now)
        if answer is None:
            self._uninspected(exchange, "answer")
            await trip.chain.response(exchange, _route(trip), trip.below)
            await self._send_on(trip, answering, raw, changed=False)
            return None
        response.said, response.usage, response.model = answer.texts, answer.usage, answer.model
        response.usage_source = "provider" if answer.usage else "none"
        response.finish, response.complete, response.body = answer.finish, True, plain
        response.id = _id_of(answer.doc)
        route = _route(trip)
        if exchange.request.dialect == "responses":
            await self._remember(exchange, response.id)
        if route.by_hook["answer"]:
            replaced = await trip.chain.answer(exchange, route, trip.below, None)
            if replaced is not None:
                return replaced
        body = plain
        if route.reads_answers:
            body = await self._through(trip, answer)
        else:
            await trip.chain.response(exchange, route, trip.below)
        changed = body is not plain
        await self._send_on(trip, answering, body if changed else raw, changed=changed)
        return None

    async def _through(self, trip: Trip, answer: Answer) -> bytes:
        """A JSON answer past filters and tapes, then the hooks that see it as it will be delivered."""
        passage, complete = self._passage(trip), False
        try:
            body = await passage.whole(answer)
            await trip.chain.response(trip.exchange, _route(trip), trip.below)
            complete = True
        finally:
            passage.close(complete)
        return body

    async def _stream(self, trip: Trip, answering: Answering, pulse: Pulse) -> tuple[Response | Target, int] | None:
        exchange = trip.exchange
        response = exchange.response = Response(status=answering.status)
        chunks = answering.chunks()
        if exchange.snapshot.stream_buffer and _route(trip).by_hook["answer"]:
            chunks, replaced = await self._judged(trip, chunks)
            if replaced is not None:
                return replaced
        passage = self._passage(trip)
        passage.open_stream(trip.withhold)
        response.text_sample = passage.text_sample
        headers = endpoint.answer_headers(answering.headers, changed=True)
        try:
            await trip.chain.response(exchange, _route(trip), trip.below)
            pulse.hold(response.status, [*headers, *own.headers(exchange)])
            moved_on = await self._carry(trip, chunks, passage, pulse)
            if moved_on:
                return exchange.fallbacks[0], trip.below
            await pulse.release()
            await self._end(trip, passage)
        except UpstreamFailed:  # what was held is dropped, should a plugin know better
            raise
        except WeirError:
            if trip.reply.started or pulse.holding:
                await pulse.release()
            raise
        finally:
            stream = passage.inner
            exchange.timeline.upstream_end = exchange.timeline.upstream_end or self._now()
            response.usage = response.usage or stream.usage
            response.usage_source = "provider" if stream.usage else "none"
            response.model, response.finish = stream.model, response.finish or stream.finish
            response.id = getattr(stream, "id", "")
            response.complete = stream.complete and not stream.failed and passage.broken is None
            if stream.failed and exchange.error is None:
                exchange.outcome = "provider_error"
            passage.close(response.complete)
        return None

    async def _carry(self, trip: Trip, chunks: Chunks, passage: Passage, pulse: Pulse) -> bool:
        """Bytes as they come. True: it failed before any content, and there is another target to try."""
        try:
            await self._pump(trip, chunks, passage, pulse)
        except UpstreamFailed:
            if _unseen(trip, passage, pulse):
                return True
            raise
        return passage.inner.failed and _unseen(trip, passage, pulse)

    async def _pump(self, trip: Trip, chunks: Chunks, passage: Passage, pulse: Pulse) -> None:
        line, now = trip.exchange.timeline, self._now
        async for chunk in chunks:
            begun = now()
            data = await passage.feed(chunk)
            line.busy += now() - begun
            first = not line.first and passage.inner.started
            if first:
                await self._remember(trip.exchange, getattr(passage.inner, "id", ""))
            if pulse.holding:
                if passage.inner.failed and _unseen(trip, passage, pulse):
                    return
                pulse.keep(data)
                if passage.inner.started or passage.broken is not None or pulse.full:
                    await pulse.release()
            elif data:
                await pulse.write(data)
            if first:
                line.first = now()
            if passage.broken is not None:
                return
        line.upstream_end = now()

    async def _end(self, trip: Trip, passage: Passage) -> None:
        """The rest that filters held, or the proper end of a refused stream."""
        error = passage.broken
        if error is None:
            data = await passage.drain()
            if data:
                await trip.reply.write(data)
            error = passage.broken
        if isinstance(error, Refused):
            trip.exchange.error = error
            trip.exchange.outcome = "refused"
            if trip.exchange.response is not None:
                trip.exchange.response.finish = "content_filter"
            await trip.reply.write(passage.outer.refuse(error))
        elif error is not None:
            raise error
        trip.exchange.timeline.ended = self._now()
        await trip.reply.end()

    async def _judged(self, trip: Trip, chunks: Chunks) -> tuple[Chunks, tuple[Response | Target, int] | None]:
        """`stream_buffer`: the whole stream is held, so that plugins may judge a complete answer."""
        exchange, response = trip.exchange, trip.exchange.response
        assert response is not None
        kept, size = list[bytes](), 0
        async for chunk in chunks:
            kept.append(chunk)
            size += len(chunk)
            if size > exchange.snapshot.limits.answer_bytes:
                raise UpstreamFailed("the answer is larger than stream_buffer may hold", code="answer_too_large")
        exchange.timeline.upstream_end = self._now()
        response.segments, stream = own.said(_codec(trip), exchange.request.doc, kept)
        response.usage, response.model, response.finish = stream.usage, stream.model, stream.finish
        response.usage_source = "provider" if stream.usage else "none"
        response.events, response.complete = kept, stream.complete and not stream.failed
        replaced = await trip.chain.answer(exchange, _route(trip), trip.below, None)
        response.segments, response.events, response.complete = [], None, False
        return _again(kept), replaced

    async def break_off(self, trip: Trip, error: WeirError) -> None:
        """An error in a running stream: an event in the caller's dialect, no proper end."""
        exchange = trip.exchange
        exchange.error, exchange.outcome = error, record.outcome_of(error)
        if isinstance(error, Refused) and error.as_answer and not own.delivered(exchange):
            trip.chain.drop_verdicts(exchange)
            await self.refused(trip, error)
            return
        exchange.timeline.ended = self._now()
        stream = _codec(trip).stream(exchange.request.doc)
        await trip.reply.write(stream.fault(error))
        trip.reply.abort()

    def _passage(self, trip: Trip) -> Passage:
        passage = Passage(trip.chain, trip.exchange, _route(trip), trip.below, _codec(trip))
        passage.collect = trip.exchange.wants_text
        return passage

    def _uninspected(self, exchange: Exchange, what: str) -> None:
        """Something that no codec reads: recorded, or refused where the operator says so."""
        exchange.request.uninspected.append(what)
        if exchange.snapshot.uninspected == "refuse":
            raise Forbidden(f"this call has parts that cannot be inspected ({what})", code="uninspected")

    async def _send_on(self, trip: Trip, answering: Answering, body: bytes, *, changed: bool) -> None:
        """The provider's answer, with its headers."""
        lines = answering.lines(changed)
        if lines is None:
            headers = endpoint.answer_headers(answering.headers, changed=changed)
            await self._send(trip, answering.status, headers, body)
        else:
            await self._send(trip, answering.status, [], body, lines)

    async def _send(self, trip: Trip, status: int, headers: Headers, body: bytes, lines: bytes = b"") -> None:
        exchange, reply = trip.exchange, trip.reply
        if reply.started:
            raise ProtocolViolation("The provider did not answer with a stream.")
        line = exchange.timeline
        line.ended = now = self._now()
        line.first = line.first or now
        if exchange.response is not None:
            exchange.response.delivered_bytes = len(body)
        await reply.send(status, headers + own.headers(exchange, whole=True), body, lines)


async def _again(kept: list[bytes]) -> Chunks:
    for chunk in kept:
        yield chunk


def _start_over(exchange: Exchange, target: Target) -> None:
    """With another target, as if the one before had not been asked. Its fallbacks stay, if it is one of them."""
    left = exchange.fallbacks
    exchange.target, exchange.fallbacks = target, left[1:] if left and left[0] is target else []
    exchange.response, exchange.error, exchange.outcome = None, None, "ok"
    exchange.timeline.upstream_end = 0.0


def _unseen(trip: Trip, passage: Passage, pulse: Pulse) -> bool:
    """Nothing of this answer has been shown, and another target may be tried instead."""
    return pulse.holding and not passage.inner.started and bool(trip.exchange.fallbacks)


def _codec(trip: Trip) -> Codec:
    assert trip.codec is not None
    return trip.codec


def _route(trip: Trip) -> Route:
    assert trip.route is not None
    return trip.route


def _is_events(answering: Answering) -> bool:
    kind = answering.header("content-type")
    return kind is not None and kind[:17].lower() == "text/event-stream"


def _id_of(doc: object) -> str:
    found = doc.get("id") if isinstance(doc, dict) else None
    return found if isinstance(found, str) else ""
