"""Where calls of one head go: found once for a head, a caller and a model, and kept as long as the settings are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from proxy import gathering, wire
from proxy.bounds import Bounds, bounds_of
from proxy.chain import Chain
from proxy.errors import WeirError
from proxy.exchange import Dialect, Segment, Target
from proxy.house import House, Identified, Nobody
from proxy.pipeline import Pipeline
from proxy.ports import Incoming
from proxy.route import Route
from proxy.upstream import endpoint
from proxy.upstream.link import Dress
from proxy.wire import sliced
from proxy.wire.codec import Codec

SILENT_S = 0.5
"""A stream's headers are waited for without a task for so long."""
Walk = Callable[[Any], tuple[list[Segment], list[str]]]
MODELS = 64
"""Models remembered for one head."""


@dataclass(slots=True)
class Track:
    """Where the calls of one head and one model go, and how."""

    route: Route
    target: Target
    fallbacks: tuple[Target, ...]
    dress: Dress
    refuses_unread: bool
    """The operator, or a guard, lets nothing pass that cannot be read."""


@dataclass(slots=True, eq=False)
class Standing:
    """What is known of every call with this head, from this caller, under these settings."""

    chain: Chain
    known: Identified
    codec: Codec | None
    """None: calls with this head take the regular way."""
    body_bytes: int = 0
    streams: bool = False
    """Those that stream may go without a task as well, until their answer comes."""
    bounds: Bounds = ()
    """What goes over one of them the regular way refuses."""
    walk: Walk | None = None
    """How the texts of its calls are found."""
    tracks: dict[str, Track | None] = field(default_factory=dict)
    heard: dict[str, Any] = field(default_factory=dict)
    """`Request.known` of its calls."""
    options: dict[str, Any] = field(default_factory=dict)
    """`Exchange.resolved` of its calls."""


class Tracks:
    """One per worker."""

    def __init__(self, house: House, pipeline: Pipeline) -> None:
        self._house = house
        self._pipeline = pipeline

    def standing(self, incoming: Incoming) -> Standing:
        chain, head = self._house.chains.current, incoming.head
        assert head is not None
        key = ("express", incoming.remote)
        standing: Standing | None = head.memo.get(key)
        if standing is None or standing.chain is not chain:
            standing = self._stand(incoming, chain)
            head.keep(key, standing)
        return standing

    def _stand(self, incoming: Incoming, chain: Chain) -> Standing:
        """Raises nothing: what is wrong with a head, the regular way says."""
        snapshot = chain.snapshot
        try:
            known = self._pipeline.identify(snapshot, incoming)
        except WeirError:
            return Standing(chain, Nobody(), None)
        dialect = wire.route(known.path)
        told = {name.lower() for name, _ in incoming.headers}
        odd = known.caller.debug or known.caller.deadline_s is not None or "content-encoding" in told
        odd = odd or (dialect in gathering.DIALECTS and snapshot.streams_for(known.caller.agent))
        if dialect is None or incoming.method != "POST" or odd or snapshot.audit_strict:
            return Standing(chain, known, None)
        codec = self._pipeline.codec(dialect, snapshot.limits.depth)
        most = min(snapshot.limits.body_bytes, sliced.AT_ONCE_BYTES)
        early_s = snapshot.streams.early_answer_s
        streams = not early_s or early_s > SILENT_S
        bounds, walk = bounds_of(snapshot, known.caller.key), self._pipeline.walk(codec)
        return Standing(chain, known, codec, most, streams, bounds, walk)

    def lay(self, incoming: Incoming, standing: Standing, model: str) -> Track | None:
        """The track of a model, where it has one."""
        if model in standing.tracks or standing.codec is None:
            return None
        if len(standing.tracks) >= MODELS:
            standing.tracks.clear()
        standing.tracks[model] = found = self._found(incoming, standing, standing.codec.dialect, model)
        return found

    def _found(self, incoming: Incoming, standing: Standing, dialect: Dialect, model: str) -> Track | None:
        chain, caller = standing.chain, standing.known.caller
        snapshot, allowed = chain.snapshot, self._house.allowed
        try:
            target, *others = endpoint.resolve(snapshot, dialect, model)
        except WeirError:
            return None
        upstream, route = snapshot.upstreams[target.upstream], chain.route(caller.agent, model, standing.known.path)
        usual = target.model == model and allowed(snapshot, caller.key, model) and endpoint.may_use(caller, upstream)
        if not usual or not route.short or snapshot.content_of(caller.agent) != "none":
            return None
        fallbacks = tuple(self._pipeline.usable(snapshot, caller, others))
        ours = standing.known.credential_is_ours
        try:
            headers = endpoint.headers(
                incoming.headers, upstream, body_length=None, identity=True, credential_is_ours=ours
            )
            path = endpoint.target(upstream, model, standing.known.path, incoming.query)
        except WeirError:
            return None
        strict = snapshot.uninspected == "refuse" or route.refuses_unread
        return Track(route, target, fallbacks, Dress(upstream, "", ours, path, headers), strict)
