"""One connection: the phases it goes through, the time that each may take, and the socket, touched nowhere else.

  idle ----> head ----> busy ----> idle
                         |-------> skip ------> idle
                         |-------> linger ----> closed
                         `-------> tunnel

  idle     nothing of a request has come                                     keepalive_s, then the end
  head     a request has begun to come                                       header_s, then 408
  busy     a call is answered, by one task that ends when the caller leaves  its body and its stalls are timed apart
  skip     answered before its body came, which is thrown away               lingering_s, then the end
  linger   the last answer is out, and a close at once would be a reset      lingering_s, then the end
           and take it along: what comes is thrown away
  closed   what was written still goes out                                   stall_s, then a reset
  tunnel   a websocket has the socket

Requests are answered in their order, one at a time. What is read while one is answered waits as it came, and past
`WAITING_BYTES` the caller waits too. There is one timer, armed anew only where it would ring too late: a call that
waits for nothing touches none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import copy_context
from inspect import CORO_CREATED, getcoroutinestate
from typing import TYPE_CHECKING, Any, Literal, cast

from proxy.bells import COARSE_S
from proxy.errors import SlowCaller
from proxy.server.framing import Failure, Framing
from proxy.server.incoming import Incoming
from proxy.server.reply import Reply, refused

if TYPE_CHECKING:
    from proxy.server.sharing import Patience, Ride, Server

WAITING_BYTES = 64 * 1024
"""What may wait unread behind the call that is being answered."""
WRITE_BYTES = 64 * 1024
"""What may wait to be sent before whoever writes is made to wait."""
PAUSE_S = 0.1
"""A caller who has a connection and no call for so long is not about to send one."""
Phase = Literal["idle", "head", "busy", "skip", "linger", "closed", "tunnel"]


class Connection(asyncio.Protocol):
    """Implements what `Incoming`, `Framing` and `Reply` ask of their line."""

    __slots__ = (
        "_context", "_cork", "_deadline", "_framing", "_held", "_incoming", "_phase", "_reading", "_rest", "_ride",
        "_ring_at", "_server", "_timer", "_waiters", "limits", "loop", "paused", "remote", "task", "transport",
    )  # fmt: skip

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self.loop = loop
        self.limits = server.limits
        self._cork, self._context = server.cork, copy_context()
        self.transport: asyncio.Transport | None = None
        self.remote = ""
        self.paused = False
        """The socket's buffer is full."""
        self._phase: Phase = "idle"
        self._framing = Framing(self, server.heads)
        self._held = b""
        """Read, and not looked at yet."""
        self._reading = True
        self._incoming: Incoming | None = None
        self.task: asyncio.Task[None] | None = None
        """Answers the call at hand."""
        self._ride: Ride | None = None
        """So does this, without a task."""
        self._rest = False
        """The task goes on with what a ride has begun."""
        self._waiters: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._ring_at = 0.0
        self._deadline: float | None = None

    @property
    def at_hand(self) -> Incoming | None:
        """The call that is being answered."""
        return self._incoming

    @property
    def draining(self) -> bool:
        """Every answer is the last of its connection."""
        return self._server.draining

    @property
    def expecting(self) -> bool:
        """Closed now, it might take a call or an answer along: it is new, just used, or in the middle of something."""
        patience, deadline = self.patience, self._deadline
        if self._phase in ("idle", "head") and deadline is not None:
            since = deadline - (patience.keepalive_s if self._phase == "idle" else patience.header_s)
            return self.loop.time() < since + PAUSE_S
        return self._phase in ("busy", "skip", "linger")

    @property
    def patience(self) -> Patience:
        return self._server.patience

    # ---- called by the event loop -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=WRITE_BYTES)
        peer = transport.get_extra_info("peername")
        self.remote = peer[0] if isinstance(peer, tuple) else ""
        self._server.connections.add(self)
        self._server.empty.clear()
        self._enter("idle", self.patience.keepalive_s)

    def data_received(self, data: bytes) -> None:
        incoming = self._incoming
        if self._phase == "linger" or self._phase == "closed":
            return
        if incoming is None:
            known = None if self._held else self._framing.recognised(data)
            if known is not None:
                self._begin(known)
                return
            self._framing.feed(data)
            self._go_on()
        elif incoming.complete:
            self._held += data
            if len(self._held) > WAITING_BYTES:
                self._read_no_more()
        else:
            self._framing.feed(data)
            if self._ride is not None and incoming.complete:
                self._ride.came()
            elif self._phase == "skip":
                self._skipped(incoming)
            elif incoming.crowded:
                self._read_no_more()

    def eof_received(self) -> None:
        """A caller that says it will send no more has hung up: the answer is for nobody."""
        self.cut()
        self._gone()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.transport = None
        self._enter("closed", None)
        self._gone()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.resume_writing()
        self._framing.close()
        self._held = b""
        self._server.connections.discard(self)
        if not self._server.connections:
            self._server.empty.set()

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    # ---- from one request to the next -------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Nothing is being answered: what has come decides what is next."""
        framing = self._framing
        if self._held and not framing.over and not (framing.ready and framing.ready[-1].complete):
            held, self._held = self._held, b""
            framing.feed(held)
            self.read_on()
        if framing.ready:
            self._context.copy().run(self._begin, framing.ready.pop(0))  # (nothing of the call before, which ends here)
            return
        self._incoming = None
        if framing.failure is not None:
            self._refuse(framing.failure)
        elif framing.over:
            self._leave()
        elif not framing.begun:
            self._enter("idle", self.patience.keepalive_s)
        elif self._phase != "head":
            self._enter("head", self.patience.header_s)
        self.read_on()

    def _begin(self, incoming: Incoming) -> None:
        self._incoming = incoming
        self._enter("busy", None)
        if incoming.websocket:
            self._held, self._framing.tail = self._framing.tail + self._held, b""
        if not incoming.complete and incoming.crowded:
            self._read_no_more()
        self._server.busy.add(self)
        reply, express = Reply(incoming, self), self._server.express
        if express is not None and incoming.head is not None and not self.paused:
            ride = express(incoming, reply)
            if ride is not None:
                self._ride = ride if self._incoming is incoming and self.task is None else self._ride  # (or it is over)
                if not self._reading:
                    self.read_on()
                return
        self.task = self.loop.create_task(self._answer(incoming, reply))

    def over(self) -> None:
        """The call that no task serves has its answer."""
        self._ride = None
        self._answered(whole=True)

    def go_on(self, rest: Coroutine[Any, Any, None], reply: Reply) -> None:
        """The call that no task served has one from here on."""
        self._ride = None
        incoming = self._incoming
        assert incoming is not None
        self._rest = True
        self.task = self.loop.create_task(self._answer(incoming, reply, rest))

    async def _answer(self, incoming: Incoming, reply: Reply, rest: Coroutine[Any, Any, None] | None = None) -> None:
        whole = False
        try:
            await self._server.serve(incoming, reply, rest)
            whole = True
        finally:
            self._answered(whole)

    def _answered(self, whole: bool) -> None:
        self.task, self._rest = None, False
        incoming = self._incoming
        self._server.busy.discard(self)
        if incoming is None or self._phase != "busy":
            self._incoming = None
        elif incoming.closing or not whole:
            self._leave()
        elif incoming.complete:
            self._go_on()
        else:
            incoming.drop()
            self._enter("skip", self.patience.lingering_s)
            self.read_on()

    def _skipped(self, incoming: Incoming) -> None:
        if incoming.complete:
            self._go_on()
        elif incoming.closing:
            self._leave()

    def _refuse(self, failure: Failure) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.write(refused(failure.error, failure.path, silent=failure.silent))
        self._leave()

    def _leave(self) -> None:
        """The last answer is out."""
        incoming, self._incoming = self._incoming, None
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        if not self._held and not self._framing.surplus and (incoming is None or incoming.complete):
            self.cut()
            return
        self._held = b""
        self._enter("linger", self.patience.lingering_s)
        if transport.can_write_eof():
            self._cork.pull()
            transport.write_eof()
        self.read_on()

    def _gone(self) -> None:
        """The caller has left: so ends the call."""
        incoming, self._incoming = self._incoming, None
        if incoming is not None and not incoming.complete:
            incoming.broke(ConnectionResetError("the caller has gone"))
        self.cancel()

    def cancel(self) -> None:
        ride, self._ride = self._ride, None
        if ride is not None:
            ride.cancel()
            self._answered(whole=False)
            return
        task = self.task
        if task is None:
            return
        if getcoroutinestate(cast(Any, task.get_coro())) != CORO_CREATED:
            task.cancel()
        elif self._rest:
            self.loop.call_soon(task.cancel)  # behind its first step: what has been begun has to be ended
        else:
            task.cancel()
            self._answered(whole=False)  # such a task ends without a step, and cannot tell

    # ---- time -------------------------------------------------------------------------------------------------------

    def _enter(self, phase: Phase, seconds: float | None) -> None:
        self._phase = phase
        if seconds is None:
            self._deadline = None
            return
        self._deadline = deadline = self.loop.time() + seconds
        if self._timer is None:
            self._arm(deadline)
        elif deadline + COARSE_S < self._ring_at:
            self._timer.cancel()
            self._arm(deadline)

    def _arm(self, at: float) -> None:
        self._ring_at = at
        self._timer = self.loop.call_at(at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._deadline is None:
            return
        if self.loop.time() + COARSE_S < self._deadline:
            self._arm(self._deadline)
        elif self._phase == "head":
            self._refuse(Failure(SlowCaller("the request's headers did not arrive in time")))
        elif self._phase == "closed":
            self.drop()
        else:
            self.cut()

    # ---- the socket -------------------------------------------------------------------------------------------------

    def write(self, data: bytes, more: bytes = b"") -> None:
        """Raises ConnectionResetError where nobody is left to write to; without data it only looks."""
        transport = self.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the caller has gone")
        if self._cork.full:
            self._cork.pull()
        if more:
            transport.writelines((data, more))
        elif data:
            transport.write(data)
        elif self._timer is not None and self._deadline is None:  # a stream begins, which may take long
            self._timer.cancel()
            self._timer = None

    def answer(self, data: bytes) -> None:
        """As `write`, of a whole answer for which nobody waits: it may go out with those of others."""
        transport = self.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the caller has gone")
        self._cork.downward(transport, data)

    async def drained(self) -> None:
        """Waits until the socket's buffer is below its mark; a caller who takes nothing for `stall_s` is cut off."""
        if not self.paused:
            return
        waiter = self.loop.create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(self.patience.stall_s):
                await waiter
        except TimeoutError:
            self.drop()
            raise ConnectionAbortedError("the caller stopped reading") from None
        if self.transport is None:
            raise ConnectionResetError("the caller has gone")

    def read_on(self) -> None:
        if not self._reading and self.transport is not None and len(self._held) <= WAITING_BYTES:
            self._reading = True
            self.transport.resume_reading()

    def _read_no_more(self) -> None:
        if self._reading and self.transport is not None:
            self._reading = False
            self.transport.pause_reading()

    def cut(self) -> None:
        """Closes behind what was written; a caller who does not take that within `stall_s` is reset."""
        if self.transport is None:
            return
        if self._phase != "tunnel":
            self._enter("closed", self.patience.stall_s)
        self._cork.pull()
        self.transport.close()

    def drop(self) -> None:
        """Resets the connection; nothing more goes out."""
        if self.transport is not None:
            self.transport.abort()

    def hand_over(self) -> tuple[asyncio.Transport, bytes]:
        """The socket, for another protocol, and what has been read for it. Whoever takes it tells `connection_lost`."""
        transport, held = self.transport, self._held
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the caller has gone")
        self._cork.pull()
        self._enter("tunnel", None)
        self._held = b""
        self.read_on()
        return transport, held
