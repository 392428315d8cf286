"""Single flight: calls that are alike and under way at the same time share one upstream call.

What calls share is the provider's answer as it comes, before any of them does anything with it: filters, hooks and
records are each call's own. Who comes late gets what has come so far, then the rest as it comes.

A flight belongs to nobody. It ends with the last call that waits for it: whoever leads it may leave before, and who
waits longest then pays in its place, lest an answer be had for nothing by two calls of which one hangs up. The answer
runs as fast as the fastest of several readers; one that falls behind by more than `HELD_BYTES` and does not catch up is
cut off. A single reader may be as slow as it likes: the provider waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from inspect import CORO_CLOSED, getcoroutinestate
from typing import Any

from proxy.delivery import onward
from proxy.errors import Overloaded, StreamCut
from proxy.exchange import Exchange, Target
from proxy.house import Trip
from proxy.live import Upstream
from proxy.ports import Headers, Now, Tasks
from proxy.upstream import failure
from proxy.upstream.arrival import Arrival
from proxy.upstream.link import Answering

Come = tuple[Answering, Target, Upstream]
Send = Callable[[], Awaitable[Come]]
HELD_BYTES = 256 * 1024
"""Of an answer that more than one call may read: past it nobody joins, and nobody may be farther behind."""
BEHIND_S = 1.0
"""So long a reader may take to catch up, while another waits."""


class Flights:
    """One per worker."""

    def __init__(self, now: Now, tasks: Tasks) -> None:
        self._now = now
        self._tasks = tasks
        self._open: dict[str, Flight] = {}

    def joinable(self, key: str) -> bool:
        """Whether a call like this is under way, and all that has come of its answer is here."""
        flight = self._open.get(key)
        return flight is not None and flight.open

    def lead(self, exchange: Exchange) -> Flight | None:
        """A flight for who makes the call itself, and says what came of it; None where such calls share nothing, or one
        is under way."""
        key, exchange.flight = exchange.flight, ""
        if exchange.verdicts or key in self._open:
            return None
        flight = self._open[key] = Flight(self._now, key, self._open)
        if exchange.caller.deadline_s is not None:
            flight.hurried = exchange
            exchange.patience = flight.until_s
        return flight

    def ride(self, trip: Trip, send: Send, flight: Flight | None = None) -> Send:
        """`send`, the first time by way of a flight: the one that is given, that of a call like this, or a new one. Who
        is sent on to another target shares that one's answer with others who are."""
        exchange = trip.exchange
        key, asked = exchange.flight if flight is None else flight.key, exchange.target

        async def sent() -> Come:
            nonlocal flight, asked
            led, flight = flight, None
            if exchange.target != asked:
                exchange.flight = onward(exchange, key)
            come = await self._shared(trip, send, led)
            asked = come[1]
            return come

        return sent

    async def _shared(self, trip: Trip, send: Send, led: Flight | None) -> Come:
        exchange = trip.exchange
        if led is None and exchange.flight:
            if not exchange.verdicts and self.joinable(exchange.flight):
                return await self._join(trip, self._open[exchange.flight])
            led = self.lead(exchange)
        if exchange.cache == "COALESCED":  # what was shared was not enough: this one it asks for, and pays
            _charge(exchange)
        if led is None:
            return await send()
        return await (led.board() if self._begin(led, led.run(send, trip)) else send())

    async def _join(self, trip: Trip, flight: Flight) -> Come:
        exchange, line = trip.exchange, trip.exchange.timeline
        exchange.flight, exchange.cache = "", "COALESCED"
        line.sent = self._now()
        found = await flight.board(exchange)
        line.headers = self._now()
        trip.withhold, trip.gather = flight.withhold, flight.gather
        return found

    def adopt(self, flight: Flight, arrival: Answering, target: Target, upstream: Upstream) -> None:
        """The answer to a flight whose leader has left."""
        if isinstance(arrival, Arrival) and arrival.whole:
            flight.landed(arrival, target, upstream)
            return

        async def given() -> Come:
            error: Exception | None = None if arrival.status else getattr(arrival, "error", None)
            if error is not None:
                raise error
            return arrival, target, upstream

        if not self._begin(flight, flight.run(given, None)):
            arrival.close()

    def _begin(self, flight: Flight, run: Coroutine[Any, Any, None]) -> bool:
        """False, and the flight has ended: so much runs beside the calls that nothing more may."""
        self._tasks.spawn("flight", run)
        if getcoroutinestate(run) != CORO_CLOSED:
            return True
        flight.fail(Overloaded("Too much is under way here."))
        return False


