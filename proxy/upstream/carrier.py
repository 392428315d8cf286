"""One connection to a provider under aiohttp's client: time-outs, reuse, and when it must not be used again.

aiohttp's own read time-out makes and cancels a timer for every piece of an answer. Here one timer serves a connection
through all of its calls: what arrives only moves a due time, and the timer looks at it when it fires.

A connection's phases:

    idle --request--> upload --body written--> first --headers of the answer--> body --end of the answer--> idle
                         |                       |                                |
                         +--- nothing moves -----+------ nothing comes -----------+--> time-out: the call fails
    idle, and a byte comes: nobody asked for it, so the connection is cut before the next call could take it as answer.
"""

from __future__ import annotations

import asyncio
import functools
import math
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

from proxy.live import Timeouts
from proxy.ports import Clock
from proxy.upstream import tls

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

KEEP_ALIVE_S = 45.0
"""Idle connections are given up after this; most load balancers give them up after 60."""

Phase = Literal["idle", "upload", "first", "body", "upgraded", "closed"]

FRESH: ContextVar[bool] = ContextVar("fresh", default=False)
"""Set while a call must not use a pooled connection."""


class Lost(aiohttp.ClientConnectionError):
    """The connection ended before an answer's headers were there."""

    def __init__(self, *, reused: bool, heard: bool) -> None:
        super().__init__("connection lost")
        self.heard = heard
        """A part of an answer had come."""
        self.stale = reused and not heard
        """It was a pooled connection that had died meanwhile: the call may be sent again."""


class Wire(ResponseHandler):
    """aiohttp's client protocol with Weir's clock and rules."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, timeouts: Timeouts) -> None:
        super().__init__(loop)
        self.calls = 0
        """Requests that this connection has carried."""
        self.heard = False
        """A byte has come since the last request began."""
        self.upload: AbstractStreamWriter | None = None
        self._clock = clock
        self._timeouts = timeouts
        self._phase: Phase = "idle"
        self._due = math.inf
        self._watch: asyncio.TimerHandle | None = None
        self._watch_due = math.inf
        self._moved_bytes = -1

    def set_response_params(self, **params: Any) -> None:
        """A request begins."""
        self.calls += 1
        self.heard = False
        self.upload = None
        self._payload = None
        self._moved_bytes = -1
        self._phase = "upload"
        super().set_response_params(**params)
        self._extend(self._timeouts.first_byte_s)

    def start_timeout(self) -> None:
        """The request's body is written."""
        if self._phase == "upload":
            self._phase = "first"
            self._extend(self._timeouts.first_byte_s)

    def answered(self) -> None:
        """The answer's headers are there."""
        if self._phase == "closed":
            return
        if self._upgraded:
            self._phase, self._due = "upgraded", math.inf
        elif self._ended():
            self._phase, self._due = "idle", math.inf
        else:
            self._phase = "body"
            self._extend(self._timeouts.idle_s)

    def data_received(self, data: bytes) -> None:
        if data:
            if self._phase == "idle":
                self.force_close()
                self.abort()
                return
            if not self.heard:
                self.heard = True
                if self.calls == 1 and self.transport is not None:
                    tls.remember(self.transport.get_extra_info("ssl_object"))
        super().data_received(data)
        if self._exception is not None and not self._ended():
            # aiohttp tells its queue of answers, but not the reader of a body that is already on its way.
            payload = self._payload
            if payload is not None and payload.exception() is None:
                payload.set_exception(self._exception)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._phase = "closed"
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        super().connection_lost(exc)

    def close(self) -> None:
        """At once, where a call is under way: a graceful close would first write out what the call still had to say."""
        if self._phase in ("upload", "first", "body") and not self._ended():
            self.abort()
        else:
            super().close()

    @property
    def should_close(self) -> bool:
        # Bytes of a request that are still unsent when its answer has ended would stand before the next request.
        transport = self.transport
        return super().should_close or (transport is not None and transport.get_write_buffer_size() > 0)

    def _ended(self) -> bool:
        payload = self._payload
        return payload is not None and payload.is_eof()

    def _extend(self, seconds: float) -> None:
        if seconds <= 0:
            self._due = math.inf
            return
        self._due = self._clock.monotonic_s() + seconds
        if self._watch is not None:
            if self._watch_due <= self._due:
                return
            self._watch.cancel()
        self._arm(seconds)

    def _arm(self, seconds: float) -> None:
        self._watch_due = self._due
        self._watch = self._loop.call_later(seconds, self._tick)

    def _tick(self) -> None:
        self._watch = None
        if self._phase in ("idle", "upgraded", "closed") or self._due == math.inf:
            return
        left_s = self._due - self._clock.monotonic_s()
        if left_s > 0.001:
            self._arm(left_s)
        elif self._phase == "upload" and self._moves():
            self._extend(self._timeouts.first_byte_s)
        else:
            self._on_read_timeout()

    def _moves(self) -> bool:
        """Whether the upload goes on: the provider took bytes since the last look, or waits for the caller's."""
        if self.upload is None or self.transport is None:
            return False
        waiting_bytes = self.transport.get_write_buffer_size()
        before, self._moved_bytes = self._moved_bytes, self.upload.output_size - waiting_bytes
        return waiting_bytes == 0 or before != self._moved_bytes

    # What follows is called by aiohttp itself: on every piece of an answer, and at its end or a pause.

    def _reschedule_timeout(self) -> None:
        if self._phase == "body":
            self._extend(self._timeouts.idle_s)

    def _drop_timeout(self) -> None:
        if self._phase == "body":
            self._due = math.inf
            if self._ended():
                self._phase = "idle"


class Reply(aiohttp.ClientResponse):
    """aiohttp's answer, which knows whether its connection had been used before."""

    reused = False

    async def start(self, connection: Connection) -> Reply:
        wire = connection.protocol
        assert isinstance(wire, Wire)
        wire.upload = self._stream_writer
        try:
            await super().start(connection)
        except aiohttp.ServerTimeoutError:
            raise
        except aiohttp.ClientConnectionError:
            raise Lost(reused=wire.calls > 1, heard=wire.heard) from None
        self.reused = wire.calls > 1
        wire.answered()
        return self


class Connector(aiohttp.TCPConnector):
    """aiohttp's pool with `Wire` connections; gives out no connection that someone has spoilt meanwhile."""

    def __init__(self, clock: Clock, timeouts: Timeouts, **options: Any) -> None:
        super().__init__(keepalive_timeout=KEEP_ALIVE_S, **options)
        made = functools.partial(Wire, self._loop, clock, timeouts)
        self._factory = cast("functools.partial[ResponseHandler]", made)

    @property
    def busy(self) -> bool:
        """A call is under way."""
        return bool(self._acquired)

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        if FRESH.get():
            return None
        while (connection := await super()._get(key, traces)) is not None:
            wire = connection.protocol
            if wire is not None and not wire.should_close:
                return connection
            connection.close()
        return None
