"""The link to the providers: one pool of connections per upstream, made when first needed and kept while it fits.

An ordinary upstream is a `line`. One behind an outbound proxy is a `detour`, and so is every websocket; only they load
aiohttp.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Union

from proxy.cork import Cork
from proxy.errors import Unreachable
from proxy.live import Upstream
from proxy.ports import Clock, Headers
from proxy.upstream import failure
from proxy.upstream.arrival import Arrival
from proxy.upstream.line import Line
from proxy.upstream.link import Answering, Done, Outgoing
from proxy.upstream.outbound import outbound

if TYPE_CHECKING:
    import aiohttp

    from proxy.upstream.detour import Detour


Way = Union[Line, "Detour"]
Ready = list[tuple[Upstream, "Way | None"]]
"""Upstreams, each with the pool that was made for it; None where there is one already that fits."""


def _odd(upstream: Upstream) -> bool:
    return outbound(upstream) is not None


class Client:
    """`upstream.link.Link`."""

    def __init__(self, clock: Clock, odd: Callable[[Upstream], bool] = _odd, cork: Cork | None = None) -> None:
        """`odd` says which upstreams are a detour."""
        self._clock = clock
        self._cork = Cork() if cork is None else cork
        self._odd = odd
        self._ways: dict[str, Way] = {}
        self._tunnels: dict[str, Detour] = {}
        """For websockets."""
        self._retired: list[Way] = []
        self._stopped = False

    async def prepare(self, upstreams: Iterable[Upstream]) -> None:
        """Reads certificates and makes the pools ahead of the first call: all of them, or none. Raises as `ready`."""
        self.place(await self.ready(upstreams))
        await self.sweep()

    async def ready(self, upstreams: Iterable[Upstream]) -> Ready:
        """Pools for settings to come, to be placed or dropped: until then nothing changes. Raises Unreachable for
        unreadable files, ValueError for what is no address, Overloaded once stopped."""
        made: Ready = []
        try:
            for upstream in upstreams:
                way = self._ways.get(upstream.name)
                fits = way is not None and _fits(way, upstream)
                made.append((upstream, None if fits else await self._made(upstream)))
        except BaseException:
            await self.drop(made)
            raise
        return made

    async def drop(self, ready: Ready) -> None:
        for _, made in ready:
            if made is not None:
                await made.stop()

    def place(self, ready: Ready) -> None:
        """From here on calls take these; calls under way go on with those before. Follow it with `sweep`."""
        for upstream, made in ready:
            way = self._ways.get(upstream.name)
            if made is not None:
                self._replace(upstream, made)
            elif way is not None and _fits(way, upstream):
                way.upstream = upstream

    async def sweep(self) -> None:
        """Closes the pools of earlier settings that carry no call any more."""
        done = [way for way in self._retired if not way.busy]
        self._retired = [way for way in self._retired if way.busy]
        for way in done:
            await way.stop()

    def begin(self, upstream: Upstream, outgoing: Outgoing, done: Done) -> Arrival | None:
        """See `Link.begin`."""
        way = self._ways.get(upstream.name)
        return way.begin(outgoing, done) if isinstance(way, Line) and way.upstream is upstream else None

    def send(self, upstream: Upstream, outgoing: Outgoing) -> Coroutine[Any, Any, Answering]:
        """See `Link.send`. Also BadRequest for what cannot be written as HTTP, Overloaded once stopped."""
        way = self._ways.get(upstream.name)
        if way is not None and way.upstream is upstream:
            return way.send(outgoing)
        return self._send(upstream, outgoing)

    async def _send(self, upstream: Upstream, outgoing: Outgoing) -> Answering:
        way = await self._way(upstream)
        return await way.send(outgoing)

    async def websocket(
        self, upstream: Upstream, target: str, headers: Headers, protocols: Sequence[str] = ()
    ) -> aiohttp.ClientWebSocketResponse:
        """An open websocket. A handshake the provider refused is UpstreamFailed with the provider's status."""
        tunnel = self._tunnels.get(upstream.name)
        if tunnel is None or not _fits(tunnel, upstream):
            made = await self._detour(upstream)
            self._retire(self._tunnels.get(upstream.name))
            tunnel = self._tunnels[upstream.name] = made
            await self.sweep()
        return await tunnel.websocket(target, headers, protocols)

    async def stop(self) -> None:
        """Closes every connection; calls under way break off."""
        self._stopped = True
        ways = [*self._ways.values(), *self._tunnels.values(), *self._retired]
        for kept in (self._ways, self._tunnels, self._retired):
            kept.clear()
        for way in ways:
            await way.stop()

    async def _way(self, upstream: Upstream) -> Way:
        """The pool of these settings."""
        way = self._ways.get(upstream.name)
        if way is not None and _fits(way, upstream):
            way.upstream = upstream
            return way
        made = await self._made(upstream)
        self._replace(upstream, made)
        await self.sweep()
        return made

    async def _made(self, upstream: Upstream) -> Way:
        return await self._detour(upstream) if self._odd(upstream) else self._line(upstream)

    def _replace(self, upstream: Upstream, made: Way) -> None:
        """Also one that another call made meanwhile."""
        before, self._ways[upstream.name] = self._ways.get(upstream.name), made
        self._retire(before)

    def _line(self, upstream: Upstream) -> Line:
        if self._stopped:
            raise failure.stopping()
        try:
            return Line(self._clock, upstream, self._cork)
        except OSError:
            raise Unreachable("A certificate file of this upstream cannot be read.") from None

    async def _detour(self, upstream: Upstream) -> Detour:
        # Loading it takes a fifth of a second where it is not loaded yet.
        detour = await asyncio.to_thread(importlib.import_module, "proxy.upstream.detour")
        if self._stopped:
            raise failure.stopping()
        try:
            made: Detour = detour.Detour(self._clock, upstream)
        except OSError:
            raise Unreachable("A certificate file of this upstream cannot be read.") from None
        return made

    def _retire(self, way: Way | None) -> None:
        """Calls under way go on."""
        if way is not None:
            way.retire()
            self._retired.append(way)


def _fits(way: Way, upstream: Upstream) -> bool:
    return way.upstream is upstream or _depends(way.upstream) == _depends(upstream)


def _depends(upstream: Upstream) -> tuple[object, ...]:
    """All that a connection depends on."""
    return (
        upstream.url, upstream.timeouts, upstream.ca_file, upstream.client_cert, upstream.verify, upstream.proxy,
        upstream.pool_size,
    )  # fmt: skip
