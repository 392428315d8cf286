"""One exchange from first byte to record: the story of a request.

handle      open the exchange, and whatever happens settle it: hooks, metrics, record
  _serve    who asks, what for: an endpoint of Weir's own, a dialect with a codec, or a relay
    _call   read, resolve, chain out, upstream, and the way back (`proxy.delivery`)
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import orjson
import xxhash

from proxy import own, record, wire
from proxy.delivery import Delivery
from proxy.errors import BadMethod, Forbidden, MalformedBody, Refused, UpstreamTimeout, WeirError
from proxy.exchange import Caller, Dialect, Exchange, Json, Request, Response, Segment, Target
from proxy.held import named_id
from proxy.house import (
    CallIds,
    House,
    Identified,
    Local,
    Send,
    Trip,
    make_durable,
    of_provider,
    watch,
    watchers,
)
from proxy.live import Snapshot, Upstream
from proxy.ports import Incoming, Reply
from proxy.route import Route
from proxy.upstream import endpoint
from proxy.upstream.link import Dress, Outgoing
from proxy.wire import faults, sliced
from proxy.wire.codec import Codec
from proxy.wire.completions import token_arrays

log = logging.getLogger("weir")
_PARTS = re.compile(rb'"(?:image(?:_url)?|input_(?:image|audio|file)|audio|video|file(?:_id)?|document)"\s*[:,}]')
"""What the names of parts without text look like; a call without them is not walked for their sake."""
TARGETS = 1024
"""Resolved models that are remembered, for as long as a snapshot lasts."""
NOBODY = Caller()
MODEL_CHARS = 512


class Pipeline:
    """Runs calls. One object per worker."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._seed = int.from_bytes(hmac.digest(house.secret, b"conversation", "sha256")[:8])
        self._delivery = Delivery(house.now, house.tasks, of_provider(house.inflate), house.held.remember)
        self._depth = -1
        self._targets: dict[tuple[Dialect, str], tuple[Target, ...]] = {}
        self._targets_of: Snapshot | None = None
        self._codecs: dict[Dialect, Codec] = {}
        self._codec("chat", house.chains.current.snapshot.limits.depth)
        self._call_id = CallIds()
        self._in_flight = house.metrics.gauge("weir_in_flight")
        self.running = 0

    async def handle(self, incoming: Incoming, reply: Reply) -> None:
        """Never raises but for cancellation: every error becomes an answer, every call a record."""
        house = self._house
        chain = house.chains.current
        at_s, headers = house.wall(), tuple(incoming.headers)
        exchange = Exchange(
            self._call_id(at_s),
            NOBODY,
            Request("relay", incoming.method, incoming.path, incoming.query, headers, b""),
            at_s=at_s,
            start=house.now(),
            snapshot=chain.snapshot,
        )
        trip = Trip(exchange, chain, incoming, reply, headers)
        self.running += 1
        self._in_flight(self.running)
        try:
            try:
                await self._serve(trip)
            except ConnectionError:
                raise
            except Exception as error:  # noqa: BLE001  every error becomes an answer
                await self._failed(trip, error)
        except asyncio.CancelledError:
            exchange.outcome = "cancelled"
            raise
        except ConnectionError:  # the caller has gone
            exchange.outcome = "cancelled" if exchange.error is None else exchange.outcome
            reply.abort()
        finally:
            self.running -= 1
            self._in_flight(self.running)
            if trip.recorded:
                # (beside: a caller that has everything may hang up, which cancels this task and must not that one)
                house.tasks.spawn("settle", self._settle(trip))

    async def _failed(self, trip: Trip, error: Exception) -> None:
        if isinstance(error, WeirError):
            await self._fault(trip, error)
            return
        log.error("a call failed inside Weir", exc_info=error, extra={"call": trip.exchange.id})
        await self._fault(trip, WeirError("Weir failed on this call; its log says why"))

    async def _serve(self, trip: Trip) -> None:
        house, exchange, incoming = self._house, trip.exchange, trip.incoming
        request = exchange.request
        known = self._identify(trip.chain.snapshot, incoming)
        exchange.caller = known.caller
        trip.ours = known.credential_is_ours
        request.path = path = known.path
        local = self._local(incoming.method, path)
        if local is not None:
            trip.recorded = False
            await local(trip)
            return
        dialect = wire.route(path)
        if dialect is None or (dialect == "chat" and incoming.method == "GET"):
            route = trip.chain.route(exchange.caller.agent, request.model, path)
            await watch(trip.chain, exchange, route, house.records)
            await house.relay(trip)
            return
        request.dialect = dialect
        if incoming.method != "POST":
            raise BadMethod(f"{incoming.method} is not known here; use POST", headers=[("allow", "POST")])
        trip.codec = self._codec(dialect, trip.chain.snapshot.limits.depth)
        deadline = exchange.caller.deadline_s
        if deadline is None:
            await self._call(trip, trip.codec)
            return
        try:
            async with asyncio.timeout(deadline):
                await self._call(trip, trip.codec)
        except TimeoutError as error:
            raise UpstreamTimeout("the deadline of this call has passed", code="deadline_exceeded") from error

    def _identify(self, snapshot: Snapshot, incoming: Incoming) -> Identified:
        """Who asks. For a head that has come before, what was found then."""
        house, head = self._house, incoming.head
        if head is None:
            return house.identify(snapshot, incoming, house.secret)
        kept: tuple[Snapshot, Identified] | None = head.memo.get(incoming.remote)
        if kept is not None and kept[0] is snapshot:
            return kept[1]
        known = house.identify(snapshot, incoming, house.secret)
        head.keep(incoming.remote, (snapshot, known))
        return known

    def _codec(self, dialect: Dialect, depth: int) -> Codec:
        if depth != self._depth:
            self._codecs = {each: wire.codec(each, depth=depth) for each in wire.DIALECTS}
            self._depth = depth
        return self._codecs[dialect]

    def _local(self, method: str, path: str) -> Local | None:
        if not path.startswith(("/weir/", "/v1/models", "/v1/feedback")):
            return None
        endpoints, room = self._house.local, "/".join(path.split("/", 3)[:3])
        return endpoints.get(f"{method} {path}") or (endpoints.get(f"{method} {room}/") if path != room else None)

    async def _call(self, trip: Trip, codec: Codec) -> None:
        exchange, chain = trip.exchange, trip.chain
        await self._read(trip, codec)
        request = exchange.request
        exchange.target, *exchange.fallbacks = self._resolve(chain.snapshot, request)
        if codec.dialect == "responses":
            await self._follow_held(exchange)
        trip.home = exchange.target.upstream
        trip.route = route = chain.route(exchange.caller.agent, request.model, request.path)
        self._look_for_unread(exchange, route, codec)
        try:
            response, trip.below = await chain.out(exchange, route)
            await make_durable(exchange, self._house.records)
            if response is not None:
                await self._delivery.own(trip, response)
                return
            self._check_rights(exchange)
            await self._delivery.upstream(trip, self._sender(trip, codec))
        finally:
            chain.drop_verdicts(exchange)

    def _resolve(self, snapshot: Snapshot, request: Request) -> tuple[Target, ...]:
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
        exchange.timeline.read = self._house.now()
        plain = await self._inflated(incoming, raw, limits.body_bytes)
        trip.coded = None if plain is raw else raw
        if len(plain) < sliced.LONG_BYTES:
            doc = codec.read(plain)
        else:
            doc = await sliced.paced(codec.reading(plain), self._house.now)
        request = exchange.request
        request.body, request.doc, request.model = plain, doc, _model_of(doc)
        request.stream = doc.get("stream") is True
        request.walked_by(self._walk(codec))
        self._recognise(exchange, codec)

    def _walk(self, codec: Codec) -> Callable[[Json], tuple[list[Segment], list[str]]]:
        """As the codec walks; what came as tokens is read as the text it stands for, and sealed: it goes as it came."""
        if codec.dialect not in ("completions", "embeddings"):
            return codec.walk
        return partial(_with_tokens, codec, self._house.decode)

    def _look_for_unread(self, exchange: Exchange, route: Route, codec: Codec) -> None:
        """Parts that no codec reads are recorded, or refused where the operator or a guard says so."""
        request = exchange.request
        refuse = exchange.snapshot.uninspected == "refuse" or route.refuses_unread
        if codec.plain(request.doc) or not (refuse or _PARTS.search(request.body)):
            return
        unread = request.unread()
        if refuse and unread:
            parts = ", ".join(sorted(set(unread)))
            raise Forbidden(f"This call has parts that cannot be inspected ({parts}).", code="uninspected")

    async def _inflated(self, incoming: Incoming, raw: bytes, limit: int) -> bytes:
        house, head = self._house, incoming.head
        if head is not None and "plain" in head.memo:
            return raw
        if not any(name.lower() == "content-encoding" for name, _ in incoming.headers):
            plain = house.inflate(incoming.headers, raw, limit)
            if head is not None and plain is raw:
                head.keep("plain", True)
            return plain
        return await house.tasks.in_thread(house.inflate, incoming.headers, raw, limit)

    def _recognise(self, exchange: Exchange, codec: Codec) -> None:
        """The user as the body names them, and the conversation by its opening: good for stickiness and statistics."""
        doc, caller = exchange.request.doc, exchange.caller
        if caller.user is None:
            metadata = doc.get("metadata")
            user = doc.get("safety_identifier") or doc.get("user")
            user = user or (metadata.get("user_id") if isinstance(metadata, dict) else None)
            if isinstance(user, str) and user:
                exchange.caller = caller = replace(caller, user=user[:256])
        opening: Any = caller.session or doc.get("conversation") or codec.opening(doc)
        unit = orjson.dumps([caller.tenant, caller.agent, caller.user, opening], default=str)
        exchange.conversation = xxhash.xxh3_128_hexdigest(unit, seed=self._seed)

    async def _follow_held(self, exchange: Exchange) -> None:
        """A call that builds on state kept by a provider goes to where that state lives, and nowhere else."""
        stored = named_id(exchange.request.doc)
        if stored is None or exchange.target is None:
            return
        upstream = await self._house.held.upstream_of(exchange, stored)
        if upstream is not None and upstream in exchange.snapshot.upstreams:
            exchange.target = replace(exchange.target, upstream=upstream)
            exchange.fallbacks = []

    def _check_rights(self, exchange: Exchange) -> None:
        """After aliases and routing, so that neither widens what a key may use."""
        target, key = exchange.target, exchange.caller.key
        assert target is not None
        if not self._house.allowed(exchange.snapshot, key, target.model):
            raise Forbidden(f"this key may not use the model {target.model!r}", code="model_not_allowed")
        exchange.fallbacks = [
            other
            for other in exchange.fallbacks
            if self._house.allowed(exchange.snapshot, key, other.model)
            and endpoint.may_use(exchange.caller, exchange.snapshot.upstreams[other.upstream])
        ]

    def _sender(self, trip: Trip, codec: Codec) -> Send:
        request = trip.exchange.request
        own_edits = dict(request.edits)
        silent = request.stream and not codec.wants_usage(request.doc)

        def build(target: Target, upstream: Upstream, ask_usage: bool) -> Outgoing:
            request.edits = dict(own_edits)
            if target.model and target.model != request.get("model"):
                request.edits["model"] = target.model
            trip.withhold = silent and ask_usage
            if trip.withhold:
                codec.ask_usage(request)
            body = codec.write(request)
            untouched = body is request.body
            if target.upstream != trip.home and upstream.key is None:
                upstream = replace(upstream, auth="none")
            sent = trip.coded if untouched and trip.coded is not None else body
            dress = _dress(trip, target, upstream, inflated=trip.coded is not None and sent is body)
            return Outgoing(request.method, dress.target, dress.headers, sent, memo=dress.memo)

        return partial(self._house.pool.send, trip.exchange, build)

    async def _fault(self, trip: Trip, error: WeirError) -> None:
        """The error in the caller's dialect: an answer, or an event in a running stream; else the connection is cut."""
        exchange, reply = trip.exchange, trip.reply
        exchange.error = error
        exchange.outcome = record.outcome_of(error)
        if reply.started and trip.codec is not None and exchange.request.stream and not exchange.timeline.ended:
            await self._delivery.break_off(trip, error)
            return
        if reply.started:
            reply.abort()
            return
        if isinstance(error, Refused) and error.as_answer and await self._answered(trip, error):
            return
        request = exchange.request
        body, headers = faults.body(error, request.dialect, exchange.id)
        if exchange.caller.debug and own.asks_debug(request.headers):
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
            await self._delivery.refused(trip, refused)
        except WeirError:  # a plugin above would not let pass even this
            return False
        return True

    async def _settle(self, trip: Trip) -> None:
        """Finish hooks, then the record. The caller waits no more."""
        exchange, chain = trip.exchange, trip.chain
        if not exchange.timeline.ended:
            exchange.timeline.ended = self._house.now()
        route = trip.route
        if route is None:
            route = chain.route(exchange.caller.agent, exchange.request.model, exchange.request.path)
            exchange.place = max(exchange.place, watchers(route))
        try:
            await chain.finish(exchange, route)
        finally:
            line = record.line(exchange)
            self._house.records.put(line)
            self._house.kept(exchange, line)


