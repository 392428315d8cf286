"""From the upstream's status line to the caller's last byte: JSON whole, streams event by event.

own         a plugin answered: its answer in the caller's dialect, through the filters above it
upstream    send; then by what came:
  _passed_on   an error of the provider, byte for byte
  _whole       a JSON answer
  _stream      events; start-up events are held back, so that an early error can still go to another target
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from proxy import record
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
from proxy.wire.codec import Codec

Now = Callable[[], float]
Send = Callable[[], Awaitable[tuple[Answering, Target, Upstream]]]
Inflate = Callable[[Headers, bytes, int], bytes]
EVENT_STREAM: Headers = [("content-type", "text/event-stream"), ("cache-control", "no-cache")]
REPLACEMENTS = 3
"""How often plugins may replace an answer or name another target, per call."""


class Delivery:
    """Carries answers back."""

    def __init__(self, now: Now, tasks: Tasks, inflate: Inflate) -> None:
        self._now = now
        self._tasks = tasks
        self._inflate = inflate

    async def own(self, trip: Trip, response: Response) -> None:
        """An answer that a plugin made. Everything above the plugin's place still sees it."""
        exchange, codec = trip.exchange, _codec(trip)
        exchange.response = response
        response.complete = True
        response.model = response.model or exchange.request.model
        passage = self._passage(trip)
        if exchange.request.stream:
            await self._own_stream(trip, codec, passage, response)
            return
        body = response.body if response.body is not None else _composed(trip, codec, response)
        answer = codec.answer(body)
        if answer is not None:
            response.segments = answer.segments
            response.usage = response.usage or answer.usage
            response.finish = answer.finish
            body = await passage.whole(answer)
        await trip.chain.response(exchange, _route(trip), trip.below)
        passage.close(True)
        await self._send(trip, response.status, [("content-type", "application/json"), *response.headers], body)

    async def _own_stream(self, trip: Trip, codec: Codec, passage: Passage, response: Response) -> None:
        events = response.events if response.events is not None else [_composed(trip, codec, response)]
        stream = passage.open_stream(False)
        await trip.chain.response(trip.exchange, _route(trip), trip.below)
        if not trip.reply.started:
            await trip.reply.start(response.status, [*EVENT_STREAM, *response.headers, *own_headers(trip.exchange)])
        trip.exchange.timeline.first = self._now()
        for data in events:
            await trip.reply.write(await passage.feed(data))
            if passage.broken is not None:
                break
        await self._end(trip, passage)
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
                found, trip.below = replaced
                if isinstance(found, Response):
                    found.source = found.source or "plugin"
                    await self.own(trip, found)
                    return
                _start_over(exchange, found)
                pulse.drop()
            raise UpstreamFailed("plugins kept naming other targets for this call", code="too_many_targets")
        except WeirError as error:
            if not trip.reply.started:
                raise
            await self._break_off(trip, error)
        finally:
            pulse.stop()

    async def _attempt(self, trip: Trip, send: Send, pulse: Pulse) -> tuple[Response | Target, int] | None:
        exchange = trip.exchange
        try:
            answering, exchange.target, _ = await send()
        except UpstreamFailed as error:
            replaced = await trip.chain.answer(exchange, _route(trip), trip.below, error)
            if replaced is None or trip.reply.started:
                raise
            return replaced
        if exchange.target in exchange.fallbacks:
            exchange.fallbacks = exchange.fallbacks[exchange.fallbacks.index(exchange.target) + 1 :]
        try:
            if exchange.verdicts:
                await trip.chain.verdicts(exchange)
            if answering.status >= 400:
                return await self._passed_on(trip, answering)
            if _is_events(answering.headers):
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
        exchange.outcome = "provider_error" if status >= 500 or status in (408, 429) else "caller_error"
        exchange.response = Response(status=status)
        error = UpstreamFailed(f"the provider answered {status}", code=f"provider_{status}")
        exchange.error = error
        replaced = await trip.chain.answer(exchange, _route(trip), trip.below, error)
        if replaced is not None and not trip.reply.started:
            exchange.error, exchange.outcome = None, "ok"
            return replaced
        if trip.reply.started:
            raise error
        await trip.chain.response(exchange, _route(trip), trip.below)
        await self._send(trip, status, endpoint.answer_headers(answering.headers, changed=False), body)
        return None

    async def _whole(self, trip: Trip, answering: Answering) -> tuple[Response | Target, int] | None:
        exchange, codec = trip.exchange, _codec(trip)
        limit = exchange.snapshot.limits.answer_bytes
        raw = await answering.read(limit)
        exchange.timeline.upstream_end = self._now()
        plain = self._inflate(answering.headers, raw, limit)
        response = exchange.response = Response(status=answering.status)
        answer = codec.answer(plain)
        body, passage = plain, None
        if answer is None:
            self._uninspected(exchange, "answer")
        else:
            response.segments, response.usage, response.model = answer.segments, answer.usage, answer.model
            response.usage_source = "provider" if answer.usage else "none"
            response.finish, response.complete, response.body = answer.finish, True, plain
            response.id = _id_of(answer.doc)
            replaced = await trip.chain.answer(exchange, _route(trip), trip.below, None)
            if replaced is not None:
                return replaced
            passage = self._passage(trip)
            try:
                body = await passage.whole(answer)
            except WeirError:
                passage.close(False)
                raise
        await trip.chain.response(exchange, _route(trip), trip.below)
        changed = body is not plain
        headers = endpoint.answer_headers(answering.headers, changed=changed)
        if passage is not None:
            passage.close(True)
        await self._send(trip, answering.status, headers, body if changed else raw)
        return None

    async def _stream(self, trip: Trip, answering: Answering, pulse: Pulse) -> tuple[Response | Target, int] | None:
        exchange = trip.exchange
        response = exchange.response = Response(status=answering.status)
        passage = self._passage(trip)
        passage.open_stream(trip.withhold)
        response.text_sample = passage.text_sample
        headers = endpoint.answer_headers(answering.headers, changed=True)
        if exchange.snapshot.stream_buffer and _route(trip).by_hook["answer"]:
            replaced = await self._buffered(trip, answering, passage)
            if replaced is not None:
                return replaced
        await trip.chain.response(exchange, _route(trip), trip.below)
        pulse.hold(response.status, [*headers, *own_headers(exchange)])
        try:
            moved_on = await self._carry(trip, answering, passage, pulse)
            if moved_on:
                return exchange.fallbacks[0], trip.below
            await pulse.release()
            await self._end(trip, passage)
        except WeirError:
            if not trip.reply.started and not pulse.holding:
                raise
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

    async def _carry(self, trip: Trip, answering: Answering, passage: Passage, pulse: Pulse) -> bool:
        """Bytes as they come. True: it failed before any content, and there is another target to try."""
        try:
            await self._pump(trip, answering, passage, pulse)
        except UpstreamFailed:
            if _unseen(trip, passage, pulse):
                return True
            raise
        return passage.inner.failed and _unseen(trip, passage, pulse)

    async def _pump(self, trip: Trip, answering: Answering, passage: Passage, pulse: Pulse) -> None:
        line, now = trip.exchange.timeline, self._now
        async for chunk in answering.chunks():
            begun = now()
            data = await passage.feed(chunk)
            line.busy += now() - begun
            if pulse.holding:
                if passage.inner.failed and _unseen(trip, passage, pulse):
                    return
                pulse.keep(data)
                if passage.inner.started or passage.broken is not None or pulse.full:
                    await pulse.release()
            elif data:
                await pulse.write(data)
            if not line.first and passage.inner.started:
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

    async def _buffered(
        self, trip: Trip, answering: Answering, passage: Passage
    ) -> tuple[Response | Target, int] | None:
        """`stream_buffer`: the whole stream is held, so that plugins may judge complete answers."""
        exchange = trip.exchange
        response = exchange.response
        assert response is not None
        events, size = [], 0
        async for chunk in answering.chunks():
            events.append(chunk)
            size += len(chunk)
            if size > exchange.snapshot.limits.answer_bytes:
                raise UpstreamFailed("the answer is larger than stream_buffer may hold", code="answer_too_large")
        response.events = events
        replaced = await trip.chain.answer(exchange, _route(trip), trip.below, None)
        if replaced is None:
            return response, trip.below
        return replaced

    async def _break_off(self, trip: Trip, error: WeirError) -> None:
        """An error in a running stream: an event in the caller's dialect, no proper end."""
        exchange = trip.exchange
        exchange.error = error
        exchange.outcome = "provider_error" if error.fault == "provider" else "weir_error"
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

    async def _send(self, trip: Trip, status: int, headers: Headers, body: bytes) -> None:
        exchange = trip.exchange
        if trip.reply.started:
            raise ProtocolViolation("The provider did not answer with a stream.")
        exchange.timeline.first = exchange.timeline.first or self._now()
        if exchange.response is not None:
            exchange.response.delivered_bytes = len(body)
        exchange.timeline.ended = self._now()
        await trip.reply.send(status, [*headers, *own_headers(exchange, whole=True)], body)


