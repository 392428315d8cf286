from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from proxy.errors import BadMethod, Refused
from proxy.ports import Headers
from proxy.server.connection import Connection
from proxy.server.incoming import Incoming
from proxy.server.reply import Reply, fault
from tests.raw import Handle, get, hear, opened, post, say

ONE_0 = b"GET /v1/x HTTP/1.0\r\n\r\n"


def sending(status: int, headers: Headers, body: bytes) -> Handle:
    async def handle(incoming: Incoming, reply: Reply) -> None:
        await incoming.read()
        await reply.send(status, headers, body)

    return handle


class Overheard:
    """A transport that tells what is written."""

    def __init__(self, transport: Any, written: list[bytes]) -> None:
        self._transport = transport
        self._written = written

    def write(self, data: bytes) -> None:
        self._written.append(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def streaming(headers: Headers, *pieces: bytes, status: int = 200) -> Handle:
    async def handle(incoming: Incoming, reply: Reply) -> None:
        await incoming.read()
        await reply.start(status, headers)
        for piece in pieces:
            await reply.write(piece)
        await reply.end()

    return handle


async def test_headers_keep_their_order_and_case_and_nothing_is_added_but_the_length() -> None:
    headers = [
        ("X-Zulu", "1"),
        ("content-TYPE", "text/plain"),
        ("x-a", "2"),
        ("X-Zulu", "3"),
        ("x-uni", "\u20ac\udcff"),
    ]
    async with opened(sending(200, headers, b"hello")) as door:
        answer = await say(door.port, get(b"/v1/x"))
    assert answer.head == (
        b"HTTP/1.1 200 OK\r\nX-Zulu: 1\r\ncontent-TYPE: text/plain\r\nx-a: 2\r\nX-Zulu: 3\r\n"
        b"x-uni: \xe2\x82\xac\xff\r\nContent-Length: 5\r\n\r\n"
    )
    assert (answer.body, answer.closed) == (b"hello", False)


async def test_framing_is_the_replys_own_affair() -> None:
    headers = [("Content-Length", "99"), ("Transfer-Encoding", "chunked"), ("Connection", "close"), ("Keep-Alive", "x")]
    async with opened(sending(200, headers, b"hello")) as door:
        answer = await say(door.port, get(b"/v1/x"))
    assert answer.head == b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    assert not answer.closed


async def test_streams_are_chunked_one_chunk_for_each_write() -> None:
    async with opened(streaming([("a", "b")], b"one", b"", b"three")) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(get(b"/v1/x", b"Connection: close"))
        heard = await reader.read()
        writer.close()
    assert heard == (
        b"HTTP/1.1 200 OK\r\na: b\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"3\r\none\r\n5\r\nthree\r\n0\r\n\r\n"
    )


async def test_the_head_of_a_stream_leaves_with_its_first_piece_or_alone_before_long() -> None:
    written: list[bytes] = []
    go = asyncio.Event()

    async def handle(incoming: Incoming, reply: Reply) -> None:
        line = cast(Connection, incoming.connection)
        transport, line.transport = line.transport, cast(Any, Overheard(line.transport, written))
        await reply.start(200, [])
        if incoming.path == "/v1/later":
            await go.wait()
        await reply.write(b"one")
        await reply.end()
        line.transport = transport

    async with opened(handle) as door:
        assert (await say(door.port, get(b"/v1/x"))).body == b"one"
        assert [data[-8:] for data in written] == [b"3\r\none\r\n", b"0\r\n\r\n"]
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(get(b"/v1/later"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
        go.set()
        assert await reader.readuntil(b"0\r\n\r\n") == b"3\r\none\r\n0\r\n\r\n"
        writer.close()


async def test_pieces_that_wait_for_those_of_other_calls_keep_their_order() -> None:
    pieces = [b"%d;" % number * (9000 if number % 3 == 2 else 1) for number in range(12)]
    written: list[bytes] = []

    async def handle(incoming: Incoming, reply: Reply) -> None:
        line = cast(Connection, incoming.connection)
        line._cork.calls = range(9)
        transport, line.transport = line.transport, cast(Any, Overheard(line.transport, written))
        await reply.start(200, [])
        reply.push(b"first")
        reply.push(b"second")
        assert not written
        await asyncio.sleep(0)
        assert [data.rpartition(b"\r\n\r\n")[2] for data in written] == [b"5\r\nfirst\r\n", b"6\r\nsecond\r\n"]
        for piece in pieces:
            await reply.write(piece)
        await reply.end()
        await asyncio.sleep(0)
        line.transport = transport

    async with opened(handle) as door:
        answer = await say(door.port, get(b"/v1/x"))
    assert answer.body == b"firstsecond" + b"".join(pieces)


async def test_a_caller_that_stops_reading_is_noticed_after_a_piece_more_where_many_calls_run() -> None:
    pushed = [0, 0]
    full = asyncio.Event()

    async def handle(incoming: Incoming, reply: Reply) -> None:
        line = cast(Connection, incoming.connection)
        line._cork.calls = range(9)
        await reply.start(200, [])
        for _ in range(5000):
            pushed[0] += 1
            if not reply.push(bytes(10_000)):
                break
            await asyncio.sleep(0)
            pushed[1] += line.paused
        full.set()
        await reply.ready()
        await reply.end(b"over")

    async with opened(handle) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port, limit=2000)
        writer.write(get(b"/v1/x"))
        async with asyncio.timeout(5):
            await full.wait()
            assert pushed[1] <= 1
            answer = await hear(reader, more=True)
        assert answer.body == bytes(10_000 * pushed[0]) + b"over"
        writer.close()


async def test_a_declared_length_is_kept_by_a_stream() -> None:
    async with opened(streaming([("Content-Length", "6")], b"abc", b"def")) as door:
        answer = await say(door.port, get(b"/v1/x"))
    assert answer.head == b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
    assert (answer.body, answer.closed) == (b"abcdef", False)


@pytest.mark.parametrize("pieces", [(b"abc",), (b"abc", b"defg")])
async def test_a_stream_that_breaks_its_declared_length_is_cut(pieces: tuple[bytes, ...]) -> None:
    async with opened(streaming([("Content-Length", "6")], *pieces)) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(get(b"/v1/x"))
        heard = await reader.read()
        writer.close()
    assert heard.partition(b"\r\n\r\n")[2] in (b"", b"abc")


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_that_have_no_body_get_none(status: int) -> None:
    for handle in (sending(status, [], b"x"), streaming([], b"x", status=status)):
        async with opened(handle) as door:
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
            writer.write(get(b"/v1/x", b"Connection: close"))
            assert (await reader.read()).endswith(b"\r\nConnection: close\r\n\r\n")
            writer.close()


async def test_head_gets_the_headers_of_get() -> None:
    ask = b"HEAD /v1/x HTTP/1.1\r\nHost: a\r\n\r\n"
    for handle in (sending(200, [], b"hello"), sending(200, [("content-length", "5")], b"")):
        async with opened(handle) as door:
            answer = await say(door.port, ask, method="HEAD")
        assert answer.head == b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
        assert not answer.closed
    async with opened(streaming([], b"hello")) as door:
        assert (await say(door.port, ask, method="HEAD")).headers["transfer-encoding"] == "chunked"


async def test_http_1_0_is_answered_without_chunks() -> None:
    async with opened(streaming([], b"abc", b"def")) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(ONE_0)
        assert await reader.read() == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcdef"
        writer.close()
    async with opened(sending(200, [], b"abc")) as door:
        answer = await say(door.port, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert (answer.headers["connection"], answer.closed) == ("keep-alive", False)


@pytest.mark.parametrize("ask", [get(b"/v1/x"), ONE_0])
async def test_what_was_aborted_cannot_be_taken_for_the_whole(ask: bytes) -> None:
    async def handle(incoming: Incoming, reply: Reply) -> None:
        await reply.start(200, [])
        await reply.write(b"half")
        await asyncio.sleep(0.01)
        reply.abort()

    async with opened(handle) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(ask)
        heard = b""
        reset = False
        try:
            while piece := await reader.read(1000):
                heard += piece
        except ConnectionResetError:
            reset = True
        writer.close()
    assert heard.endswith(b"4\r\nhalf\r\n") or reset
    assert b"0\r\n\r\n" not in heard


async def test_what_was_written_before_an_abort_still_arrives() -> None:
    event = b"event: error\ndata: {}\n\n"

    async def handle(incoming: Incoming, reply: Reply) -> None:
        await reply.start(200, [])
        await reply.write(event)
        reply.abort()

    async with opened(handle) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(get(b"/v1/x"))
        assert event in await reader.read()
        writer.close()


async def test_a_reply_starts_once_and_writes_only_while_it_is_open() -> None:
    errors: list[str] = []

    async def handle(incoming: Incoming, reply: Reply) -> None:
        for broken in (reply.write(b"x"), reply.end()):
            with pytest.raises(RuntimeError):
                await broken
        assert not reply.started
        await reply.start(200, [])
        assert reply.started
        for again in (reply.start(200, []), reply.send(200, [], b"")):
            with pytest.raises(RuntimeError):
                await again
        await reply.end()
        await reply.end()
        with pytest.raises(RuntimeError):
            await reply.write(b"x")
        errors.append("none")

    async with opened(handle) as door:
        answer = await say(door.port, get(b"/v1/x"))
    assert (answer.status, answer.body, errors) == (200, b"", ["none"])


@pytest.mark.parametrize(("name", "value"), [("x", "a\r\nSet-Cookie: b"), ("x", "a\nb"), ("x\r\ny", "a"), ("x", "\0")])
async def test_no_header_smuggles_another(name: str, value: str) -> None:
    async with opened(sending(200, [(name, value)], b"")) as door:
        answer = await say(door.port, get(b"/v1/x"))
    assert (answer.status, answer.code) == (500, "internal_error")


async def test_large_answers_arrive_whole() -> None:
    body = bytes(range(256)) * 20_000
    async with opened(sending(200, [], body)) as door:
        assert (await say(door.port, get(b"/v1/x"))).body == body
    async with opened(streaming([], *[body[:300_000]] * 10)) as door:
        assert (await say(door.port, get(b"/v1/x"))).body == body[:300_000] * 10


async def test_connections_are_used_again() -> None:
    async with opened(sending(200, [], b"hello")) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        for _ in range(3):
            writer.write(post(b"{}"))
            assert (await hear(reader, more=True)).body == b"hello"
        assert door.front.connections == 1
        writer.close()


def test_errors_of_the_server_have_the_shape_of_the_path() -> None:
    assert fault(Refused("x", "no"), "/v1/x")[0].startswith(b'{"error":{"message":"no"')
    assert fault(Refused("x", "no"), "/agents/a/v1/messages")[0].startswith(b'{"type":"error"')
    assert ("allow", "GET") in fault(BadMethod("no", headers=[("allow", "GET")]), "/livez")[1]
