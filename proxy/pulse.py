"""The heart of a stream: start-up events held back for a while, early answers, heartbeats while the provider thinks."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress

from proxy.bells import Bells
from proxy.exchange import Exchange
from proxy.ports import Headers, Reply, Tasks

COMMENT = b": keep-alive\n\n"
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
EARLY: Headers = [("content-type", "text/event-stream"), ("cache-control", "no-cache")]
SENT: Headers = []


class Pulse:
    """Owns the moment a stream starts, and its silence after that. All writes are whole events, so a heartbeat
    always falls between two."""

    __slots__ = (
        "_bells",
        "_due_s",
        "_exchange",
        "_headers",
        "_held",
        "_lines",
        "_now",
        "_reply",
        "_size",
        "_status",
        "_stopped",
        "_streams",
        "_tasks",
        "bell",
        "holding",
        "last_s",
    )  # fmt: skip

    def __init__(
        self,
        reply: Reply,
        now: Callable[[], float],
        tasks: Tasks,
        exchange: Exchange,
        bells: Bells | None = None,
    ) -> None:
        self._reply = reply
        self._now = now
        self._tasks = tasks
        self._exchange = exchange
        self._streams = exchange.snapshot.streams
        self._bells = Bells() if bells is None else bells
        self.bell = 0
        self._status = 200
        self._headers = EARLY
        self._lines = b""
        """Further headers, as they stand in a head."""
        self._held: list[bytes] = []
        self._size = 0
        self.last_s = 0.0
        """When something was written last."""
        self._due_s = math.inf
        self._stopped = False
        self.holding = False
        """Events wait here until content comes, the bounds are reached, or an error sends the call elsewhere."""

    def await_headers(self) -> None:
        """The call is on its way; past `early_answer_s` the caller gets its 200 and heartbeats."""
        if self._streams.early_answer_s:
            self._arm(self._streams.early_answer_s)

    def hold(self, status: int, headers: Headers, lines: bytes = b"") -> None:
        """The provider's headers are there."""
        self._status, self._headers, self._lines = status, headers, lines
        if self._reply.started:
            return
        self.holding = True
        self._arm(self._streams.hold_s)

    async def open(self, status: int, headers: Headers, lines: bytes = b"") -> None:
        """The provider's headers are there, and nothing is to be held."""
        self._status, self._headers, self._lines = status, headers, lines
        await self.release()

    def keep(self, data: bytes) -> None:
        if data:
            self._held.append(data)
            self._size += len(data)

    def drop(self) -> None:
        """Another target is asked: what the one before said is forgotten."""
        self._held, self._size = [], 0
        self._headers, self._lines = EARLY, b""
        self.holding = False
        if not self._reply.started:
            self.await_headers()

    @property
    def full(self) -> bool:
        return self._size >= int(self._streams.hold_bytes)

    async def release(self) -> None:
        """Starts the reply, if it has not been, and lets what was held go."""
        self.holding = False
        held, self._held, self._size = b"".join(self._held), [], 0
        if not self._reply.started:
            self._arm(self._streams.heartbeat_s)
            headers, self._headers = self._headers, SENT
            if headers is EARLY:
                headers = [*EARLY, ("x-weir-request-id", self._exchange.id)]
            lines, self._lines = self._lines, b""
            await self._reply.start(self._status, headers, lines)
        if held:
            await self.write(held)

    async def write(self, data: bytes) -> None:
        self.last_s = self._now()
        await self._reply.write(data)

    def stop(self) -> None:
        self._stopped = True
        self._disarm()

    def _disarm(self) -> None:
        self._bells.drop(self)

    def _arm(self, after_s: float) -> None:
        """A timer that rings earlier is left alone, and looks then what is left."""
        due_s = self._now() + after_s if after_s > 0 else math.inf
        before, self._due_s = self._due_s, due_s
        if self.bell:
            if before <= due_s < math.inf:
                return
            self._disarm()
        if after_s > 0:
            self._bells.after(after_s, self)

    def rung(self) -> None:
        """One timer for all of it, re-armed when it fires: a stream that flows costs nothing."""
        left_s = self._due_s - self._now()
        if left_s > 0.001:
            self._bells.after(left_s, self)
            return
        if not self._reply.started:
            self._tasks.spawn("pulse", self._start())
            return
        silent = self._now() - self.last_s
        if silent + 0.001 < self._streams.heartbeat_s:
            self._arm(self._streams.heartbeat_s - silent)
            return
        self._arm(self._streams.heartbeat_s)
        self._tasks.spawn("pulse", self._beat())

    async def _start(self) -> None:
        if self._reply.started or self._stopped:
            return
        early = self._headers is EARLY
        with suppress(ConnectionError):  # the caller has gone, and the call itself meets it
            await self.release()
            if early:
                await self._beat()

    async def _beat(self) -> None:
        if self._stopped:
            return
        with suppress(ConnectionError):
            await self.write(PING if self._exchange.request.dialect == "messages" else COMMENT)
