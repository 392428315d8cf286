"""What providers keep (answers, conversations), read again or added to: past the same guards as when it was new.

A retrieval has no texts of its own on the way out, but guards are asked all the same, as far down the chain as the
lowest of them stands: there they load what they need to restore or judge what comes back, and limits hold. The answer
passes every filter. A stream that is asked for from its middle (`starting_after`) is fetched from its beginning, so
that nobody can have a text in pieces that a filter would not let pass as a whole; what the caller has is left out.
"""

from __future__ import annotations

import re

import orjson

from proxy import own
from proxy.errors import BadEncoding, Forbidden, Refused
from proxy.exchange import RETRIEVED, Exchange, Response, Target
from proxy.held import Held
from proxy.house import Pool, Trip, watchers
from proxy.live import Upstream
from proxy.passage import Passage
from proxy.ports import Headers, Json, Now
from proxy.route import Route
from proxy.upstream import endpoint
from proxy.upstream.link import Answering, Outgoing, is_events
from proxy.wire import sliced, stored
from proxy.wire.codec import Codec
from proxy.wire.dialect import named
from proxy.wire.sse import Reader
from proxy.wire.stored import Stored

_AFTER = re.compile(r"(?:^|&)starting_after=(\d{1,18})(?=&|$)")


class Retrieval:
    """Calls about what a provider keeps."""

    def __init__(self, now: Now, pool: Pool, held: Held) -> None:
        self._now = now
        self._pool = pool
        self._held = held

    async def __call__(self, trip: Trip, asked: Stored) -> Answering | None:
        """Delivers what was kept. Where the provider's answer holds nothing of it (an error, a receipt) that answer is
        returned, open, to be passed on as it is."""
        exchange, request = trip.exchange, trip.exchange.request
        request.dialect, request.doc = asked.dialect, {}
        trip.codec = codec = stored.codec(asked, exchange.snapshot.limits.depth)
        exchange.notes[RETRIEVED] = asked.id
        exchange.target = await self.target(exchange, asked)
        if request.method == "POST":
            request.body = await self._body(trip)
            if asked.writes:
                request.doc = await self._read(codec, request.body or b"{}")
                request.model = named(request.doc)
                request.walked_by(codec.walk, codec.write)
        route = trip.chain.route(exchange.caller.agent, request.model, request.path)
        exchange.timeline.read = self._now()
        after = _AFTER.search(request.query)
        query = _AFTER.sub("", request.query).removeprefix("&") if after else request.query
        await self._enter(trip, route)
        request.edits.clear()  # there is no call that they could belong to
        body = codec.write(request) if request.changed else request.body

        def build(target: Target, upstream: Upstream, ask_usage: bool) -> Outgoing:
            headers = endpoint.headers(
                request.headers, upstream, body_length=len(body) if request.method == "POST" else None, identity=True,
                credential_is_ours=trip.ours, inflated=body is not request.body,
            )  # fmt: skip
            line = endpoint.target(upstream, target.model, request.path, query)
            return Outgoing(request.method, line, headers, body, len(body))

        answering, exchange.target, _ = await self._pool.send(exchange, build)
        if answering.status != 200 or not (asked.reads or asked.writes):
            return answering
        try:
            await self._deliver(trip, answering, route, int(after[1]) if after else -1)
        finally:
            answering.close()
        return None

    async def target(self, exchange: Exchange, asked: Stored) -> Target:
        """Where it is kept. Raises BadRequest (404) for what is not this caller's, Forbidden for lists of what others
        made as well."""
        first = endpoint.resolve_relay(exchange.snapshot, exchange.request.path, exchange.request.headers)
        if not asked.id:
            if asked.reads and not asked.call and self._held.shares(exchange, first.upstream):
                raise Forbidden("Callers share the provider's key here, so nobody may list what all have stored.")
            return first
        upstream = await self._held.upstream_of(exchange, asked.id)
        return Target(upstream, "") if upstream in exchange.snapshot.upstreams and upstream else first

    async def _body(self, trip: Trip) -> bytes:
        if any(name.lower() == "content-encoding" for name, _ in trip.exchange.request.headers):
            raise BadEncoding("Send this body without a content coding.")
        return await trip.incoming.read()

    async def _read(self, codec: Codec, body: bytes) -> Json:
        if len(body) < sliced.LONG_BYTES:
            return codec.read(body)
        return await sliced.paced(codec.reading(body), self._now)

    async def _enter(self, trip: Trip, route: Route) -> None:
        """The way out, as far as the lowest guard."""
        exchange, begun = trip.exchange, watchers(route)
        lowest = max((member.place for member in route.members if member.plugin.positions), default=begun)
        trip.route, trip.below = route, lowest + 1
        for member in route.by_hook["request"]:
            if begun < member.place <= lowest:
                exchange.place = max(exchange.place, member.place)
                await trip.chain.call(exchange, member, "request", member.plugin.request)
        exchange.place = max(exchange.place, lowest)
        if route.refuses_unread and exchange.request.walked and exchange.request.uninspected:
            raise Forbidden("This call has parts that cannot be inspected.", code="uninspected")

    async def _deliver(self, trip: Trip, answering: Answering, route: Route, after: int) -> None:
        exchange = trip.exchange
        assert trip.codec is not None
        passage = Passage(trip.chain, exchange, route, len(exchange.snapshot.chain), trip.codec)
        passage.collect = exchange.wants_text
        headers = [*endpoint.answer_headers(answering.headers, changed=True), *own.headers(exchange)]
        exchange.response = Response(status=answering.status)
        try:
            if is_events(answering):
                await self._stream(trip, answering, passage, headers, after)
            else:
                await self._whole(trip, answering, passage, headers)
        finally:
            passage.close(False)  # it was complete when it was new; whoever remembers answers has seen it then

    async def _whole(self, trip: Trip, answering: Answering, passage: Passage, headers: Headers) -> None:
        exchange, response = trip.exchange, trip.exchange.response
        assert response is not None and trip.codec is not None and trip.route is not None
        body = await answering.read(exchange.snapshot.limits.answer_bytes)
        exchange.timeline.upstream_end = self._now()
        if exchange.request.path == "/v1/conversations":
            response.id = _id_of(body)
            await self._held.remember(exchange, response.id)
        answer = trip.codec.answer(body)
        if answer is not None:
            response.said, response.model = answer.texts, answer.model
            body = await passage.whole(answer)
        elif exchange.notes.get(RETRIEVED) or exchange.request.method == "GET":
            unread(exchange, trip.route, "answer")
        response.complete, response.delivered_bytes = True, len(body)
        exchange.timeline.first = exchange.timeline.ended = self._now()
        await trip.reply.send(answering.status, headers, body)

    async def _stream(self, trip: Trip, answering: Answering, passage: Passage, headers: Headers, after: int) -> None:
        exchange, reply, behind = trip.exchange, trip.reply, Behind(after)
        stream = passage.open_stream(False)
        await reply.start(answering.status, headers)
        exchange.timeline.first = self._now()
        async for chunk in answering.chunks():
            if data := behind(await passage.feed(chunk)):
                await reply.write(data)
            if passage.broken is not None:
                break
        else:
            await reply.write(behind(await passage.drain()))
        exchange.timeline.upstream_end = self._now()
        if isinstance(passage.broken, Refused):
            exchange.error, exchange.outcome = passage.broken, "refused"
            await reply.write(passage.outer.refuse(passage.broken))
        elif passage.broken is not None:
            await reply.write(passage.outer.fault(passage.broken))
            raise passage.broken
        if exchange.response is not None:
            exchange.response.complete = stream.complete and passage.broken is None
        exchange.timeline.ended = self._now()
        await reply.end()


class Behind:
    """Of a stream's events, given whole, those behind a `sequence_number`."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._reader = Reader()

    def __call__(self, data: bytes) -> bytes:
        if self._number < 0:
            return data
        return b"".join(event.raw for event in self._reader.feed(data) if self._is_behind(event.data))

    def _is_behind(self, data: bytes) -> bool:
        try:
            number = orjson.loads(data).get("sequence_number")
        except (ValueError, AttributeError):
            return True
        return not isinstance(number, int) or number > self._number


def unread(exchange: Exchange, route: Route, what: str) -> None:
    """What no codec reads: recorded, or refused where the operator or a guard that must not fail says so."""
    exchange.request.uninspected.append(what)
    closed = route.refuses_answers if what == "answer" else route.refuses_unread or route.refuses_answers
    if exchange.snapshot.uninspected == "refuse" or closed:
        raise Forbidden(
            f"{exchange.request.method} on this {what} cannot be inspected, and this Weir refuses what it cannot",
            code="uninspected",
        )


def _id_of(body: bytes) -> str:
    try:
        doc: Json = orjson.loads(body)
    except ValueError:
        return ""
    found = doc.get("id") if isinstance(doc, dict) else None
    return found if isinstance(found, str) else ""
