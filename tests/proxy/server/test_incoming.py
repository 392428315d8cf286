from __future__ import annotations

import asyncio

import pytest

from proxy.errors import TooLarge
from proxy.live import Limits
from proxy.ports import Headers
from proxy.server.incoming import Incoming
from proxy.server.reply import Reply
from tests.raw import HOST, chunked, hear, opened, post, say


async def test_headers_come_as_they_were_sent() -> None:
    seen: list[Headers] = []

    async def handle(incoming: Incoming, reply: Reply) -> None:
        seen.append(incoming.headers)
        await reply.send(200, [], b"")

    async with opened(handle) as door:
        await say(door.port, b"GET / HTTP/1.1\r\nhOST: a\r\nX-b:  1 \r\nx-B: \xe2\x82\xac\r\n\r\n")
    assert seen == [[("hOST", "a"), ("X-b", "1"), ("x-B", "\u20ac")]]


async def test_length_remote_and_kind_are_known_before_the_body() -> None:
    seen: list[tuple[int | None, str, bool]] = []

    async def handle(incoming: Incoming, reply: Reply) -> None:
        seen.append((incoming.length, incoming.remote, incoming.websocket))
        await incoming.read()
        await reply.send(200, [], b"")

    async with opened(handle) as door:
        for data in (post(b"abc"), chunked(b"abc"), b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"):
            await say(door.port, data)
    assert seen == [(3, "127.0.0.1", False), (None, "127.0.0.1", False), (0, "127.0.0.1", False)]


@pytest.mark.parametrize("data", [post(b"abc" * 1000), chunked(*[b"abc" * 100] * 10)])
async def test_a_body_comes_whole_however_it_was_cut(data: bytes) -> None:
    bodies: list[bytes] = []

    async def handle(incoming: Incoming, reply: Reply) -> None:
        bodies.append(await incoming.read())
        await reply.send(200, [], b"")

    async with opened(handle) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        for at in range(0, len(data), 500):
            writer.write(data[at : at + 500])
            await writer.drain()
            await asyncio.sleep(0)
        assert (await hear(reader)).status == 200
        writer.close()
    assert bodies == [b"abc" * 1000]


async def test_uploads_flow_with_back_pressure_and_their_own_limit() -> None:
    most = 0
    total = 0

    async def handle(incoming: Incoming, reply: Reply) -> None:
        nonlocal most, total
        async for piece in incoming.chunks():
            most, total = max(most, len(piece)), total + len(piece)
            await asyncio.sleep(0)
        await reply.send(200, [], b"")

    async with opened(handle, limits=Limits(body_bytes=10, relay_bytes=8 << 20)) as door:
        assert (await say(door.port, post(bytes(8 << 20)))).status == 200
        assert total == 8 << 20
        assert most <= 1 << 20
        assert (await say(door.port, post(bytes((8 << 20) + 1)))).status == 413
        assert (await say(door.port, chunked(*[bytes(1 << 20)] * 9))).status == 413


async def test_a_slow_taker_is_not_taken_for_a_slow_caller() -> None:
    async def handle(incoming: Incoming, reply: Reply) -> None:
        pieces = incoming.chunks()
        await anext(pieces)
        await asyncio.sleep(0.1)
        async for _ in pieces:
            pass
        await reply.send(200, [], b"")

    async with opened(handle, limits=Limits(body_timeout_s=0.05)) as door:
        assert (await say(door.port, post(bytes(4 << 20)))).status == 200


async def test_a_handler_may_catch_the_refusal_of_a_body_and_the_connection_still_ends() -> None:
    async def handle(incoming: Incoming, reply: Reply) -> None:
        with pytest.raises(TooLarge):
            await incoming.read()
        await reply.send(400, [], b"")

    async with opened(handle, limits=Limits(body_bytes=1)) as door:
        answer = await say(door.port, post(b"abc"))
    assert (answer.status, answer.closed, answer.headers["connection"]) == (400, True, "close")


async def test_a_caller_that_leaves_within_its_body_cancels_the_reader() -> None:
    ended: list[str] = []

    async def handle(incoming: Incoming, reply: Reply) -> None:
        try:
            await incoming.read()
        except BaseException as error:
            ended.append(type(error).__name__)
            raise

    async with opened(handle) as door:
        _, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\nabc")
        async with asyncio.timeout(1):
            while not door.front.running:
                await asyncio.sleep(0.002)
            writer.close()
            while door.front.running:
                await asyncio.sleep(0.002)
    assert ended in (["CancelledError"], ["ConnectionResetError"])
