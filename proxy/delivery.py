"""From the upstream's status line to the caller's last byte: JSON whole, streams event by event.

own         a plugin answered: its answer in the caller's dialect, through the filters above it
upstream    send; then by what came:
  _passed_on   an error of the provider, byte for byte
  _whole       a JSON answer
  streaming    events, see there
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import blake2b

import orjson

from proxy import own, record
from proxy.bells import Bells
from proxy.errors import Forbidden, ProtocolViolation, Refused, UpstreamFailed, WeirError
from proxy.exchange import Exchange, Response, Target
from proxy.gathering import gathered
from proxy.held import is_kept
from proxy.house import Trip
from proxy.live import Upstream
from proxy.passage import Passage
from proxy.ports import Headers, Now, Tasks
from proxy.pulse import EARLY, Pulse
from proxy.streaming import Remember, Streaming, codec_of, passage_of, route_of
from proxy.upstream import endpoint
from proxy.upstream.arrival import Arrival
from proxy.upstream.link import Answering, is_events
from proxy.wire import sliced
from proxy.wire.codec import Answer

Send = Callable[[], Awaitable[tuple[Answering, Target, Upstream]]]
Inflate = Callable[[Headers, bytes, int], bytes]
BAD_REQUEST = 400
REPLACEMENTS = 3
"""How often plugins may replace an answer or name another target, per call."""


class Delivery:
    """Carries answers back."""

    def __init__(self, now: Now, tasks: Tasks, inflate: Inflate, remember: Remember) -> None:
        self._now = now
        self._tasks = tasks
        self._inflate = inflate
        self._remember = remember
        self._streaming = Streaming(now, remember)
        self.bells = Bells()

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
        places = [member.place for member in route_of(trip).members if member.name == error.plugin]
        trip.below = places[0] if places else 0
        await self.own(trip, answered)

    async def _own_body(self, trip: Trip, response: Response) -> None:
        codec, passage = codec_of(trip), passage_of(trip)
        body, complete = own.body(codec, trip.exchange, response), False
        try:
            answer = codec.answer(body)
            if answer is not None:
                response.said = answer.texts
                response.usage = response.usage or answer.usage
                response.finish = answer.finish
                body = await passage.whole(answer)
            await trip.chain.response(trip.exchange, route_of(trip), trip.below)
            complete = True
        finally:
            passage.close(complete)
        headers = [("content-type", "application/json"), *own.theirs(response.headers)]
        await self._send(trip, response.status, headers, body)

    async def _own_stream(self, trip: Trip, response: Response) -> None:
        exchange, passage = trip.exchange, passage_of(trip)
        events = own.events(codec_of(trip), exchange, response)
        stream = passage.open_stream(False)
        try:
            await trip.chain.response(exchange, route_of(trip), trip.below)
            if not trip.reply.started:
                headers = [*EARLY, *own.theirs(response.headers), *own.headers(exchange)]
                await trip.reply.start(response.status, headers)
            exchange.timeline.first = self._now()
            for data in events:
                await trip.reply.write(await passage.feed(data))
                if passage.broken is not None:
                    break
            await self._streaming.end(trip, passage)
        finally:
            response.usage = response.usage or stream.usage
            response.finish = response.finish or stream.finish
            response.complete = stream.complete and passage.broken is None
            passage.close(response.complete)

    async def upstream(self, trip: Trip, send: Send) -> None:
        """Sends, and carries back what comes. Errors before the first byte are raised; later ones become events."""
        exchange = trip.exchange
        pulse = Pulse(trip.reply, self._now, self._tasks, exchange, self.bells)
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
                    if found.usage is not None:
                        own.discard(exchange)
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
        exchange, answering = trip.exchange, None
        try:
            answering, exchange.target, _ = await send()
            if exchange.target in exchange.fallbacks:
                exchange.step("weir", "send", f"fell back to {exchange.target.upstream}/{exchange.target.model}")
                exchange.fallbacks = exchange.fallbacks[exchange.fallbacks.index(exchange.target) + 1 :]
            if trip.gather and answering.status == BAD_REQUEST:  # of a provider that does not stream, it may be
                answering.close()
                trip.gather = False
                answering, exchange.target, _ = await send()
            if exchange.verdicts:
                await trip.chain.verdicts(exchange)
            if answering.status >= 400:
                return await self._passed_on(trip, answering)
            if is_events(answering) and not trip.gather:
                return await self._streaming.carry(trip, answering, pulse)
            if is_events(answering):
                try:
                    answering = await gathered(exchange, answering)
                except UpstreamFailed:
                    if exchange.fallbacks:  # nobody has seen anything of it
                        answering.close()
                        return exchange.fallbacks[0], trip.below
                    raise
            return await self._whole(trip, answering)
        except UpstreamFailed as error:
            if answering is not None:
                answering.close()
            shown = trip.reply.started and own.delivered(trip.exchange) and not pulse.holding
            replaced = None if shown else await trip.chain.answer(trip.exchange, route_of(trip), trip.below, error)
            if replaced is None:
                if pulse.holding:
                    await pulse.release()
                raise
            return replaced
        finally:
            if answering is not None:
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
        replaced = await trip.chain.answer(exchange, route_of(trip), trip.below, error)
        if replaced is not None:
            return replaced
        await trip.chain.response(exchange, route_of(trip), trip.below)
        await self._send_on(trip, answering, body, changed=False)
        return None

    async def _whole(self, trip: Trip, answering: Answering) -> tuple[Response | Target, int] | None:
        exchange, codec = trip.exchange, codec_of(trip)
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
            self._uninspected(trip, "answer")
            await trip.chain.response(exchange, route_of(trip), trip.below)
            await self._send_on(trip, answering, raw, changed=False)
            return None
        own.received(exchange, response, answer, plain)
        route = route_of(trip)
        if is_kept(exchange.request, answer.doc):
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
        passage, complete = passage_of(trip), False
        try:
            body = await passage.whole(answer)
            await trip.chain.response(trip.exchange, route_of(trip), trip.below)
            complete = True
        finally:
            passage.close(complete)
        return body

    async def come_back(self, trip: Trip, passage: Passage, arrival: Arrival, work: Awaitable[bytes]) -> None:
        """A JSON answer whose way through the filters was begun without a task: `work` is the rest of it."""
        complete = False
        try:
            body = await work
            await trip.chain.response(trip.exchange, route_of(trip), trip.below)
            complete = True
        finally:
            passage.close(complete)
        await self._send_on(trip, arrival, body, changed=body is not arrival.rest)

    async def break_off(self, trip: Trip, error: WeirError) -> None:
        """An error in a running stream: an event in the caller's dialect, no proper end."""
        exchange = trip.exchange
        exchange.error, exchange.outcome = error, record.outcome_of(error)
        if isinstance(error, Refused) and error.as_answer and not own.delivered(exchange):
            trip.chain.drop_verdicts(exchange)
            await self.refused(trip, error)
            return
        exchange.timeline.ended = self._now()
        stream = codec_of(trip).stream(exchange.request.doc)
        await trip.reply.write(stream.fault(error))
        trip.reply.abort()

    def _uninspected(self, trip: Trip, what: str) -> None:
        """Something that no codec reads: recorded, or refused where the operator or a guard says so."""
        trip.exchange.request.uninspected.append(what)
        if trip.exchange.snapshot.uninspected == "refuse" or route_of(trip).refuses_answers:
            raise Forbidden(f"this call has parts that cannot be inspected ({what})", code="uninspected")

    async def _send_on(self, trip: Trip, answering: Answering, body: bytes, *, changed: bool) -> None:
        """The provider's answer, with its headers."""
        theirs = answering.lines(changed)
        self._ends(trip, body)
        ours = None if theirs is None else own.lines(trip.exchange)
        if theirs is None or ours is None:
            headers = endpoint.answer_headers(answering.headers, changed=changed)
            await trip.reply.send(answering.status, headers + own.headers(trip.exchange, whole=True), body)
        else:
            await trip.reply.send(answering.status, [], body, theirs + ours)

    async def _send(self, trip: Trip, status: int, headers: Headers, body: bytes) -> None:
        self._ends(trip, body)
        await trip.reply.send(status, headers + own.headers(trip.exchange, whole=True), body)

    def _ends(self, trip: Trip, body: bytes) -> None:
        """The whole answer goes out now."""
        if trip.reply.started:
            raise ProtocolViolation("The provider did not answer with a stream.")
        exchange = trip.exchange
        line = exchange.timeline
        line.ended = now = self._now()
        line.first = line.first or now
        if exchange.response is not None:
            exchange.response.delivered_bytes = len(body)


def onward(exchange: Exchange, key: str) -> str:
    """The flight (`key`: of the one before) of calls that are sent on to the same target and would still send the same:
    what plugins have changed since is no other's. Empty where that cannot be told."""
    target, request = exchange.target, exchange.request
    try:
        doc = {**request.present(), "model": None}
        body = blake2b(orjson.dumps(doc, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
    except TypeError:  # integers of more than 64 bits
        return ""
    return "" if target is None else f"{key} {body} {target.upstream}/{target.model}"


def _start_over(exchange: Exchange, target: Target) -> None:
    """With another target, as if the one before had not been asked. Its fallbacks stay, if it is one of them."""
    own.discard(exchange)
    left = exchange.fallbacks
    exchange.target, exchange.fallbacks = target, left[1:] if left and left[0] is target else []
    exchange.response, exchange.error, exchange.outcome = None, None, "ok"
    exchange.timeline.upstream_end = 0.0
