"""The worker's side of the channel: buffers records, sends them in batches, asks, hears pushes."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

from proxy.channel.frames import (
    BadFrame,
    Frames,
    Kind,
    batch_frame,
    json_frame,
    read_json,
    read_number,
)
from proxy.channel.outbox import HELD_BYTES, Outbox
from proxy.errors import Overloaded
from proxy.ports import Metrics

Message = dict[str, Any]
OnPush = Callable[[Message], Awaitable[Message | None] | Message | None]
FLUSH_S = 0.1
"""The longest that a record waits here, and so the most that a killed worker takes with it: a commit costs what a
hundred records cost, whether it holds one or many."""
FLUSH_BYTES = 192 * 1024
REDIAL_S = (0.02, 1.0)
ASKS = 1000
PUSHES = 1000
STALLED_S = 2.0


class ChannelError(Overloaded):
    """Control could not be reached, or did not do what was asked. The caller may try again."""

    code = "control_unavailable"


class ChannelFull(ChannelError):
    """The buffer, or the list of open questions, is full."""


class ChannelDown(ChannelError):
    """No answer in time, the connection broke while waiting, or the channel has been stopped."""


class AskFailed(ChannelError):
    """Control answered with an error; `reason` is its own, not for callers."""

    def __init__(self, reason: str) -> None:
        super().__init__("The control process could not answer.")
        self.reason = reason


class Sender(asyncio.Protocol):
    """The worker's side. To be used from its event loop only. Costs nothing while there is nothing to send.

    `on_push` handles control's messages in order; what it returns, or what its coroutine returns, is the
    acknowledgement. Lost records are counted in `metrics`.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        slot: int,
        page: Path | None = None,
        metrics: Metrics | None = None,
        on_push: OnPush | None = None,
        held_bytes: int = HELD_BYTES,
    ) -> None:
        self.on_push = on_push
        self._path = str(path)
        self._hello = {"id": os.urandom(8).hex(), "pid": os.getpid(), "slot": slot, "page": str(page or "")}
        self._drops = None if metrics is None else metrics.counter("weir_records_dropped_total")
        self._holds = _unseen if metrics is None else metrics.gauge("weir_records_held")
        """Stays on the page when this process is killed: so it is known how many records went with it."""
        self._outbox: Outbox[asyncio.Future[None]] = Outbox(held_bytes)
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None
        self._connected = asyncio.Event()
        self._idle = asyncio.Event()
        self._gone = asyncio.Event()
        self._blocked = True
        self._soon = False
        self._timer: asyncio.Handle | None = None
        self._dialer: asyncio.Task[None] | None = None
        self._redial_s = REDIAL_S[0]
        self._asks: dict[int, asyncio.Future[Message]] = {}
        self._asked = 0
        self._pushes: deque[Message] = deque()
        self._pusher: asyncio.Task[None] | None = None
        self._stopped = False

    @property
    def dropped(self) -> int:
        """Records lost so far."""
        return self._outbox.dropped

    @property
    def connected(self) -> bool:
        return self._transport is not None

    def state(self) -> Message:
        """For /readyz. `stalled`: control may be connected, but has acknowledged nothing for too long."""
        age_s = self._outbox.unacknowledged_s(self._loop.time()) if self._dialer is not None else 0.0
        return {
            "connected": self.connected,
            "waiting_bytes": self._outbox.waiting,
            "unacknowledged_s": round(age_s, 3),
            "stalled": age_s > STALLED_S,
            "dropped": self.dropped,
        }

    def draining(self) -> None:
        """Tells control, now and over every later connection, that this worker takes no new calls."""
        self._hello["draining"] = True
        if self._transport is not None:
            self._transport.write(json_frame(Kind.HELLO, self._hello))

    async def start(self) -> None:
        """Begins to dial, and goes on for as long as it takes."""
        self._loop = asyncio.get_running_loop()
        self._dialer = self._loop.create_task(self._dial(), name="channel dial")

    def put(self, line: bytes) -> None:
        """Takes one record (JSON, no line feed). Never waits; where the buffer is full it is dropped and counted."""
        if not self._outbox.add(line):
            self._lost(1)
            return
        self._holds(self._outbox.held)
        if self._blocked:
            return  # the next connection or acknowledgement sends it
        if self._timer is None:
            self._timer = self._loop.call_later(FLUSH_S, self._flush)
        elif self._outbox.waiting >= FLUSH_BYTES and not self._soon:
            self._soon = True
            self._timer.cancel()
            self._timer = self._loop.call_soon(self._flush)

    async def put_durable(self, line: bytes, timeout_s: float = 5.0) -> None:
        """Returns when control has dealt with the record. `ChannelFull` says that it will not; `ChannelDown` that
        nobody knows: it may still arrive."""
        waiter = self._loop.create_future()
        if not self._outbox.add_awaited(line, waiter):
            self._lost(1)
            raise ChannelFull("The record of this call cannot be kept: the buffer is full.")
        self._holds(self._outbox.held)
        if not self._blocked:
            self._flush()
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except TimeoutError as error:
            raise ChannelDown("The record of this call was not confirmed in time.") from error

    async def ask(self, message: Message, timeout_s: float = 5.0) -> Message:
        """Control's answer. `AskFailed` where it failed there, `ChannelDown` where none came; never asked twice."""
        if len(self._asks) >= ASKS:
            raise ChannelFull("Too many questions to the control process are open.")
        self._asked += 1
        number = self._asked
        answer: asyncio.Future[Message] = self._loop.create_future()
        self._asks[number] = answer
        try:
            async with asyncio.timeout(timeout_s):
                await self._connected.wait()
                if self._transport is None:
                    raise ChannelDown("The control process is not there.")
                self._flush()
                self._transport.write(json_frame(Kind.ASK, {"id": number, "body": message}))
                return await answer
        except TimeoutError as error:
            raise ChannelDown("The control process did not answer in time.") from error
        finally:
            self._asks.pop(number, None)

    async def stop(self, timeout_s: float) -> int:
        """Sends what is left and waits for it to be acknowledged, at most `timeout_s`. Returns the records lost."""
        self._flush()
        if not self._outbox.empty:
            self._idle.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._idle.wait()
        self._stopped = True
        before = self._outbox.dropped
        self._fail(self._outbox.close())
        lost = self._outbox.dropped - before
        self._lost(lost)
        if self._timer is not None:
            self._timer.cancel()
        await self._hang_up()
        return lost

    async def _hang_up(self) -> None:
        tasks = [task for task in (self._dialer, self._pusher) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._transport is not None:
            self._transport.abort()
            await self._gone.wait()
        self._connected.set()  # whoever still waits to ask learns that it is over

    def _lost(self, count: int) -> None:
        self._holds(self._outbox.held)
        if count and self._drops is not None:
            self._drops.add(count)

    def _fail(self, waiters: list[asyncio.Future[None]]) -> None:
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(ChannelDown("The record of this call was not confirmed."))

    # Connection

    async def _dial(self) -> None:
        while self._transport is None:
            with contextlib.suppress(OSError):
                await self._loop.create_unix_connection(lambda: self, self._path)
                return
            await asyncio.sleep(self._redial_s)
            self._redial_s = min(self._redial_s * 2, REDIAL_S[1])

    async def _redial(self) -> None:
        await asyncio.sleep(self._redial_s)
        self._redial_s = min(self._redial_s * 2, REDIAL_S[1])
        await self._dial()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._stopped:
            self._transport.abort()
            return
        self._frames = Frames()
        self._gone.clear()
        self._transport.write(json_frame(Kind.HELLO, dict(self._hello)))
        before = self._outbox.dropped
        self._fail(self._outbox.hopeless())
        self._lost(self._outbox.dropped - before)
        for batch in self._outbox.again():
            self._transport.write(batch_frame(batch.number, batch.payload))
        self._connected.set()
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._connected.clear()
        self._blocked = True
        for answer in self._asks.values():
            if not answer.done():
                answer.set_exception(ChannelDown("The control process went away."))
        self._asks.clear()
        self._gone.set()
        if not self._stopped:
            self._dialer = self._loop.create_task(self._redial(), name="channel dial")

    def data_received(self, data: bytes) -> None:
        try:
            for kind, payload in self._frames.feed(data):
                self._handle(kind, payload)
        except BadFrame:
            if self._transport is not None:
                self._transport.abort()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._soon = False
        if self._transport is None:
            self._blocked = True
            return
        while (batch := self._outbox.take(self._loop.time())) is not None:
            self._transport.write(batch_frame(batch.number, batch.payload))
        self._blocked = self._outbox.waiting > 0  # enough is under way: the next acknowledgement goes on

    # Control's words

    def _handle(self, kind: Kind, payload: bytes) -> None:
        if kind is Kind.ACK:
            self._acknowledged(read_number(payload))
        elif kind is Kind.REPLY:
            self._answered(read_json(payload))
        elif kind is Kind.PUSH:
            self._pushed(read_json(payload))
        else:
            raise BadFrame(f"control sent a {kind.name}")

    def _acknowledged(self, number: int) -> None:
        self._redial_s = REDIAL_S[0]
        for waiter in self._outbox.acknowledge(number):
            if not waiter.done():
                waiter.set_result(None)
        self._holds(self._outbox.held)
        if self._blocked:
            self._flush()
        if self._outbox.empty:
            self._idle.set()

    def _answered(self, reply: Message) -> None:
        answer = self._asks.get(reply.get("id", 0))
        if answer is None or answer.done():
            return
        if "error" in reply:
            answer.set_exception(AskFailed(str(reply["error"])))
        else:
            answer.set_result(reply.get("body") or {})

    def _pushed(self, push: Message) -> None:
        if self.on_push is None:
            return
        if len(self._pushes) >= PUSHES:
            raise BadFrame("more pushes than can be handled")  # a new connection begins with what is current
        self._pushes.append(push)
        if self._pusher is None or self._pusher.done():
            self._pusher = self._loop.create_task(self._push_all(), name="channel push")

    async def _push_all(self) -> None:
        while self._pushes and self.on_push is not None:
            push = self._pushes.popleft()
            said: Message = {"id": push.get("id", 0)}
            try:
                answer = self.on_push(push.get("body") or {})
                said["body"] = await answer if inspect.isawaitable(answer) else answer
            except Exception as error:  # noqa: BLE001 control is told; one bad message must not end the channel
                said["error"] = f"{type(error).__name__}: {error}"
            if said["id"] and self._transport is not None:
                self._transport.write(json_frame(Kind.PUSHED, said))


def _unseen(value: float) -> None:
    """A gauge where there are none."""
