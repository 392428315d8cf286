from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from proxy.errors import StreamCut, Unreachable
from proxy.server.incoming import Incoming
from proxy.server.reply import Reply
from proxy.server.tunnel import MESSAGE_BYTES, tunnel
from tests.raw import HOST, Door, opened, say

Serve = Callable[[web.WebSocketResponse], Awaitable[None]]


@dataclass
class Bridge:
    """A provider with a websocket, a front door that tunnels to it, and what was seen on the way."""

    door: Door
    session: aiohttp.ClientSession
    offered: list[list[str]] = field(default_factory=list)
    counted: list[tuple[int, int]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    async def connect(
        self, *, autoclose: bool = True, autoping: bool = True, protocols: Sequence[str] = ()
    ) -> aiohttp.ClientWebSocketResponse:
        url = f"http://127.0.0.1:{self.door.port}/v1/realtime"
        return await self.session.ws_connect(url, autoclose=autoclose, autoping=autoping, protocols=protocols)


@asynccontextmanager
async def bridge(serve: Serve, protocols: tuple[str, ...] = ()) -> AsyncIterator[Bridge]:
    made: Bridge

    async def provider(request: web.BaseRequest) -> web.StreamResponse:
        side = web.WebSocketResponse(protocols=protocols, max_msg_size=0)
        await side.prepare(request)
        try:
            await serve(side)
        finally:
            made.ended.append(f"provider {side.close_code}")
        return side

    async def handle(incoming: Incoming, reply: Reply) -> None:
        async def connect(offered: list[str]) -> aiohttp.ClientWebSocketResponse:
            made.offered.append(offered)
            url = f"http://127.0.0.1:{port}/"
            return await session.ws_connect(url, protocols=offered, autoclose=False, max_msg_size=MESSAGE_BYTES)

        try:
            made.counted.append(await tunnel(incoming, reply, connect))
        except asyncio.CancelledError:
            made.ended.append("cancelled")
            raise
        except StreamCut:
            made.ended.append("StreamCut")

    loop = asyncio.get_running_loop()
    server = web.Server(provider, handler_cancellation=True)
    listener = await loop.create_server(server, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with aiohttp.ClientSession() as session, opened(handle) as door:
        made = Bridge(door, session)
        try:
            yield made
        finally:
            listener.close()
            await server.shutdown(0.1)


async def echoes(side: web.WebSocketResponse) -> None:
    async for message in side:
        if message.type is WSMsgType.TEXT:
            await side.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await side.send_bytes(message.data)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(2):
        while not true():
            await asyncio.sleep(0.002)


async def test_texts_and_bytes_pass_both_ways_and_are_counted() -> None:
    async with bridge(echoes) as between:
        caller = await between.connect()
        await caller.send_str("h\u20acllo")
        assert await caller.receive_str() == "h\u20acllo"
        await caller.send_bytes(bytes(3_000_000))
        assert len(await caller.receive_bytes()) == 3_000_000
        await caller.close()
        await until(lambda: between.counted)
    assert between.counted == [(3_000_007, 3_000_007)]
    assert between.door.front.running == 0


async def test_the_callers_close_reaches_the_provider_with_its_code() -> None:
    async with bridge(echoes) as between:
        caller = await between.connect()
        await caller.close(code=4001, message=b"enough")
        await until(lambda: between.ended and between.counted)
    assert between.ended == ["provider 4001"]


async def test_the_providers_close_reaches_the_caller_with_code_and_reason() -> None:
    async def leaves(side: web.WebSocketResponse) -> None:
        await side.send_str("bye")
        await side.close(code=4002, message=b"session over")

    async with bridge(leaves) as between:
        caller = await between.connect(autoclose=False)
        assert await caller.receive_str() == "bye"
        message = await caller.receive()
        assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 4002, "session over")
        await caller.close()
        await until(lambda: between.counted)


async def test_a_provider_that_vanishes_closes_the_caller_with_an_error() -> None:
    async def vanishes(side: web.WebSocketResponse) -> None:
        assert side._req is not None
        assert side._req.transport is not None
        side._req.transport.close()

    async with bridge(vanishes) as between:
        caller = await between.connect(autoclose=False)
        message = await caller.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1011)
        await caller.close()
        await until(lambda: "StreamCut" in between.ended)


