"""What a call looks like on its way to an upstream: the body by the least change, the headers as they may go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from proxy.exchange import Target
from proxy.house import Trip
from proxy.live import Upstream
from proxy.upstream import endpoint
from proxy.upstream.link import Dress, Outgoing
from proxy.wire.codec import Codec


def builder(trip: Trip, codec: Codec) -> Callable[[Target, Upstream, bool], Outgoing]:
    """Makes the request for one target after the other, each from the call as plugins left it."""
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
        if trip.gather:
            request.set("stream", True)
            codec.ask_usage(request)
        body = codec.write(request)
        untouched = body is request.body
        if target.upstream != trip.home and upstream.key is None:
            upstream = replace(upstream, auth="none")
        sent = trip.coded if untouched and trip.coded is not None else body
        worn = dress(trip, target, upstream, inflated=trip.coded is not None and sent is body)
        fresh, trip.fresh = trip.fresh, False
        return Outgoing(request.method, worn.target, worn.headers, sent, memo=worn.memo, fresh=fresh)

    return build


def dress(trip: Trip, target: Target, upstream: Upstream, *, inflated: bool) -> Dress:
    """What the call looks like on its way to this upstream. For a head that has come before, what was found then."""
    request, head = trip.exchange.request, trip.incoming.head
    model = target.model if "{model}" in upstream.url else ""
    key = (upstream.name, request.path, request.query, inflated)
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
