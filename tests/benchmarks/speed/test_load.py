"""The caller: one answer ends when it ends, spent connections are replaced, a fixed rate is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.speed.load import closed, fixed, request, saturated
from benchmarks.speed.target import Target

BURST = request("/v1/chat/completions", b'{"model":"burst-5","stream":true}')
CALL = request("/v1/chat/completions", b'{"model":"json-1500"}')


class Leaves(asyncio.Protocol):
    """Answers one call of a connection, says that it closes, and does."""

    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(self.answer)
        self.transport.close()


class Refuses(Leaves):
    answer = b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


@asynccontextmanager
async def serving(make: Callable[[], asyncio.Protocol]) -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def target() -> Target:
    return Target(asyncio.get_running_loop().call_later)


async def test_every_call_is_answered_whole() -> None:
    async with serving(target) as port:
        tally = await closed(port, [CALL, BURST], 20, 4)
    assert (tally.calls, tally.failed) == (20, 0)
    assert all(first <= whole for first, whole in zip(tally.first_s, tally.latencies_s, strict=True))


async def test_every_connection_makes_a_call_however_short_the_time() -> None:
    async with serving(target) as port:
        tally = await saturated(port, lambda: CALL, 0.0, 3)
    assert tally.calls == 3


async def test_calls_begin_at_a_fixed_rate() -> None:
    async with serving(target) as port:
        tally = await fixed(port, lambda: CALL, 20, 1000.0)
    assert (tally.calls, tally.failed) == (20, 0)
    assert tally.seconds >= 0.019


async def test_a_connection_that_closes_is_replaced() -> None:
    async with serving(Leaves) as port:
        tally = await closed(port, [CALL], 6, 2)
        again = await fixed(port, lambda: CALL, 20, 2000.0)
    assert (tally.calls, tally.failed) == (6, 0)
    assert again.failed == 0


async def test_refusals_are_no_calls() -> None:
    async with serving(Refuses) as port:
        tally = await closed(port, [CALL], 4, 2)
    assert (tally.calls, tally.failed) == (0, 4)
