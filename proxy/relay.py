"""Every path without a codec: relayed untouched both ways, recorded, metered as far as its answer tells.

`uninspected` decides whether that is allowed at all. What providers keep is `retrieval`'s.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import orjson

from proxy import own, record, wire
from proxy.errors import TooLarge, Unauthorized, UnknownPath
from proxy.exchange import Response, Target, Usage
from proxy.held import Held
from proxy.house import Pool, Trip
from proxy.live import Upstream
from proxy.ports import Headers, Now
from proxy.retrieval import Retrieval, unread
from proxy.upstream import endpoint
from proxy.upstream.link import Answering, Link, Outgoing
from proxy.wire import stored
from proxy.wire.dialect import named, whole
from proxy.wire.stored import Stored

SMALL_BYTES = 1024 * 1024
"""Bodies up to here are read whole (so a stale connection can be retried); larger ones flow."""


Tunnel = Callable[[Any, Any, Callable[[list[str]], Awaitable[Any]]], Awaitable[tuple[int, int]]]


class Relay:
    """Calls that Weir does not read."""

    def __init__(self, now: Now, pool: Pool, link: Link, held: Held, tunnel: Tunnel) -> None:
        self._now = now
        self._pool = pool
        self._link = link
        self._retrieval = Retrieval(now, pool, held)
        self._tunnel = tunnel

    async def __call__(self, trip: Trip) -> None:
        request = trip.exchange.request
        _check_plain(request.path)
        asked = None if trip.incoming.websocket else stored.of(request.method, request.path)
        if asked is not None and (asked.reads or asked.writes):
            answering = await self._retrieval(trip, asked)
            if answering is None:
                return
        else:
            answering = await self._sent(trip, asked)
            if answering is None:
                return
        try:
            await self._flow(trip, answering)
        finally:
            answering.close()

    async def _sent(self, trip: Trip, asked: Stored | None) -> Answering | None:
        """What a provider answers to a call that nobody reads. None where it became a websocket, and is over."""
        exchange, request = trip.exchange, trip.exchange.request
        route = trip.chain.route(exchange.caller.agent, request.model, request.path)
        unread(exchange, route, "websocket" if trip.incoming.websocket else "path")
        if asked is not None:
            exchange.target = await self._retrieval.target(exchange, asked)
        else:
            exchange.target = endpoint.resolve_relay(exchange.snapshot, request.path, request.headers)
        if trip.incoming.websocket:
            await self._websocket(trip)
            return None
        body = await self._body(trip)
        exchange.timeline.read = self._now()

        def build(target: Target, upstream: Upstream, ask_usage: bool) -> Outgoing:
            length = len(body) if isinstance(body, bytes) else trip.incoming.length
            headers = endpoint.headers(
                request.headers, upstream, body_length=length, identity=False, credential_is_ours=trip.ours
            )
            line = endpoint.target(upstream, target.model, request.path, request.query)
            return Outgoing(request.method, line, headers, body, length)

        answering, exchange.target, _ = await self._pool.send(exchange, build)
        return answering

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


_NAMING = re.compile(
    r"/(?:engines|deployments)/[^/]+/(?:(?:chat/)?completions|embeddings|responses)\Z|/chat/completions\Z|/v1/messages\Z"
)
"""Paths under which some providers take the calls that codecs know: old ones, with the model in them, and others'."""


def _check_plain(path: str) -> None:
    """Raises UnknownPath for a path that no codec knows as it is written, and that some provider may take for one that
    a codec does know."""
    bare = re.sub(";[^/]*", "", unquote(path))  # parameters of a segment, which some servers take off
    plain = re.sub("/+", "/", bare).rstrip("/").lower()
    if _NAMING.search(plain) is not None and wire.route(plain) is None:
        raise UnknownPath("There is nothing at this path: ask at /v1/..., and name the model in the body.")
    if plain == path:
        return
    other = stored.of("GET", path) is None or path.rstrip("/").lower() != plain
    if wire.route(plain) is not None or (other and stored.of("GET", plain) is not None):
        raise UnknownPath("There is nothing at this path: write it in lower case, without escapes and extra slashes.")


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