class Flight:
    """One upstream call and who waits for its answer."""

    def __init__(self, now: Now, key: str, among: dict[str, Flight]) -> None:
        self.withhold = False
        """The provider was asked for usage by Weir; its event is nobody's."""
        self.gather = False
        """It was asked to stream though nobody here did: settings may have changed since."""
        self.ended = False
        """No more comes."""
        self.error: Exception | None = None
        self.pieces: list[bytes] = []
        """What has come and is not read by all, or all of it while somebody may still join."""
        self.gone = 0
        """So many came before these."""
        self._held_bytes = 0
        self._now = now
        self.key = key
        self._among = among
        self._source: Come | None = None
        self._aboard = 0
        """Calls that wait for the answer or read it."""
        self.hurried: Exchange | None = None
        """Who leads, where it does not wait for ever."""
        self._payer: Exchange | None = None
        """None: who leads."""
        self._guests: list[Exchange] = []
        """Calls that joined and pay nothing, as long as the payer stays."""
        self._boarding: list[asyncio.Future[None]] = []
        self._readers: set[Shared] = set()
        self._stop: Callable[[], object] | None = None
        """Ends the upstream call; None while somebody makes it who does not count among those who wait."""
        self._moved: asyncio.Future[None] | None = None
        """Wakes whoever brings the answer in, when a reader has moved on or left."""

    @property
    def open(self) -> bool:
        """Somebody may join."""
        return self.error is None and not self.gone and self._held_bytes <= HELD_BYTES

    def until_s(self) -> float | None:
        """When (monotonic) the last of who wait has gone; None: one of them waits as long as it takes. Who leads may
        have been in more of a hurry than who joined."""
        waiting = [one for one in (self.hurried, self._payer, *self._guests) if one is not None]
        ends = [one.timeline.start + one.caller.deadline_s for one in waiting if one.caller.deadline_s is not None]
        return max(ends) if len(ends) == len(waiting) else None

    async def board(self, guest: Exchange | None = None) -> Come:
        """The answer, once its headers have come. Raises what the call came to where it failed. `guest`: who joined;
        None for who leads."""
        self._aboard += 1
        if guest is not None:
            self._guests.append(guest)
        try:
            while self._source is None and self.error is None:
                step = asyncio.get_running_loop().create_future()
                self._boarding.append(step)
                await step
        except asyncio.CancelledError:
            self._leave(guest)
            raise
        if self._source is None:
            assert self.error is not None
            raise self.error
        answering, target, upstream = self._source
        reader = Shared(self, answering, guest)
        self._readers.add(reader)
        return reader, target, upstream

    def let_go(self, stop: Callable[[], object]) -> bool:
        """Who makes the call counts no more: with the last who waits it is to `stop`. False: nobody waits now."""
        self._stop = stop
        self._pass_on(None)
        if not self._aboard:
            self._forget()
        return bool(self._aboard)

    def landed(self, arrival: Arrival, target: Target, upstream: Upstream) -> None:
        """The whole answer is there; who led the flight reads it where it is."""
        self._source = (arrival, target, upstream)
        self.pieces = [arrival.rest] if arrival.rest else []
        self._end(None)

    async def run(self, send: Send, trip: Trip | None) -> None:
        """Makes the call, and brings its answer in. `trip`: of who leads; None where the answer is there already."""
        task = asyncio.current_task()
        assert task is not None
        self._stop = task.cancel
        if trip is not None and not self._aboard:  # all have left before it began
            self._end(failure.cut())
            return
        try:
            self._source = answering, *_ = await send()
        except BaseException as error:
            self._end(error if isinstance(error, Exception) else failure.cut())
            if isinstance(error, Exception):
                return
            raise
        if trip is not None:
            self.withhold, self.gather = trip.withhold, trip.gather
        self._wake()
        await self._bring(answering)

    async def _bring(self, answering: Answering) -> None:
        error: Exception | None = failure.cut()
        try:
            async for piece in answering.chunks():
                self.pieces.append(piece)
                self._held_bytes += len(piece)
                self._wake()
                if self._held_bytes > HELD_BYTES:
                    await self._make_room()
                if not self._aboard:
                    return
            error = None
        except Exception as broken:  # noqa: BLE001  every reader raises it
            error = broken
        finally:
            answering.close()
            self._end(error)

    async def _make_room(self) -> None:
        """Lets go what everybody has read; waits for who is behind, and cuts off who lets others wait too long."""
        until_s = self._now() + BEHIND_S
        while self._aboard:
            if self._aboard == len(self._readers):
                self._drop(min(reader.at for reader in self._readers))
            if self._held_bytes <= HELD_BYTES:
                return
            self._moved = asyncio.get_running_loop().create_future()
            left_s = None if self._aboard == 1 else max(0.0, until_s - self._now())
            moved, _ = await asyncio.wait([self._moved], timeout=left_s)
            self._moved = None
            if not moved and len(self._readers) > 1:
                min(self._readers, key=lambda reader: reader.at).cut_off()

    def _drop(self, least: int) -> None:
        done = self.pieces[: least - self.gone]
        del self.pieces[: least - self.gone]
        self.gone = least
        self._held_bytes -= sum(map(len, done))

    def moved(self) -> None:
        """A reader has read on."""
        if self._moved is not None and not self._moved.done():
            self._moved.set_result(None)

    def fail(self, error: Exception) -> None:
        """Nobody will bring the answer in."""
        self._end(error)

    def leave(self, reader: Shared) -> None:
        if reader in self._readers:
            self._readers.discard(reader)
            self._leave(reader.guest)

    def _pass_on(self, left: Exchange | None) -> None:
        """Who pays has left before the answer was whole: the first who joined pays now."""
        if left is not self._payer:
            self._guests = [guest for guest in self._guests if guest is not left]
        elif self._guests and not self.ended:
            self._payer = self._guests.pop(0)
            self._payer.attempts = max(1, self._payer.attempts)
            _charge(self._payer)

    def _leave(self, who: Exchange | None) -> None:
        """With the last who waits the call ends."""
        self._aboard -= 1
        self._pass_on(who)
        self.moved()
        if not self._aboard and not self.ended and self._stop is not None:
            self._close()

    def _close(self) -> None:
        self._forget()
        if self._stop is not None:
            self._stop()

    def _end(self, error: Exception | None) -> None:
        if self.ended:
            return
        self.ended, self.error = True, error
        self._forget()
        self._wake()

    def _forget(self) -> None:
        """Nobody joins any more."""
        if self._among.get(self.key) is self:
            del self._among[self.key]

    def _wake(self) -> None:
        boarding, self._boarding = self._boarding, []
        for step in boarding:
            if not step.done():
                step.set_result(None)
        for reader in self._readers:
            reader.wake()