async def test_a_caller_that_vanishes_closes_the_provider_within_100_ms() -> None:
    async with bridge(echoes) as between:
        caller = await between.connect()
        await caller.send_str("x")
        await caller.receive_str()
        clock = asyncio.get_running_loop().time
        left = clock()
        assert caller._response.connection is not None
        transport = caller._response.connection.transport
        assert transport is not None
        transport.abort()
        await until(lambda: len(between.ended) == 2)
        assert clock() - left < 0.1
    assert "cancelled" in between.ended


async def test_messages_over_the_bound_close_both_sides() -> None:
    async with bridge(echoes) as between:
        caller = await between.connect()
        with suppress(ConnectionError):  # it may meet the closed door while it still sends
            await caller.send_bytes(bytes(MESSAGE_BYTES + 1))
        message = await caller.receive()
        assert message.type in (WSMsgType.CLOSE, WSMsgType.CLOSED)
        await until(lambda: between.ended and between.counted)
    assert between.ended == ["provider 1009"]
    assert between.counted == [(0, 0)]


async def test_pings_are_answered() -> None:
    async with bridge(echoes) as between:
        caller = await between.connect(autoping=False)
        await caller.ping(b"there?")
        message = await caller.receive()
        assert (message.type, bytes(message.data)) == (WSMsgType.PONG, b"there?")
        await caller.close()


async def test_a_provider_that_does_not_read_holds_the_caller_back() -> None:
    release = asyncio.Event()

    async def sleeps(side: web.WebSocketResponse) -> None:
        await release.wait()

    async with bridge(sleeps) as between:
        caller = await between.connect()
        sent = 0

        async def flood() -> None:
            nonlocal sent
            while True:
                await caller.send_bytes(bytes(64 * 1024))
                sent += 64 * 1024

        flooding = asyncio.ensure_future(flood())
        stalled = -1
        while stalled != sent or not sent:
            stalled = sent
            await asyncio.sleep(0.05)
        flooding.cancel()
        release.set()
        await caller.close()
    assert sent < 40 << 20


async def test_subprotocols_are_the_providers_choice_and_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    offered = ["realtime", "openai-insecure-api-key.sk-canary"]
    with caplog.at_level(logging.DEBUG):
        async with bridge(echoes, protocols=("realtime",)) as between:
            caller = await between.connect(protocols=offered)
            assert caller.protocol == "realtime"
            await caller.close()
            assert between.offered == [offered]
    seen = [record for record in caplog.records if "canary" in record.getMessage()]
    assert seen == []


async def test_a_provider_that_takes_no_subprotocol_leaves_the_caller_without_and_the_log_clean(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handle(incoming: Incoming, reply: Reply) -> None:
        await tunnel(incoming, reply, lambda _: session.ws_connect(f"http://127.0.0.1:{port}/", autoclose=False))

    async def provider(request: web.BaseRequest) -> web.StreamResponse:
        side = web.WebSocketResponse()
        await side.prepare(request)
        await echoes(side)
        return side

    server = web.Server(provider)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with aiohttp.ClientSession() as session, opened(handle) as door:
        with caplog.at_level(logging.DEBUG):
            caller = await session.ws_connect(f"http://127.0.0.1:{door.port}/", protocols=["key.sk-canary"])
            assert caller.protocol is None
            await caller.close()
    assert "canary" not in caplog.text
    listener.close()
    await server.shutdown(0.1)


async def test_a_provider_that_cannot_be_reached_is_an_ordinary_answer_and_the_connection_goes_on() -> None:
    async def handle(incoming: Incoming, reply: Reply) -> None:
        async def connect(offered: list[str]) -> aiohttp.ClientWebSocketResponse:
            raise Unreachable("the provider cannot be reached")

        await tunnel(incoming, reply, connect)

    handshake = (
        b"GET /v1/realtime HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    async with opened(handle) as door:
        answer = await say(door.port, handshake)
    assert (answer.status, answer.code, answer.closed) == (502, "upstream_unreachable", False)


async def test_the_handshake_has_no_banner() -> None:
    async with bridge(echoes) as between:
        caller = await between.connect()
        assert not {"Server", "Date", "Content-Type"} & set(caller._response.headers)
        await caller.close()
