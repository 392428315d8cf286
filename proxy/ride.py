"""One call on the short way (`express`): out in one stroke, back in another, or over to the regular way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Any

from proxy import own
from proxy.coroutines import at_once, resumed
from proxy.errors import Overloaded
from proxy.exchange import Exchange, Response
from proxy.flights import Flight
from proxy.given import given
from proxy.held import is_kept
from proxy.house import Trip
from proxy.passage import Passage, taped
from proxy.pipeline import Pipeline
from proxy.plugin import Tape
from proxy.ports import Incoming, ShortReply
from proxy.repeats import Repeats
from proxy.tracks import SILENT_S, Standing, Track
from proxy.upstream import endpoint
from proxy.upstream.arrival import Arrival
from proxy.upstream.link import Answering, Outgoing, is_events
from proxy.wire.codec import Answer, Codec

log = logging.getLogger("weir")


class Ride:
    """One call on the short way."""

    __slots__ = (
        "_arrival", "_below", "_exchange", "_flight", "_headers", "_house", "_incoming", "_late", "_over", "_pipeline",
        "_reply", "_standing", "_track", "bell", "context",
    )  # fmt: skip

    def __init__(
        self,
        pipeline: Pipeline,
        exchange: Exchange,
        incoming: Incoming,
        reply: ShortReply,
        standing: Standing,
        track: Track,
    ) -> None:
        self._house = pipeline.house
        self._pipeline = pipeline
        self._exchange = exchange
        self._headers = exchange.request.headers
        """As they came."""
        self._incoming = incoming
        self._reply = reply
        self._standing = standing
        self._track = track
        self._below = 0
        self._arrival: Answering | None = None
        self._over = False
        self._flight: Flight | None = None
        """Other calls may have its answer too."""
        self._late: asyncio.Future[Answering] | None = None
        """Of a stream for whose answer a task waits by now."""
        self.bell = 0
        self.context = copy_context()
        """Of this call alone, on its way out and back."""

    def repeat(self, give: Callable[[], Response]) -> None:
        """Answers with what was answered before. Only who counts, or holds to a limit, has a word (`Plugin.again`)."""
        out = self._out_again(give)
        try:
            try:
                waiting = out.send(None)
            except StopIteration as done:
                response, self._below = done.value
            else:
                self._hand_on(partial(self._pipeline.come_out, out=out, waiting=waiting))
                return
            if not self._given(response):
                self._hand_on(partial(self._pipeline.go_on, response=response))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  it becomes an answer, on the regular way
            self._hand_on(partial(_raise, error=error))

    async def _out_again(self, give: Callable[[], Response]) -> tuple[Response, int]:
        exchange, route, place = self._exchange, self._track.route, self._exchange.place
        if route.stops["request"]:
            response, below = await self._standing.chain.out(exchange, route)
            if response is not None:
                return response, below
        exchange.place = place
        response = give()
        exchange.timeline.plugins[response.source] = self._house.now() - exchange.timeline.read
        return response, place

    def depart(self, repeats: Repeats) -> None:
        """`repeats`: learn of calls that a plugin answers."""
        exchange, track = self._exchange, self._track
        line = exchange.timeline
        try:
            out = self._standing.chain.out(exchange, track.route)
            try:
                waiting = out.send(None)
            except StopIteration as done:
                response, self._below = done.value
            else:  # a hook that seldom waits does
                self._hand_on(partial(self._pipeline.come_out, out=out, waiting=waiting))
                return
            request, worn = exchange.request, track.dress
            turned = "model" in request.edits or (exchange.target is not track.target and not self._remodelled())
            changed = request.changed
            if response is not None and self._given(response, repeats):
                return
            if response is not None or turned or request.headers is not self._headers:
                self._hand_on(partial(self._pipeline.go_on, response=response))
                return
            if exchange.flight and self._pipeline.flights.joinable(exchange.flight):
                self._hand_on(partial(self._pipeline.go_on, response=None))
                return
            body = self._codec.write(request) if changed else request.body
            line.sent, exchange.attempts = self._house.now(), 1
            outgoing = Outgoing("POST", worn.target, worn.headers, body, memo=worn.memo)
            self._arrival = self._house.link.begin(worn.upstream, outgoing, self._arrived)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  it becomes an answer, on the regular way
            self._hand_on(partial(_raise, error=error))
            return
        if self._arrival is None:
            line.sent, exchange.attempts = 0.0, 0
            self._hand_on(partial(self._pipeline.go_on, response=None))
            return
        if exchange.flight:
            self._flight = self._pipeline.flights.lead(exchange)
        if request.stream:
            self._pipeline.delivery.bells.after(SILENT_S, self)

    def _remodelled(self) -> bool:
        """A plugin chose another model of the same upstream: only the model's name changes on the way."""
        exchange, track, target = self._exchange, self._track, self._exchange.target
        upstream = track.dress.upstream
        if target is None or target.upstream != track.target.upstream or "{model}" in upstream.url:
            return False
        if not self._house.allowed(exchange.snapshot, exchange.caller.key, target.model):
            return False
        exchange.request.edits["model"] = target.model
        return True

    def _given(self, response: Response, repeats: Repeats | None = None) -> bool:
        """Answers with what a plugin has; False where the regular way has to."""
        made = given(self._standing.chain, self._exchange, response, self._track.route, (self._below, self._codec))
        if made is None:
            return False
        lines, body = made
        try:
            self._reply.put(200, [], body, lines)
        except ConnectionError:  # the caller has gone; its connection knows, or will be told
            self._left()
        else:
            if repeats is not None and response.again is not None and self._exchange.request.headers is self._headers:
                repeats.learn(self._standing, self._track, self._exchange, body)
            self._end()
        return True

    def rung(self) -> None:
        """A stream's headers take their time: a task waits for them, which answers early and keeps the caller awake."""
        if not self._over:
            self.context.run(self._wait_on)

    def _wait_on(self) -> None:
        self._late = asyncio.get_running_loop().create_future()
        self._hand_on(partial(self._pipeline.carry, come=self._answer_comes, flight=self._flight))

    async def _answer_comes(self) -> Answering:
        assert self._late is not None and self._arrival is not None
        try:
            arrival = await self._late
        except asyncio.CancelledError:
            self._arrival.close()
            self._house.pool.noted(self._track.target.upstream, "cancelled")
            raise
        self._exchange.timeline.headers = self._house.now()
        return arrival

    def came(self) -> None:
        """The body was there before."""

    def cancel(self) -> None:
        """The caller has gone, or Weir stops."""
        if self._over:
            return
        self._over = True
        if self.bell:
            self._pipeline.delivery.bells.drop(self)
        if self._arrival is not None and (self._flight is None or not self._flight.let_go(self._arrival.close)):
            self._arrival.close()  # (None: its answer has come, and waits to be remembered)
            self._house.pool.noted(self._track.target.upstream, "cancelled")
        with suppress(ConnectionError):
            self._reply.fail(Overloaded("Weir is shutting down"))
        self._left()

    def _left(self) -> None:
        """Nobody waits for the answer any more."""
        self._over = True
        self._exchange.outcome = "cancelled"
        self._pipeline.ended()
        self._pipeline.settling.conclude(self._exchange, self._standing.chain, self._track.route)

    def _arrived(self, arrival: Answering) -> None:
        """The answer has come as a whole, or something else has."""
        if self.bell:
            self._pipeline.delivery.bells.drop(self)
        if not self._over:
            self.context.run(self._return, arrival)
        elif self._late is not None and not self._late.done():
            self._late.set_result(arrival)
        elif self._late is None and self._flight is not None:
            target, upstream = self._track.target, self._track.dress.upstream
            self._pipeline.flights.adopt(self._flight, arrival, target, upstream)

    def _return(self, arrival: Answering) -> None:
        self._exchange.timeline.headers = now = self._house.now()
        try:
            whole = arrival if isinstance(arrival, Arrival) and arrival.whole and 200 <= arrival.status < 300 else None
            if self._exchange.request.stream:
                whole = None
            if whole is not None and self._flight is not None:
                self._flight.landed(whole, self._track.target, self._track.dress.upstream)
                self._flight = None
            answer = None if whole is None else self._taken(whole, now)
            stays = whole is not None and answer is not None and self._stays(whole, answer)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  it becomes an answer, on the regular way
            self._hand_on(partial(_raise, error=error))
            return
        if stays:
            return
        if whole is not None and answer is not None:
            self._deliver(whole, answer)
        else:
            self._hand_on(partial(self._pipeline.carry, come=partial(_given, arrival), flight=self._flight))

    def _taken(self, arrival: Arrival, now: float) -> Answer | None:
        """The answer, read and noted; None where that is not for here."""
        if arrival.shape is None or arrival.header("content-encoding") is not None or is_events(arrival):
            return None
        raw, exchange = arrival.rest, self._exchange
        answer = self._codec.answer(raw) if len(raw) <= exchange.snapshot.limits.answer_bytes else None
        if answer is None:
            return None
        self._house.pool.noted(self._track.target.upstream, "ok")
        exchange.timeline.upstream_end = now
        exchange.response = Response(arrival.status)
        own.received(exchange, exchange.response, answer, raw)
        return answer

    def _stays(self, arrival: Arrival, answer: Answer) -> bool:
        """Whether the answer has to wait until its id is remembered."""
        exchange, response = self._exchange, self._exchange.response
        if response is None or not is_kept(exchange.request, answer.doc):
            return False
        self._arrival = None  # it is over, whoever leaves now
        return not self._house.held.remembered(exchange, response.id, partial(self._remembered, arrival, answer))

    def _remembered(self, arrival: Arrival, answer: Answer) -> None:
        if not self._over:
            self.context.run(self._deliver, arrival, answer)

    def _filtered(self, passage: Passage, arrival: Arrival, answer: Answer) -> bytes | None:
        """The answer as the filters leave it. None where one of them has to wait: the regular way waits with it."""
        work = passage.whole(answer)
        try:
            waiting = work.send(None)
        except StopIteration as done:
            return bytes(done.value)
        back = self._pipeline.delivery.come_back
        self._hand_on(partial(back, passage=passage, arrival=arrival, work=resumed(work, waiting)))
        return None

    def _deliver(self, arrival: Arrival, answer: Answer) -> None:
        """To the caller, past the filters and the hooks that see what it gets."""
        exchange, raw = self._exchange, arrival.rest
        response, line, body = exchange.response, exchange.timeline, raw
        assert response is not None
        chain, route = self._standing.chain, self._track.route
        tapes: Sequence[Tape] = taped(exchange, route.tapes, self._below) if route.tapes else ()
        passage = None
        try:
            if tapes:
                for tape in tapes:
                    tape.write(raw)
            elif route.reads_answers and not route.tapes:
                passage = Passage(chain, exchange, route, self._below, self._codec)
                filtered = self._filtered(passage, arrival, answer)
                if filtered is None:
                    return
                body = filtered
            at_once(chain.response(exchange, route, self._below))
            if passage is not None:
                passage.close(True)
                passage = None
            for tape in tapes:
                tape.close(True)
            tapes = ()
            line.first = now = self._house.now()
            line.close(now)
            response.delivered_bytes = len(body)
            changed = body is not raw
            ours, theirs = own.lines(exchange), arrival.lines(changed)
            if ours is None or theirs is None:
                headers = endpoint.answer_headers(arrival.headers, changed=changed)
                self._reply.put(arrival.status, headers + own.headers(exchange, whole=True), body)
            else:
                self._reply.put(arrival.status, [], body, theirs + ours)
        except ConnectionError:  # the caller has gone; its connection knows, or will be told
            self._left()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  it becomes an answer, on the regular way
            if passage is not None:
                passage.close(False)
            for tape in tapes:
                tape.close(False)
            self._hand_on(partial(_raise, error=error))
        else:
            self._end()

    def _end(self) -> None:
        self._over = True
        self._pipeline.ended()
        self._pipeline.settling.conclude(self._exchange, self._standing.chain, self._track.route)
        self._reply.over()

    @property
    def _codec(self) -> Codec:
        codec = self._standing.codec
        assert codec is not None
        return codec

    def _hand_on(self, work: Callable[[Trip], Coroutine[Any, Any, None]]) -> None:
        """The regular way goes on with the call."""
        self._over = True
        exchange, standing, track = self._exchange, self._standing, self._track
        trip = Trip(
            exchange, standing.chain, self._incoming, self._reply, self._headers, codec=standing.codec,
            route=track.route, below=self._below, ours=standing.known.credential_is_ours, home=track.target.upstream,
        )  # fmt: skip
        self._reply.go_on(self._pipeline.run(trip, work(trip)))


async def _given(arrival: Answering) -> Answering:
    return arrival


async def _raise(trip: Trip, error: BaseException) -> None:
    raise error
