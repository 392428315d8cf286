"""The short way of most calls: no task, no wait, from the caller's bytes to the upstream's and back in two strokes.

Taken by calls with a head that has come before and a body that is there, in JSON, whose hooks on the chain cannot
wait, and for whose upstream a connection is at hand. `depart` takes them out, a `Ride` takes the answer back; hooks,
rights, records and figures are those of the regular way (`pipeline`, `delivery`), and wherever something is not as
usual the call goes on there, from the point it has come to: before it has begun (`depart` gives None), with what its
chain said (`go_on`), with the answer of its first try (`carry`), or with an error.
"""

from __future__ import annotations

import logging

from proxy.boarding import Boarding, Ticket
from proxy.bounds import beyond
from proxy.errors import WeirError
from proxy.exchange import Exchange, Request
from proxy.held import named_id
from proxy.house import House
from proxy.pipeline import Pipeline
from proxy.ports import Incoming, ShortReply
from proxy.reading import model_of, names_parts
from proxy.repeats import Repeats
from proxy.ride import Ride
from proxy.tracks import Standing, Tracks
from proxy.wire import sliced

log = logging.getLogger("weir")


class Express:
    """One per worker."""

    def __init__(self, house: House, pipeline: Pipeline) -> None:
        self.house = house
        self.pipeline = pipeline
        self._tracks = Tracks(house, pipeline)
        self._repeats = Repeats()
        self._now, self._wall = house.now, house.wall

    def depart(self, incoming: Incoming, reply: ShortReply) -> Ride | Boarding | None:
        """The call, on its way or waiting for the rest of its body; None where it has to take the regular way, as if it
        had never been here."""
        if incoming.head is None:
            return None
        standing = self._tracks.standing(incoming)
        if standing.codec is None:
            return None
        at_s, start = self._wall(), self._now()
        body = incoming.whole()
        if body is not None:
            return self._leave(incoming, reply, standing, body, (at_s, start, start))
        if not incoming.gather(standing.body_bytes):
            return None

        def leave(body: bytes) -> Ride | None:
            if standing.chain is not self.house.chains.current:
                return None
            return self._leave(incoming, reply, standing, body, (at_s, start, self._now()))

        ticket = Ticket(incoming, reply, standing.known, standing.chain, at_s, start)
        return Boarding(ticket, self.pipeline, leave)

    def _leave(
        self, incoming: Incoming, reply: ShortReply, standing: Standing, body: bytes, times: tuple[float, float, float]
    ) -> Ride | None:
        """With a body that is there. `times`: when the call came by wall time, by the monotonic one, and when the body
        was there."""
        codec, chain, (at_s, start, read) = standing.codec, standing.chain, times
        if codec is None or len(body) > standing.body_bytes:
            return None
        if self._repeats.kept:
            repeated = self._repeat(incoming, reply, standing, body, times)
            if repeated is not None:
                return repeated
        try:
            doc = codec.read(body) if len(body) < sliced.LONG_BYTES else codec.read_quickly(body)
            if doc is None:
                return None
            model = model_of(doc)
        except WeirError:
            return None
        track = standing.tracks.get(model) or self._tracks.lay(incoming, standing, model)
        stream = doc.get("stream")
        if (
            track is None
            or (standing.known.model and standing.known.model != model)
            or (stream and not (stream is True and standing.streams and codec.wants_usage(doc)))
            or (codec.dialect == "responses" and (doc.get("background") or named_id(doc) is not None))
            or (standing.bounds and beyond(standing.bounds, doc))
            or (not codec.plain(doc) and (track.refuses_unread or names_parts(body)))
        ):
            incoming.found = (codec, doc)
            return None
        request = Request(
            codec.dialect, incoming.method, standing.known.path, incoming.query, tuple(incoming.headers), body,
            doc=doc, model=model, stream=stream is True, walk=standing.walk, write=codec.write,
        )  # fmt: skip
        request.known = standing.heard
        exchange = Exchange(
            self.pipeline.call_id(at_s),
            standing.known.caller,
            request,
            at_s=at_s,
            start=start,
            snapshot=chain.snapshot,
        )
        exchange.timeline.read, exchange.resolved = read, standing.options
        exchange.target = track.target
        if track.fallbacks:
            exchange.fallbacks = list(track.fallbacks)
        self.pipeline.recognise(exchange, codec)
        incoming.taken()
        self.pipeline.began()
        ride = Ride(self.pipeline, exchange, incoming, reply, standing, track)
        ride.context.run(ride.depart, self._repeats)
        return ride

    def _repeat(
        self, incoming: Incoming, reply: ShortReply, standing: Standing, body: bytes, times: tuple[float, float, float]
    ) -> Ride | None:
        """The same call as one before, if the answer to that still stands."""
        repeat = self._repeats.find(standing, body)
        if repeat is None:
            return None
        exchange = repeat.exchange(self.pipeline.call_id(times[0]), times)
        try:
            give = repeat.stands(exchange)
        except Exception:
            log.exception("a plugin failed to say whether its answer stands", extra={"call": exchange.id})
            give = None
        if give is None:
            self._repeats.drop(repeat.key)
            return None
        incoming.taken()
        self.pipeline.began()
        ride = Ride(self.pipeline, exchange, incoming, reply, standing, repeat.track)
        ride.context.run(ride.repeat, give)
        return ride

    def forget(self) -> None:
        """Plugins were told to forget something, or settings are others: what was answered is not known any more."""
        self._repeats.clear()
