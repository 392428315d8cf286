"""Repeats: calls that are the same, byte for byte, as one that a plugin answered and of which nobody said a word.

Agents that ask the same ask it in the same bytes, with the same head. What every plugin finds in such a call, and what
the filters make of its answer, is known then: `Plugin.again` says which hooks run once more (those that count, and
those that hold somebody to a limit), and the plugin that answered says whether its answer still stands
(`Response.again`). All else of the way is spared: reading the body, looking into it, filtering the answer.

Kept is what was answered without a finding, an edit or a step but that answer, under the settings of now.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

import xxhash

from proxy.exchange import Exchange, Request, Response, Step
from proxy.tracks import Standing, Track

MOST = 1024
MOST_BYTES = 16 * 1024 * 1024
"""Of calls and answers together."""
BESIDE_BYTES = 2048
"""What one takes beside them, about."""
LONGEST_BYTES = 256 * 1024
_NOT_READ: Any = MappingProxyType({})
Key = tuple[Standing, int]
Again = Callable[[Exchange], Callable[[], Response] | None]


class Repeat:
    """What is known of a call that came and was answered, for those that are the same."""

    __slots__ = (
        "_again", "_caller", "_conversation", "_place", "_request", "_steps", "_target", "_variant", "body", "key",
        "size_bytes", "track",
    )  # fmt: skip

    def __init__(self, key: Key, track: Track, first: Exchange, again: Again, body: bytes) -> None:
        self.key = key
        self.track = track
        """Of the first call, with what of the chain runs once more."""
        self.body = body
        """What the caller got."""
        self._again = again
        self._caller, self._request, self._target = first.caller, _unread(first.request, key[0]), first.target
        self._conversation, self._variant, self._place = first.conversation, first.variant, first.place
        self._steps = tuple(first.steps)
        self.size_bytes = len(first.request.body) + len(body) + BESIDE_BYTES

    def sent(self, body: bytes) -> bool:
        """Whether the first call had this body."""
        return self._request.body == body

    def exchange(self, call: str, times: tuple[float, float, float]) -> Exchange:
        """One more such call. `times`: as in `express`."""
        at_s, start, read = times
        standing = self.key[0]
        request = _unread(self._request, standing)
        made = Exchange(call, self._caller, request, at_s=at_s, start=start, snapshot=standing.chain.snapshot)
        made.timeline.read, made.resolved = read, standing.options
        made.target, made.conversation = self._target, self._conversation
        made.variant, made.place = self._variant, self._place
        return made

    def stands(self, exchange: Exchange) -> Callable[[], Response] | None:
        """What gives its answer to this call; None where the plugin has none any more."""
        give = self._again(exchange)
        return None if give is None else partial(self._given, exchange, give)

    def _given(self, exchange: Exchange, give: Callable[[], Response]) -> Response:
        response = give()
        if exchange.request.stream:
            response.events = (self.body,)
        else:
            response.body = self.body
        exchange.steps.extend(self._steps)
        response.source = self._steps[0].plugin
        return response


class Repeats:
    """One per worker."""

    __slots__ = ("_chain", "_seed", "_used_bytes", "kept")

    def __init__(self) -> None:
        self.kept: dict[Key, Repeat] = {}
        self._used_bytes = 0
        self._seed = secrets.randbits(64)
        self._chain: object = None

    def find(self, standing: Standing, body: bytes) -> Repeat | None:
        found = self.kept.get((standing, xxhash.xxh3_64_intdigest(body, self._seed)))
        return found if found is not None and found.sent(body) else None

    def learn(self, standing: Standing, track: Track, exchange: Exchange, given: bytes) -> None:
        """`exchange` has been answered by a plugin, and its caller got `given`."""
        response, route, request = exchange.response, track.route.again, exchange.request
        if response is None or response.again is None or route is None or not _clean(exchange):
            return
        if len(request.body) > LONGEST_BYTES or len(given) > LONGEST_BYTES or request.changed:
            return
        if standing.chain is not self._chain:
            self.clear()
            self._chain = standing.chain
        key = (standing, xxhash.xxh3_64_intdigest(request.body, self._seed))
        repeat = Repeat(key, replace(track, route=route), exchange, response.again, given)
        self.drop(key)
        self.kept[key] = repeat
        self._used_bytes += repeat.size_bytes
        while len(self.kept) > MOST or self._used_bytes > MOST_BYTES:
            self.drop(next(iter(self.kept)))

    def clear(self) -> None:
        """Whoever may have been told something is to forget it, or settings are others now."""
        self.kept.clear()
        self._used_bytes = 0

    def drop(self, key: Key) -> None:
        gone = self.kept.pop(key, None)
        if gone is not None:
            self._used_bytes -= gone.size_bytes


def _unread(request: Request, standing: Standing) -> Request:
    """The same call as nobody has looked into it: read anew for whoever has to."""
    codec = standing.codec
    made = Request(
        request.dialect, request.method, request.path, request.query, request.headers, request.body, doc=_NOT_READ,
        model=request.model, stream=request.stream, walk=standing.walk, write=None if codec is None else codec.write,
    )  # fmt: skip
    made.known = standing.heard
    if codec is not None:
        made.fold(codec.read)
    return made


def _clean(exchange: Exchange) -> bool:
    """Nobody said a word, but whoever answered."""
    if exchange.findings or exchange.request.uninspected or exchange.verdicts or len(exchange.steps) != 1:
        return False
    step: Step = exchange.steps[0]
    return step.hook == "request" and step.what == "answered"