def own_headers(exchange: Exchange, *, whole: bool = False) -> Headers:
    """Weir's `x-weir-*` for an answer; cost and overhead only where they are known before the first byte."""
    headers = [("x-weir-request-id", exchange.id)]
    target = exchange.target
    if target is not None:
        headers.append(("x-weir-model", target.model))
    if exchange.variant:
        headers.append(("x-weir-variant", exchange.variant))
    if exchange.response is not None:
        headers.extend(pair for pair in exchange.response.headers if pair[0].startswith("x-weir-"))
    if whole:
        if exchange.cost_nano_usd is not None:
            headers.append(("x-weir-cost-usd", f"{exchange.cost_nano_usd / 1e9:.9f}"))
        headers.append(("x-weir-overhead-ms", f"{exchange.timeline.own_s * 1000:.3f}"))
    if exchange.caller.debug and asks_debug(exchange.request.headers):
        headers.append(("x-weir-debug", record.steps_line(exchange)))
    return headers


def _start_over(exchange: Exchange, target: Target) -> None:
    """With another target, as if the one before had not been asked. Its fallbacks stay, if it is one of them."""
    left = exchange.fallbacks
    exchange.target, exchange.fallbacks = target, left[1:] if left and left[0] is target else []
    exchange.response, exchange.error, exchange.outcome = None, None, "ok"
    exchange.timeline.upstream_end = 0.0


def _unseen(trip: Trip, passage: Passage, pulse: Pulse) -> bool:
    """Nothing of this answer has been shown, and another target may be tried instead."""
    return pulse.holding and not passage.inner.started and bool(trip.exchange.fallbacks)


def asks_debug(headers: Headers) -> bool:
    return any(name.lower() == "x-weir-debug" and value == "1" for name, value in headers)


def _composed(trip: Trip, codec: Codec, response: Response) -> bytes:
    request = trip.exchange.request
    return codec.compose(
        response.text or "",
        model=response.model or request.model,
        id=trip.exchange.id,
        stream=request.stream,
        finish=response.finish or "stop",
        usage=response.usage,
    )


def _codec(trip: Trip) -> Codec:
    assert trip.codec is not None
    return trip.codec


def _route(trip: Trip) -> Route:
    assert trip.route is not None
    return trip.route


def _is_events(headers: Headers) -> bool:
    return any(
        name.lower() == "content-type" and value.lower().startswith("text/event-stream") for name, value in headers
    )


def _id_of(doc: object) -> str:
    found = doc.get("id") if isinstance(doc, dict) else None
    return found if isinstance(found, str) else ""
