"""One exchange from first byte to record: the story of a request.

handle      open the exchange, and whatever happens settle it: hooks, metrics, record
  _serve    who asks, what for: an endpoint of Weir's own, a dialect with a codec, or a relay
    _call   read, resolve, chain out, upstream, and the way back (`proxy.delivery`)
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import orjson
import xxhash

from proxy import gathering, own, record, wire
from proxy.bounds import bounds_of, hold
from proxy.coroutines import resumed
from proxy.delivery import Delivery
from proxy.errors import BadMethod, Forbidden, Refused, UpstreamTimeout, WeirError
from proxy.exchange import Caller, Dialect, Exchange, Json, Request, Response, Segment, Target
from proxy.flights import Flight, Flights, Send
from proxy.held import named_id
from proxy.house import CallIds, House, Identified, Local, Trip, make_durable, of_provider, watch
from proxy.live import Snapshot, Upstream
from proxy.outward import builder
from proxy.ports import Incoming, Reply
from proxy.reading import model_of, names_parts, with_tokens
from proxy.route import Route
from proxy.settling import Settling
from proxy.upstream import endpoint
from proxy.upstream.link import Answering
from proxy.wire import faults, sliced
from proxy.wire.codec import Codec

log = logging.getLogger("weir")
TARGETS = 1024
"""Resolved models that are remembered, for as long as a snapshot lasts."""
NOBODY = Caller()

Work = Coroutine[Any, Any, "Coroutine[Any, Any, None] | None"]
"""Of a call, and what is to be done after it."""

_NAMES_USERS = frozenset({"metadata", "safety_identifier", "user"})


class Pipeline:
    """Runs calls. One object per worker."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._seed = int.from_bytes(hmac.digest(house.secret, b"conversation", "sha256")[:8])
        self.delivery = Delivery(house.now, house.tasks, of_provider(house.inflate), house.held.remember)
        self._depth = -1
        self._targets: dict[tuple[Dialect, str], tuple[Target, ...]] = {}
        self._targets_of: Snapshot | None = None
        self._codecs: dict[Dialect, Codec] = {}
        self.codec("chat", house.chains.current.snapshot.limits.depth)
        self.call_id = CallIds()
        self.settling = Settling(house)
        self.flights = Flights(house.now, house.tasks)
        self._in_flight = house.metrics.gauge("weir_in_flight")
        self.running = 0

    def handle(
        self, incoming: Incoming, reply: Reply, begun: tuple[float, float] | None = None
    ) -> Coroutine[Any, Any, None]:
        """To be awaited at once. Never raises but for cancellation: every error becomes an answer, every call a
        record. `begun`: by wall time and by the monotonic one, if it was not just now."""
        house = self.house
        chain = house.chains.current
        at_s, start = begun or (house.wall(), house.now())
        headers = tuple(incoming.headers)
        exchange = Exchange(
            self.call_id(at_s),
            NOBODY,
            Request("relay", incoming.method, incoming.path, incoming.query, headers, b""),
            at_s=at_s,
            start=start,
            snapshot=chain.snapshot,
        )
        trip = Trip(exchange, chain, incoming, reply, headers)
        self.began()
        return self.run(trip, self._serve(trip))

    def began(self) -> None:
        """One call more is under way; `run` or `ended` says when it is not any longer."""
        self.running += 1
        self._in_flight(self.running)

    def ended(self) -> None:
        self.running -= 1
        self._in_flight(self.running)

    async def run(self, trip: Trip, work: Work) -> None:
        """The rest of a call, to its end: `work`, and what that says is next. Never raises but for cancellation."""
        exchange = trip.exchange
        try:
            try:
                try:
                    rest = await work
                    if rest is not None:  # a stream that takes long keeps no step alive that it has behind it
                        await rest
                finally:
                    trip.chain.drop_verdicts(exchange)
            except ConnectionError:
                raise
            except Exception as error:  # noqa: BLE001  every error becomes an answer
                await self._failed(trip, error)
        except asyncio.CancelledError:
            if not own.told(exchange):
                exchange.outcome = "cancelled"
            raise
        except ConnectionError:  # the caller has gone
            if exchange.error is None and not own.told(exchange):
                exchange.outcome = "cancelled"
            trip.reply.abort()
        finally:
            self.ended()
            if trip.recorded:
                self.settling.conclude(exchange, trip.chain, trip.route)

    async def _failed(self, trip: Trip, error: Exception) -> None:
        if isinstance(error, WeirError):
            await self._fault(trip, error)
            return
        log.error("a call failed inside Weir", exc_info=error, extra={"call": trip.exchange.id})
        await self._fault(trip, WeirError("Weir failed on this call; its log says why"))

    async def _serve(self, trip: Trip) -> Coroutine[Any, Any, None] | None:
        house, exchange, incoming = self.house, trip.exchange, trip.incoming
        request = exchange.request
        known = self.identify(trip.chain.snapshot, incoming)
        exchange.caller = known.caller
        trip.ours, trip.model = known.credential_is_ours, known.model
        request.path = path = known.path
        local = self._local(incoming.method, path)
        if local is not None:
            trip.recorded = False
            await local(trip)
            return None
        dialect = wire.route(path)
        if dialect is None or (dialect == "chat" and incoming.method == "GET"):
            route = trip.chain.route(exchange.caller.agent, request.model, path)
            await watch(trip.chain, exchange, route, house.records)
            await house.relay(trip)
            return None
        request.dialect = dialect
        if incoming.method != "POST":
            raise BadMethod(f"{incoming.method} is not known here; use POST", headers=[("allow", "POST")])
        trip.codec = self.codec(dialect, trip.chain.snapshot.limits.depth)
        deadline = exchange.caller.deadline_s
        if deadline is None:
            return await self._call(trip, trip.codec)
        try:
            async with asyncio.timeout(deadline):
                await (await self._call(trip, trip.codec))
        except TimeoutError as error:
            raise UpstreamTimeout("the deadline of this call has passed", code="deadline_exceeded") from error
        return None

    def identify(self, snapshot: Snapshot, incoming: Incoming) -> Identified:
        """Who asks. For a head that has come before, what was found then."""
        house, head = self.house, incoming.head
        if head is None:
            return house.identify(snapshot, incoming, house.secret)
        kept: tuple[Snapshot, Identified] | None = head.memo.get(incoming.remote)
        if kept is not None and kept[0] is snapshot:
            return kept[1]
        known = house.identify(snapshot, incoming, house.secret)
        head.keep(incoming.remote, (snapshot, known))
        return known

    def codec(self, dialect: Dialect, depth: int) -> Codec:
        if depth != self._depth:
            self._codecs = {each: wire.codec(each, depth=depth) for each in wire.DIALECTS}
            self._depth = depth
        return self._codecs[dialect]

    def _local(self, method: str, path: str) -> Local | None:
        if not path.startswith(("/weir/", "/v1/models", "/v1/feedback")):
            return None
        endpoints, room = self.house.local, "/".join(path.split("/", 3)[:3])
        return endpoints.get(f"{method} {path}") or (endpoints.get(f"{method} {room}/") if path != room else None)

    async def _call(self, trip: Trip, codec: Codec) -> Coroutine[Any, Any, None]:
        """The way out. What is left to do is returned."""
        exchange, chain = trip.exchange, trip.chain
        await self._read(trip, codec)
        request = exchange.request
        exchange.target, *exchange.fallbacks = self.resolve(chain.snapshot, request)
        self._check_rights(exchange)  # before anything is reserved or judged; and again when the chain has chosen
        if codec.dialect == "responses":
            await self._follow_held(exchange)
        trip.home = exchange.target.upstream
        route = chain.route(exchange.caller.agent, request.model, request.path)
        hold(bounds_of(chain.snapshot, exchange.caller.key), request.doc)
        self._look_for_unread(exchange, route, codec)
        trip.route = route  # from here on it is the chain's matter who sees the end
        response, trip.below = await chain.out(exchange, route)
        await make_durable(exchange, self.house.records)
        return self._onward(trip, response)

    async def go_on(self, trip: Trip, response: Response | None) -> None:
        """After the way out: with the answer of the plugin that gave one, or to the upstream."""
        await self._onward(trip, response)

    async def come_out(self, trip: Trip, out: Coroutine[Any, Any, tuple[Response | None, int]], waiting: Any) -> None:
        """The way out, which was begun without a task and waits for `waiting`, and what is after it."""
        response, trip.below = await resumed(out, waiting)
        await self._onward(trip, response)

    def _onward(self, trip: Trip, response: Response | None) -> Coroutine[Any, Any, None]:
        if response is not None:
            return self.delivery.own(trip, response)
        assert trip.codec is not None
        self._check_rights(trip.exchange)
        trip.gather = gathering.fits(trip.chain.snapshot, trip.exchange.caller.agent, trip.exchange.request)
        send: Send = partial(self.house.pool.send, trip.exchange, builder(trip, trip.codec))
        return self.delivery.upstream(trip, self.flights.ride(trip, send) if trip.exchange.flight else send)

    def resolve(self, snapshot: Snapshot, request: Request) -> tuple[Target, ...]:
        if self._targets_of is not snapshot or len(self._targets) >= TARGETS:
            self._targets_of = snapshot
            self._targets.clear()
        key = (request.dialect, request.model)
        found = self._targets.get(key)
        if found is None:
            found = self._targets[key] = tuple(endpoint.resolve(snapshot, *key))
        return found

    async def _read(self, trip: Trip, codec: Codec) -> None:
        exchange, incoming = trip.exchange, trip.incoming
        limits = exchange.snapshot.limits
        raw = await incoming.read()
        exchange.timeline.read = self.house.now()
        plain = await self._inflated(incoming, raw, limits.body_bytes)
        trip.coded = None if plain is raw else raw
        found = incoming.found
        if found is not None and found[0] is codec:
            doc = found[1]
        elif len(plain) < sliced.LONG_BYTES:
            doc = codec.read(plain)
        else:
            doc = await sliced.paced(codec.reading(plain), self.house.now)
        request = exchange.request
        request.body, request.doc, request.model = plain, doc, model_of(doc)
        if trip.model and trip.model != request.model:
            request.model = request.edits["model"] = trip.model
        request.stream = doc.get("stream") is True
        request.walked_by(self.walk(codec), codec.write)
        self.recognise(exchange, codec)

    def walk(self, codec: Codec) -> Callable[[Json], tuple[list[Segment], list[str]]]:
        """As the codec walks; what came as tokens is read as the text it stands for, and sealed: it goes as it came."""
        if codec.dialect not in ("completions", "embeddings"):
            return codec.walk
        return partial(with_tokens, codec, self.house.decode)

    def _look_for_unread(self, exchange: Exchange, route: Route, codec: Codec) -> None:
        """Parts that no codec reads are recorded, or refused where the operator or a guard says so."""
        request, refuse = exchange.request, exchange.snapshot.uninspected == "refuse" or route.refuses_unread
        if codec.plain(request.doc) or not (refuse or names_parts(request.body)):
            return
        unread = request.unread()
        if refuse and unread:
            parts = ", ".join(sorted(set(unread)))
            raise Forbidden(f"This call has parts that cannot be inspected ({parts}).", code="uninspected")

    async def _inflated(self, incoming: Incoming, raw: bytes, limit: int) -> bytes:
        house, head = self.house, incoming.head
        if head is not None and "plain" in head.memo:
            return raw
        if not any(name.lower() == "content-encoding" for name, _ in incoming.headers):
            plain = house.inflate(incoming.headers, raw, limit)
            if head is not None and plain is raw:
                head.keep("plain", True)
            return plain
        return await house.tasks.in_thread(house.inflate, incoming.headers, raw, limit)

    def recognise(self, exchange: Exchange, codec: Codec) -> None:
        """The user as the body names them, and the conversation by its opening: good for stickiness and statistics."""
        doc, caller = exchange.request.doc, exchange.caller
        if caller.user is None and not _NAMES_USERS.isdisjoint(doc):
            metadata = doc.get("metadata")
            user = doc.get("safety_identifier") or doc.get("user")
            user = user or (metadata.get("user_id") if isinstance(metadata, dict) else None)
            if isinstance(user, str) and user:
                exchange.caller = caller = replace(caller, user=user[:256])
        opening: Any = caller.session or doc.get("conversation") or codec.opening(doc)
        unit: Any = [caller.tenant, caller.agent, caller.user, opening]
        try:
            unit = orjson.dumps(unit, default=str)
        except TypeError:  # integers of more than 64 bits
            unit = repr(unit).encode()
        exchange.conversation = xxhash.xxh3_128_hexdigest(unit, seed=self._seed)

    async def _follow_held(self, exchange: Exchange) -> None:
        """A call that builds on state kept by a provider goes to where that state lives, and nowhere else."""
        stored = named_id(exchange.request.doc)
        if stored is None or exchange.target is None:
            return
        upstream = await self.house.held.upstream_of(exchange, stored)
        if upstream is not None and upstream in exchange.snapshot.upstreams:
            exchange.target = replace(exchange.target, upstream=upstream)
            exchange.fallbacks = []

    def _check_rights(self, exchange: Exchange) -> None:
        """After aliases and routing, so that neither widens what a key may use."""
        target = exchange.target
        if target is None or not self.house.allowed(exchange.snapshot, exchange.caller.key, target.model):
            raise Forbidden(f"this key may not use the model {target and target.model!r}", code="model_not_allowed")
        exchange.fallbacks = self.usable(exchange.snapshot, exchange.caller, exchange.fallbacks)

    def usable(self, snapshot: Snapshot, caller: Caller, targets: Iterable[Target]) -> list[Target]:
        """Those that this caller may have."""
        allowed = self.house.allowed
        return [
            one
            for one in targets
            if allowed(snapshot, caller.key, one.model) and endpoint.may_use(caller, snapshot.upstreams[one.upstream])
        ]

    async def _fault(self, trip: Trip, error: WeirError) -> None:
        """The error in the caller's dialect: an answer, or an event in a running stream; else the connection is cut."""
        exchange, reply = trip.exchange, trip.reply
        exchange.error = error
        exchange.outcome = record.outcome_of(error)
        if reply.started and trip.codec is not None and exchange.request.stream and not exchange.timeline.ended:
            await self.delivery.break_off(trip, error)
            return
        if reply.started:
            reply.abort()
            return
        if isinstance(error, Refused) and error.as_answer and await self._answered(trip, error):
            return
        request = exchange.request
        body, headers = faults.body(error, request.dialect, exchange.id)
        headers.append(("x-weir-request-id", exchange.id))
        if exchange.tells:
            headers.append(("x-weir-debug", record.steps_line(exchange)))
        if exchange.response is None:
            exchange.response = Response(source="weir")
        exchange.response.status = error.status
        await reply.send(error.status, headers, body)

    async def _answered(self, trip: Trip, refused: Refused) -> bool:
        """The refusal as an answer, where the caller's dialect has such a thing. False: it has to be an error."""
        if trip.route is None or trip.exchange.request.dialect == "embeddings":
            return False
        try:
            await self.delivery.refused(trip, refused)
        except WeirError:  # a plugin above would not let pass even this
            return False
        return True

    async def carry(self, trip: Trip, come: Callable[[], Awaitable[Answering]], flight: Flight | None = None) -> None:
        """The answer (or the failure) of a first try that was made on the short way: `come` gives it, once. `flight`:
        that the call leads."""
        assert trip.codec is not None
        exchange, pool, build, first = trip.exchange, self.house.pool, builder(trip, trip.codec), True
        self._check_rights(exchange)

        async def send() -> tuple[Answering, Target, Upstream]:
            nonlocal first
            if first:
                first, answering = False, await come()
                if not getattr(answering, "stale", False):
                    return await pool.resume(exchange, answering, build)
                exchange.attempts, exchange.timeline.sent, trip.fresh = 0, 0.0, True  # nobody has seen the call
            return await pool.send(exchange, build)

        await self.delivery.upstream(trip, send if flight is None else self.flights.ride(trip, send, flight))