def _dress(trip: Trip, target: Target, upstream: Upstream, *, inflated: bool) -> Dress:
    """What the call looks like on its way to this upstream. For a head that has come before, what was found then."""
    request, head = trip.exchange.request, trip.incoming.head
    model = target.model if "{model}" in upstream.url else ""
    key = (upstream.name, request.path, inflated)
    if head is not None and request.headers is trip.headers:
        kept: Dress | None = head.memo.get(key)
        if kept is not None and kept.upstream is upstream and kept.model == model and kept.ours is trip.ours:
            return kept
    headers = endpoint.headers(
        request.headers, upstream, body_length=None, identity=True, credential_is_ours=trip.ours, inflated=inflated
    )
    line = endpoint.target(upstream, target.model, request.path, request.query)
    made = Dress(upstream, model, trip.ours, line, headers)
    if head is not None and request.headers is trip.headers:
        head.keep(key, made)
    return made


def _with_tokens(
    codec: Codec, decode: Callable[[list[int], str], str | None], doc: Json
) -> tuple[list[Segment], list[str]]:
    segments, unread = codec.walk(doc)
    arrays = token_arrays(doc)
    texts = [decode(tokens, doc.get("model", "")) for tokens in arrays]
    segments += [
        Segment("user", "text", text, index=index, fresh=True, sealed=True) for index, text in enumerate(texts) if text
    ]
    if arrays and None not in texts:
        unread = [part for part in unread if part != "tokens"]
    return segments, unread


def _model_of(doc: Json) -> str:
    """The model that is asked; it goes into headers, records and figures, so it must be a name."""
    model: str = doc.get("model") or ""
    if len(model) > MODEL_CHARS or not model.isprintable():
        raise MalformedBody(f"`model` must be a name of at most {MODEL_CHARS} printable characters.", param="model")
    return model
