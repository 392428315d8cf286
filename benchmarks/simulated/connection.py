"""One connection of a caller: takes requests, carries out plans and wishes, notices who leaves."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from http import HTTPStatus
from typing import Protocol, cast

from benchmarks.simulated.call import Received
from benchmarks.simulated.parser import Message, NotHttp, Parser
from benchmarks.simulated.plan import COMMON, Answer, Plan, Socket, Stream
from benchmarks.simulated.websocket import TEXT, Echo, frame, handshake
from benchmarks.simulated.wish import Wish

WRITE_BYTES = 32 * 1024
NOISE = b"\x00\xff\xfe\x16\x03\x01 this is not what you expect \x80\x81\r\n\r\n"
GARBAGE = {
    "1": NOISE,
    "status": b"HTTP/1.1 2OO Fine\r\ncontent-length: 2\r\n\r\n{}",
    "chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n",
    "lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 20\r\n\r\n{}",
    "http09": b'{"this": "is a body without a head"}',
    "json": b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 18\r\n\r\n{"id": "chatcmpl-1',
    "header": b"HTTP/1.1 200 OK\r\nno colon here\r\nbad\x00name: x\r\ncontent-length: 2\r\n\r\n{}",
}
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Host(Protocol):
    """What a connection needs of the provider."""

    def receive(self, received: Received) -> tuple[Plan, Wish]: ...

    def number(self) -> int: ...

    def opened(self, connection: Connection) -> None: ...

    def closed(self, connection: Connection) -> None: ...

    def began(self) -> None: ...

    def ended(self, target: str, events: int, cancelled: bool) -> None: ...


class Connection(asyncio.Protocol):
    def __init__(self, host: Host, number: int, tls: bool) -> None:
        self._host = host
        self._number = number
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._parser = Parser()
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._echo: Echo | None = None
        self._events = 0
        self._continued = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._host.opened(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._writable.set()
        if self._task is not None:
            self._task.cancel()
        self._host.closed(self)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        if self._echo is not None:
            self._echo.feed(data)
            return
        self._parser.feed(data)
        if self._task is None:
            self._advance()

    def _advance(self) -> None:
        while self._task is None and not self.transport.is_closing():
            try:
                message = self._parser.take()
            except (NotHttp, ValueError):
                self.transport.write(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
                self.transport.close()
                return
            if message is None:
                self._continue()
                return
            self._continued = False
            self._serve(message)

    def _continue(self) -> None:
        head = self._parser.waiting
        if head is not None and head.expects and not self._continued:
            self._continued = True
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _serve(self, message: Message) -> None:
        head = message.head
        received = Received(
            head.method, head.target, head.headers, message.body, self._loop.time(),
            self._number, self._host.number(), self._tls,
        )  # fmt: skip
        plan, wish = self._host.receive(received)
        if type(plan) is Answer and wish.plain:
            self._write_answer(plan, received, close=head.close)
            return
        if isinstance(plan, Socket):
            self._upgrade(plan, received)
            return
        self._host.began()
        self._events = 0
        self._task = self._loop.create_task(self._carry_out(plan, wish, received, head.close))
        self._task.add_done_callback(lambda task: self._finished(task, received.target))

    def _finished(self, task: asyncio.Task[None], target: str) -> None:
        self._task = None
        self._host.ended(target, self._events, task.cancelled())
        if not task.cancelled() and (error := task.exception()) is not None:
            self.transport.abort()
            raise error
        self._advance()

    def _upgrade(self, plan: Socket, received: Received) -> None:
        self.transport.write(handshake(received))
        self._echo = Echo(self.transport)
        if plan.hello is not None:
            self.transport.write(frame(TEXT, plan.hello))

    async def _carry_out(self, plan: Answer | Stream, wish: Wish, received: Received, close: bool) -> None:
        if wish.hang:
            await _for_ever()
        if wish.delay:
            await asyncio.sleep(wish.delay)
        close = close or wish.close
        if wish.garbage:
            self.transport.write(GARBAGE.get(wish.garbage, NOISE))
            self.transport.close()
        elif isinstance(plan, Answer):
            await self._answer(plan, wish, received, close)
        else:
            await self._stream(plan, wish, received, close)

    async def _answer(self, plan: Answer, wish: Wish, received: Received, close: bool) -> None:
        headers = plan.headers + ((("x-huge", "h" * wish.headers),) if wish.headers else ())
        body = plan.body
        if wish.gzip:
            body, headers = gzip.compress(body, 1, mtime=0), (*headers, ("content-encoding", "gzip"))
        plan = Answer(body, plan.status, plan.flavour, headers, plan.kind)
        if wish.cut >= 0:
            self.transport.write(
                self._head(plan, received, len(body), close) + (body[: len(body) // 2] if wish.cut else b"")
            )
            self._cut(wish)
            return
        if wish.chunked:
            half = len(body) // 2
            pieces = b"".join(_chunk(piece) for piece in (body[:half], body[half:]) if piece)
            self.transport.write(self._head(plan, received, None, close) + pieces + b"0\r\n\r\n")
            if close:
                self.transport.close()
        else:
            self._write_answer(plan, received, close=close)
        await self._drain()

    def _write_answer(self, plan: Answer, received: Received, *, close: bool) -> None:
        head = self._head(plan, received, len(plan.body), close)
        self.transport.write(head if received.method == "HEAD" else head + plan.body)
        if close:
            self.transport.close()

    def _head(self, plan: Answer | Stream, received: Received, length: int | None, close: bool) -> bytes:
        status = plan.status if isinstance(plan, Answer) else 200
        framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
        more = "".join(f"{name}: {value}\r\n" for name, value in plan.headers)
        ending = "connection: close\r\n\r\n" if close else "\r\n"
        first = f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}"
        return (
            f"{first}\r\ncontent-type: {plan.kind}\r\n{framing}\r\n".encode()
            + COMMON[plan.flavour]
            + f"req_{received.number:032x}\r\n{more}{ending}".encode()
        )

    async def _stream(self, plan: Stream, wish: Wish, received: Received, close: bool) -> None:
        if wish.headers:
            plan.headers = (*plan.headers, ("x-huge", "h" * wish.headers))
        self.transport.write(self._head(plan, received, None, close))
        pending = bytearray()
        for data in self._events_of(plan, wish):
            pause = wish.first if self._events == 2 and wish.first else wish.interval if self._events > 1 else 0.0
            if pause or len(pending) >= WRITE_BYTES:
                self._write(pending, wish)
                await (asyncio.sleep(pause) if pause else self._drain())
            pending += data if wish.split else _chunk(data)
            if pause:
                self._write(pending, wish)
        self._write(pending, wish)
        if wish.cut >= 0 and self._events >= wish.cut:
            self._cut(wish)
            return
        if wish.stall >= 0 and self._events >= wish.stall:
            await _for_ever()
        self.transport.write(b"0\r\n\r\n")
        await self._drain()
        if close:
            self.transport.close()

    def _events_of(self, plan: Stream, wish: Wish) -> Iterator[bytes]:
        """The events as they go out, up to where a wish ends them."""
        ends = min((place for place in (wish.cut, wish.stall, wish.error) if place >= 0), default=-1)
        for event in plan.frames:
            if self._events == ends:
                break
            self._events += 1
            yield _dress(event, wish)
            if self._events == wish.junk:
                yield NOISE
        if wish.error >= 0:
            yield _dress(plan.error, wish)
        elif ends < 0 and plan.done and not wish.no_done:
            self._events += 1
            yield _dress(plan.done, wish)

    def _write(self, pending: bytearray, wish: Wish) -> None:
        if not pending:
            return
        if wish.split:
            for start in range(0, len(pending), wish.split):
                self.transport.write(_chunk(bytes(pending[start : start + wish.split])))
        else:
            self.transport.write(bytes(pending))
        pending.clear()

    async def _drain(self) -> None:
        await asyncio.sleep(0)
        await self._writable.wait()

    def _cut(self, wish: Wish) -> None:
        if wish.reset:
            self.transport.abort()
        else:
            self.transport.close()


def _dress(event: bytes, wish: Wish) -> bytes:
    if wish.comments:
        event = b": a comment\n\n" + event
    return event.replace(b"\n", b"\r\n") if wish.crlf else event


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def _for_ever() -> None:
    await asyncio.Event().wait()
