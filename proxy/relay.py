"""Every path without a codec: relayed untouched both ways, recorded, metered as far as its answer tells.

`uninspected` decides whether that is allowed at all. Stored responses are read through their codec, so that what a
filter restores or withholds is the same as in the live answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from proxy import own, record, wire
from proxy.errors import Forbidden, Refused, TooLarge, Unauthorized
from proxy.exchange import Exchange, Response, Target, Usage
from proxy.held import Held
from proxy.house import Pool, Trip
from proxy.live import Upstream
from proxy.passage import Passage
from proxy.ports import Headers, Now
from proxy.upstream import endpoint
from proxy.upstream.link import Answering, Link, Outgoing, is_events
from proxy.wire.dialect import named, whole

SMALL_BYTES = 1024 * 1024
"""Bodies up to here are read whole (so a stale connection can be retried); larger ones flow."""
STORED = "/v1/responses/"


Tunnel = Callable[[Any, Any, Callable[[list[str]], Awaitable[Any]]], Awaitable[tuple[int, int]]]


class Relay:
    """Calls that Weir does not read."""

    def __init__(self, now: Now, pool: Pool, link: Link, held: Held, tunnel: Tunnel) -> None:
        self._now = now
        self._pool = pool
        self._link = link
        self._held = held
        self._tunnel = tunnel

    async def __call__(self, trip: Trip) -> None:
        exchange, request = trip.exchange, trip.exchange.request
        stored = request.method == "GET" and request.path.startswith(STORED)
        what = "websocket" if trip.incoming.websocket else "path"
        if not stored:
            self._unread(exchange, what)
        exchange.target = await self._target(exchange)
        if trip.incoming.websocket:
            await self._websocket(trip)
            return
        body = await self._body(trip)
        exchange.timeline.read = self._now()

        def build(target: Target, upstream: Upstream, ask_usage: bool) -> Outgoing:
            length = len(body) if isinstance(body, bytes) else trip.incoming.length
            headers = endpoint.headers(
                request.headers, upstream, body_length=length, identity=stored, credential_is_ours=trip.ours
            )
            line = endpoint.target(upstream, target.model, request.path, request.query)
            return Outgoing(request.method, line, headers, body, length)

        answering, exchange.target, _ = await self._pool.send(exchange, build)
        try:
            if stored and answering.status == 200:
                await self._stored(trip, answering)
            else:
                await self._flow(trip, answering)
        finally:
            answering.close()

    async def _target(self, exchange: Exchange) -> Target:
        request = exchange.request
        if request.path.startswith((STORED, "/v1/conversations/")):
            upstream = await self._held.upstream_of(exchange, request.path.split("/")[3])
            if upstream in exchange.snapshot.upstreams:
                return Target(str(upstream), "")
        return endpoint.resolve_relay(exchange.snapshot, request.path, request.headers)

    async def _body(self, trip: Trip) -> Any:
        incoming, limits = trip.incoming, trip.exchange.snapshot.limits
        if incoming.length is not None and incoming.length > limits.relay_bytes:
            raise TooLarge(f"the body has {incoming.length} bytes; at most {limits.relay_bytes} are relayed")
        if incoming.length is not None and incoming.length <= SMALL_BYTES:
            return await incoming.read()
        if incoming.length is None and incoming.method in ("GET", "HEAD", "DELETE", "OPTIONS"):
            return b""
        return incoming.chunks()

    async def _flow(self, trip: Trip, answering: Answering) -> None:
        """The answer as it comes; of small JSON the usage is read in passing."""
        exchange, reply = trip.exchange, trip.reply
        response = exchange.response = Response(status=answering.status)
        exchange.outcome = record.outcome_of_status(answering.status)
        headers = endpoint.answer_headers(answering.headers, changed=False)
        await reply.start(answering.status, [*headers, *own.headers(exchange)])
        exchange.timeline.first = self._now()
        kept: list[bytes] | None = [] if _is_json(answering.headers) else None
        async for chunk in answering.chunks():
            await reply.write(chunk)
            response.delivered_bytes += len(chunk)
            if kept is not None:
                kept.append(chunk)
                if response.delivered_bytes > SMALL_BYTES:
                    kept = None
        exchange.timeline.upstream_end = self._now()
        response.complete = True
        exchange.timeline.ended = self._now()
        await reply.end()
        if kept:
            _read_usage(response, b"".join(kept))

    async def _stored(self, trip: Trip, answering: Answering) -> None:
        """A response that the provider kept: the same filters as when it was new."""
        exchange = trip.exchange
        exchange.request.dialect = "responses"
        codec = wire.codec("responses")
        route = trip.chain.route(exchange.caller.agent, exchange.request.model, exchange.request.path)
        passage = Passage(trip.chain, exchange, route, len(exchange.snapshot.chain), codec)
        headers = endpoint.answer_headers(answering.headers, changed=True)
        response = exchange.response = Response(status=answering.status)
        try:
            if is_events(answering):
                await self._stored_stream(trip, answering, passage, [*headers, *own.headers(exchange)])
                return
            body = await answering.read(exchange.snapshot.limits.answer_bytes)
            exchange.timeline.upstream_end = self._now()
            answer = codec.answer(body)
            if answer is None:
                self._unread(exchange, "answer")
            else:
                response.said, response.model = answer.texts, answer.model
                body = await passage.whole(answer)
        finally:
            passage.close(False)  # it was complete when it was new; whoever remembers answers has seen it then
        response.complete, response.delivered_bytes = True, len(body)
        exchange.timeline.first = exchange.timeline.ended = self._now()
        await trip.reply.send(answering.status, [*headers, *own.headers(exchange)], body)

    async def _stored_stream(self, trip: Trip, answering: Answering, passage: Passage, headers: Headers) -> None:
        exchange, reply = trip.exchange, trip.reply
        stream = passage.open_stream(False)
        await reply.start(answering.status, headers)
        exchange.timeline.first = self._now()
        async for chunk in answering.chunks():
            await reply.write(await passage.feed(chunk))
            if passage.broken is not None:
                break
        else:
            await reply.write(await passage.drain())
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

    def _unread(self, exchange: Exchange, what: str) -> None:
        exchange.request.uninspected.append(what)
        if exchange.snapshot.uninspected == "refuse":
            raise Forbidden(
                f"{exchange.request.method} on this {what} cannot be inspected, and this Weir refuses what it cannot",
                code="uninspected",
            )

    async def _websocket(self, trip: Trip) -> None:
        exchange, request = trip.exchange, trip.exchange.request
        assert exchange.target is not None
        upstream = exchange.snapshot.upstreams[exchange.target.upstream]
        if not endpoint.may_use(exchange.caller, upstream):
            raise Unauthorized("A key is needed for this path.")
        headers = endpoint.headers(
            request.headers, upstream, body_length=None, identity=False, credential_is_ours=trip.ours
        )
        line = endpoint.target(upstream, "", request.path, request.query)
        exchange.timeline.read = exchange.timeline.sent = self._now()
        exchange.attempts = 1

        async def connect(protocols: list[str]) -> Any:
            if trip.ours:
                protocols = [name for name in protocols if not name.startswith(endpoint.KEY_PROTOCOL)]
            found = await self._link.websocket(upstream, line, headers, protocols)
            exchange.timeline.headers = exchange.timeline.first = self._now()
            return found

        _, exchange_out = await self._tunnel(trip.incoming, trip.reply, connect)
        exchange.timeline.upstream_end = self._now()
        exchange.response = Response(status=101, complete=True, delivered_bytes=exchange_out)


def _is_json(headers: Headers) -> bool:
    return _content_type(headers).startswith("application/json")


def _content_type(headers: Headers) -> str:
    return next((value.lower() for name, value in headers if name.lower() == "content-type"), "")


def _read_usage(response: Response, body: bytes) -> None:
    """Usage in the OpenAI or Anthropic manner, of surfaces without a codec (images, transcriptions, rerank ...)."""
    if b'"usage"' not in body:
        return
    try:
        doc = orjson.loads(body)
    except orjson.JSONDecodeError:
        return
    usage = doc.get("usage") if isinstance(doc, dict) else None
    if not isinstance(usage, dict):
        return
    given = usage.get("input_tokens", usage.get("prompt_tokens"))
    made = usage.get("output_tokens", usage.get("completion_tokens", 0))
    if type(given) is int and type(made) is int:
        response.usage = Usage(input=whole(given), output=whole(made))
        response.usage_source = "provider"
        response.model = named(doc)
