"""A caller that costs little: raw connections, calls made before they are needed, times taken by its own clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

LATE_S = 0.002
"""The loop's timers are no finer: a call that leaves this late was not held up by the one before it."""
OWN = b"\r\nx-weir-overhead-ms:"
HEAD = (
    "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
    "User-Agent: OpenAI/Python 3.3.0\r\nX-Stainless-Lang: python\r\nX-Stainless-Package-Version: 3.3.0\r\n"
    "X-Stainless-OS: Linux\r\nX-Stainless-Arch: x64\r\nX-Stainless-Runtime: CPython\r\n"
    "X-Stainless-Runtime-Version: 3.11.7\r\nX-Stainless-Async: async:asyncio\r\nX-Stainless-Retry-Count: 0\r\n"
    "X-Stainless-Read-Timeout: 600\r\nAuthorization: Bearer sk-benchmark-0123456789abcdef\r\n"
    "{more}Content-Length: {size}\r\n\r\n"
)
Source = Callable[[], bytes]
"""Gives the bytes of the next call."""


def request(path: str, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """The bytes of one call, with the headers the official SDK sends."""
    more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    return HEAD.format(path=path, more=more, size=len(body)).encode() + body


@dataclass(slots=True)
class Tally:
    """What was seen of a run of calls. `first_s`: until the first byte of the answer; `own_ms`: Weir's own share of a
    call by its own clock, as the header of JSON answers tells it."""

    latencies_s: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    own_ms: list[float] = field(default_factory=list)
    reads: int = 0
    failed: int = 0
    seconds: float = 0.0

    @property
    def calls(self) -> int:
        return len(self.latencies_s)


class Caller(asyncio.Protocol):
    """One keep-alive connection that sends one call and waits for the end of its answer."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.done: asyncio.Future[bool] | None = None
        self.first_s = 0.0
        self.own_ms: float | None = None
        self.reads = 0
        self.left = -1
        self.chunked = False
        self.well = True
        self.spent = False
        """The other side closes it, or has."""
        self.tail = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self.spent = True
        self.finish(False)

    def finish(self, well: bool) -> None:
        if self.done is not None and not self.done.done():
            self.done.set_result(well)

    def call(self, data: bytes) -> asyncio.Future[bool]:
        self.done = asyncio.get_running_loop().create_future()
        self.left, self.chunked, self.well, self.tail = -1, False, True, b""
        self.transport.write(data)
        return self.done

    def data_received(self, data: bytes) -> None:
        self.reads += 1
        if self.left < 0 and not self.chunked:
            if not self.tail:
                self.first_s = time.perf_counter()
            data = self.tail + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self.tail = data
                return
            self._head(data[:end].lower())
            data = data[end + 4 :]
        if self.chunked:
            self.tail = (self.tail + data)[-5:]
            if self.tail == b"0\r\n\r\n":
                self.finish(self.well)
            return
        self.left -= len(data)
        if self.left <= 0:
            self.finish(self.well)

    def _head(self, head: bytes) -> None:
        at = head.find(b"content-length:")
        self.chunked, self.tail = at < 0, b""
        self.left = -1 if at < 0 else int(head[at + 15 :].split(b"\r", 1)[0])
        at = head.find(OWN)
        self.own_ms = None if at < 0 else float(head[at + len(OWN) :].split(b"\r", 1)[0])
        self.well = head.startswith((b"http/1.1 200", b"http/1.0 200"))
        self.spent = self.spent or b"\r\nconnection: close" in head


async def connect(port: int) -> Caller:
    _, caller = await asyncio.get_running_loop().create_connection(Caller, "127.0.0.1", port)
    return caller


async def closed(port: int, data: list[bytes], calls: int, connections: int) -> Tally:
    """`calls` calls, `connections` at a time, each begun when the one before it on its connection has ended."""
    left = iter(range(calls))
    return await _worked(port, lambda: next((data[number % len(data)] for number in left), None), connections)


async def saturated(port: int, source: Source, seconds: float, connections: int) -> Tally:
    """As many calls as there is time for, `connections` at a time; each connection makes one at least."""
    end, first = time.perf_counter() + seconds, iter(range(connections))
    return await _worked(
        port, lambda: source() if next(first, None) is not None or time.perf_counter() < end else None, connections
    )


async def _worked(port: int, following: Callable[[], bytes | None], connections: int) -> Tally:
    """Calls, until there is none `following`."""
    tally, callers = Tally(), [await connect(port) for _ in range(connections)]

    async def work(caller: Caller) -> None:
        while data := following():
            if caller.spent:
                caller.transport.close()
                caller = await connect(port)
            await _timed(caller, data, time.perf_counter(), tally)
        caller.transport.close()

    begun = time.perf_counter()
    await asyncio.gather(*map(work, callers))
    tally.seconds = time.perf_counter() - begun
    return tally


async def fixed(port: int, source: Source, calls: int, rate: float, connections: int = 16) -> Tally:
    """`calls` calls begun at a fixed rate, whatever the answers take. A call that could not leave when it was due (none
    of the connections was free) is timed from then on, so that nothing slow hides what it held up."""
    tally, free = Tally(), [await connect(port) for _ in range(connections)]
    running: set[asyncio.Task[None]] = set()

    async def one(due: float) -> None:
        caller = free.pop() if free else await connect(port)
        if caller.spent:
            caller.transport.close()
            caller = await connect(port)
        data, now = source(), time.perf_counter()
        await _timed(caller, data, due if now - due > LATE_S else now, tally)
        free.append(caller)

    begun = time.perf_counter()
    for number in range(calls):
        due = begun + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        running.add(task := asyncio.create_task(one(due)))
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    tally.seconds = time.perf_counter() - begun
    for caller in free:
        caller.transport.close()
    return tally


async def _timed(caller: Caller, data: bytes, begun: float, tally: Tally) -> None:
    before = caller.reads
    if await caller.call(data):
        tally.latencies_s.append(time.perf_counter() - begun)
        tally.first_s.append(caller.first_s - begun)
        if caller.own_ms is not None:
            tally.own_ms.append(caller.own_ms)
        tally.reads += caller.reads - before
    else:
        tally.failed += 1