class Shared:
    """`upstream.link.Answering`: one call's own reading of an answer that several get."""

    def __init__(self, flight: Flight, answering: Answering, guest: Exchange | None = None) -> None:
        self._flight = flight
        self.guest = guest
        """Whose reading this is; None: of who leads."""
        self._answering = answering
        self.status = answering.status
        self.reused = answering.reused
        self.at = 0
        """Pieces read, counted from the first that came."""
        self._more: asyncio.Future[None] | None = None
        self._cut = False

    @property
    def headers(self) -> Headers:
        return self._answering.headers

    def header(self, name: str) -> str | None:
        return self._answering.header(name)

    def lines(self, changed: bool) -> bytes | None:
        return self._answering.lines(changed)

    async def read(self, limit: int) -> bytes:
        parts, size = [], 0
        async for piece in self.chunks():
            parts.append(piece)
            size += len(piece)
            if size > limit:
                self.close()
                raise failure.too_large()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def chunks(self) -> AsyncIterator[bytes]:
        flight = self._flight
        while True:
            if self._cut:
                raise StreamCut("This call read too slowly for the calls that share its answer.")
            at = self.at - flight.gone
            if at < len(flight.pieces):
                self.at += 1
                piece = flight.pieces[at]
                flight.moved()
                yield piece
                continue
            if flight.ended:
                if flight.error is not None:
                    raise flight.error
                return
            self._more = asyncio.get_running_loop().create_future()
            try:
                await self._more
            finally:
                self._more = None

    def wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    def cut_off(self) -> None:
        """It has fallen behind."""
        self._cut = True
        self._flight.leave(self)
        self.wake()

    def close(self) -> None:
        self._flight.leave(self)


def _charge(exchange: Exchange) -> None:
    """A call that joined pays after all. It may have been told already that it costs nothing."""
    exchange.cache, exchange.cost_nano_usd, exchange.price_source = "MISS", None, "none"
