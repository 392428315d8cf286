"""The way to one provider: its pool of connections, and what is tried where a pooled one had died.

Connections lie on a stack, the last used on top, so that the others age and go. At most `pool_size` are open; who finds
none free waits in a row, and is handed a connection, or the place of one, before anybody who comes later.
"""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
from collections import deque
from urllib.parse import urlsplit

from proxy.bells import Bells
from proxy.cork import Cork
from proxy.live import Upstream
from proxy.ports import Clock
from proxy.upstream import failure, tls
from proxy.upstream.arrival import Arrival
from proxy.upstream.body import WHOLE_BYTES, dressed
from proxy.upstream.connection import Connection
from proxy.upstream.dial import Address, dial, resolve
from proxy.upstream.head import Writer
from proxy.upstream.link import Done, Outgoing
from proxy.upstream.shape import Shapes

KEEP_ALIVE_S = 45.0
"""Idle connections are given up after this; most load balancers give them up after 60."""
RESOLVED_S = 10.0
"""A host's addresses are asked for anew after this."""

_PORTS = {"http": 80, "https": 443}


class Line:
    """The pool of one upstream. Not kept when anything changes that a connection depends on."""

    def __init__(self, clock: Clock, upstream: Upstream, cork: Cork | None = None) -> None:
        """Raises OSError where a certificate file cannot be read, ValueError for what is no address."""
        self.upstream = upstream
        url = urlsplit(upstream.url)
        host, usual = url.hostname or "", _PORTS[url.scheme]
        self._host = host if host.isascii() else host.encode("idna").decode()
        self._port = url.port or usual
        shown = f"[{self._host}]" if ":" in self._host else self._host
        self._writer = Writer(shown if self._port == usual else f"{shown}:{self._port}")
        self._tls = tls.context(upstream) if url.scheme == "https" else None
        self._clock, self._now = clock, clock.monotonic_s
        self._shapes = Shapes()
        self._bells, self._cork = Bells(), Cork() if cork is None else cork
        self._addresses: list[Address] = []
        self._addresses_until_s = -math.inf
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._places = upstream.pool_size or math.inf
        self._taken = 0
        """By connections, open or opening."""
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None
        self._retired = self._stopped = False

    @property
    def busy(self) -> bool:
        """A call is under way."""
        return self._taken > len(self._idle)

    def retire(self) -> None:
        """No call will come any more; those under way go on."""
        self._retired = True
        while self._idle:
            self._idle[-1].close()
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def stop(self) -> None:
        """Closes every connection; calls under way break off."""
        self._stopped = True
        self.retire()
        for connection in list(self._open):
            connection.fail(failure.stopping())
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(failure.stopping())

    def begin(self, outgoing: Outgoing, done: Done) -> Arrival | None:
        """See `Link.begin`. Raises BadRequest for what cannot be written as HTTP."""
        body = outgoing.body
        if not self._idle or not isinstance(body, bytes) or len(body) > WHOLE_BYTES:
            return None
        request = self._writer.again(outgoing, len(body))
        total_s = self.upstream.timeouts.total_s
        end_s = self._now() + total_s if total_s > 0 else math.inf
        connection = self._idle.pop()
        arrival = connection.begin(request, body, bodyless=False, end_s=end_s)
        connection.done = done
        return arrival

    async def send(self, outgoing: Outgoing) -> Arrival:
        """See `Link.send`. Also BadRequest for what cannot be written as HTTP, Overloaded once stopped."""
        data, length = dressed(outgoing.body, outgoing.length)
        request = self._writer.again(outgoing, length)
        if length == 0:
            data = b""
        total_s = self.upstream.timeouts.total_s
        end_s = self._now() + total_s if total_s > 0 else math.inf
        bodyless = outgoing.method == "HEAD"
        fresh = outgoing.fresh
        connection = self._idle.pop() if self._idle and not fresh else await self._acquire(end_s, fresh=fresh)
        arrival = connection.begin(request, data, bodyless=bodyless, end_s=end_s)
        await _headers(connection, arrival)
        if arrival.stale and isinstance(outgoing.body, bytes):
            data, _ = dressed(outgoing.body, length)
            connection = await self._acquire(end_s, fresh=True)
            arrival = connection.begin(request, data, bodyless=bodyless, end_s=end_s)
            await _headers(connection, arrival)
        if (broken := arrival.broken) is not None:
            raise broken
        return arrival

    # What connections tell.

    def released(self, connection: Connection) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        if self._retired:
            connection.close()
            return
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(KEEP_ALIVE_S, self._sweep)

    def lost(self, connection: Connection) -> None:
        if connection not in self._open:
            return
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._vacate()

    def _vacate(self) -> None:
        """A place has become free: it goes to who waits longest."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._taken -= 1

    def _sweep(self) -> None:
        """Closes what has been idle for long. The bottom of the stack is the oldest."""
        self._sweeper = None
        now_s = self._now()
        while self._idle and now_s - self._idle[0].idle_since_s >= KEEP_ALIVE_S - 0.01:
            self._idle[0].close()
        if self._idle:
            left_s = KEEP_ALIVE_S - (now_s - self._idle[0].idle_since_s)
            self._sweeper = asyncio.get_running_loop().call_later(left_s, self._sweep)

    # A connection where none is idle.

    async def _acquire(self, end_s: float, *, fresh: bool = False) -> Connection:
        left_s = min(self.upstream.timeouts.connect_s or math.inf, end_s - self._now())
        try:
            async with asyncio.timeout(None if left_s == math.inf else max(left_s, 0)):
                while True:
                    connection = await self._place(fresh)
                    if connection is None:
                        return await self._connect()
                    if not connection.idle:
                        continue
                    if not fresh:
                        return connection
                    connection.close()
        except TimeoutError:
            late = self._now() >= end_s - 0.001
            raise failure.unanswered_in_time() if late else failure.unconnected_in_time() from None

    async def _place(self, fresh: bool) -> Connection | None:
        """A connection of another call that has ended, or (None) a place for a new one."""
        if self._stopped:
            raise failure.stopping()
        if fresh and self._idle and self._taken >= self._places:
            self._idle[0].close()
        if self._taken < self._places:
            self._taken += 1
            return None
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.done() or waiter.cancelled():
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
            elif waiter.exception() is None:
                self._give_back(waiter.result())
            raise

    def _give_back(self, handed: Connection | None) -> None:
        if handed is None:
            self._vacate()
        elif handed.idle:
            self.released(handed)

    async def _connect(self) -> Connection:
        """Opens a connection on a place that is the caller's; gives it back where that fails."""
        try:
            connection = await self._opened()
        except BaseException as error:
            self._vacate()
            self._addresses_until_s = -math.inf
            if isinstance(error, Exception):
                raise _unopened(error) from None
            raise
        if not connection.idle:
            self._vacate()
            raise failure.unconnected()
        self._open.add(connection)
        if self._stopped:
            connection.close()
            raise failure.stopping()
        return connection

    async def _opened(self) -> Connection:
        sock = await dial(await self._resolved())
        timeouts = self.upstream.timeouts
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(self, self._clock, timeouts, self._shapes, self._bells, self._cork),
                sock=sock,
                ssl=self._tls,
                server_hostname=self._host.rstrip(".") if self._tls is not None else None,
            )
        except BaseException:
            sock.close()
            raise
        return connection

    async def _resolved(self) -> list[Address]:
        if self._now() >= self._addresses_until_s:
            self._addresses = await resolve(self._host, self._port)
            self._addresses_until_s = self._now() + RESOLVED_S
        return self._addresses


async def _headers(connection: Connection, arrival: Arrival) -> None:
    try:
        await connection.wait(0)
    except asyncio.CancelledError:
        arrival.close()
        raise


def _unopened(error: Exception) -> Exception:
    """No message says more than the kind of failure."""
    match error:
        case ssl.SSLCertVerificationError():
            return failure.untrusted()
        case ssl.SSLError():
            return failure.no_tls()
        case socket.gaierror() | UnicodeError():
            return failure.unknown_name()
        case OSError():
            return failure.unconnected()
        case _:
            return error
