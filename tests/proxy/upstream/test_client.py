"""The client against providers that speak HTTP well, badly, slowly, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from proxy.clock import SystemClock
from proxy.errors import (
    BadRequest,
    Overloaded,
    ProtocolViolation,
    StreamCut,
    Unreachable,
    UpstreamFailed,
    UpstreamTimeout,
    WeirError,
)
from proxy.live import Timeouts, Upstream
from proxy.upstream.client import Client
from proxy.upstream.link import Outgoing
from tests.proxy.upstream.provider import Certificates, Seen, Serve

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def post(body: bytes = b"{}", target: str = "/v1/chat/completions", **headers: str) -> Outgoing:
    sent = [("Authorization", "Bearer sk-canary"), ("X-Case", "Kept"), *headers.items()]
    return Outgoing("POST", target, [*sent, ("content-length", str(len(body)))], body)


def get(target: str = "/v1/models") -> Outgoing:
    return Outgoing("GET", target, [], b"")


class TestWhatIsSent:
    async def test_is_the_callers_request_and_nothing_that_the_caller_did_not_send(
        self, serve: Serve, client: Client
    ) -> None:
        provider = await serve(OK)
        answer = await client.send(provider.upstream(), post(b'{"a": 1}', "/v1/x%2Fy?b=%20c&d"))
        assert await answer.read(100) == b"ok"
        host = provider.url.removeprefix("http://").encode()
        assert provider.connections[0].requests == [
            b"POST /v1/x%2Fy?b=%20c&d HTTP/1.1\r\nHost: "
            + host
            + b"\r\nAuthorization: Bearer sk-canary\r\nX-Case: Kept\r\ncontent-length: 8\r\n\r\n"
        ]
        assert provider.connections[0].bodies == [b'{"a": 1}']

    async def test_of_a_get_without_body_has_no_length(self, serve: Serve, client: Client) -> None:
        provider = await serve(OK)
        await (await client.send(provider.upstream(), get())).read(100)
        assert b"content-length" not in provider.connections[0].requests[0].lower()

    @pytest.mark.parametrize("target", ["@evil.example/", "//evil.example/v1", "v1/x", "/v1/x#y", "/v1/x y", ""])
    async def test_is_never_a_target_that_would_be_rewritten_or_lead_elsewhere(
        self, serve: Serve, client: Client, target: str
    ) -> None:
        provider = await serve(OK)
        if target == "//evil.example/v1":
            answer = await client.send(provider.upstream(), post(target=target))
            await answer.read(100)
            assert provider.connections[0].requests[0].startswith(b"POST //evil.example/v1 HTTP/1.1\r\n")
            return
        with pytest.raises(BadRequest):
            answer = await client.send(provider.upstream(), post(target=target))
        assert not provider.connections

    async def test_keeps_a_path_with_dots_as_it_is(self, serve: Serve, client: Client) -> None:
        provider = await serve(OK)
        await (await client.send(provider.upstream(), post(target="/v1/a/../b/%2e%2E/"))).read(100)
        assert provider.connections[0].requests[0].startswith(b"POST /v1/a/../b/%2e%2E/ HTTP/1.1\r\n")

    async def test_keeps_duplicates_in_order_and_reads_bytes_that_are_no_utf8_as_latin1(
        self, serve: Serve, client: Client
    ) -> None:
        provider = await serve(OK)
        headers = [("x-a", "1"), ("X-B", "caf\udce9"), ("x-a", "2"), ("x-c", "é")]
        await (await client.send(provider.upstream(), Outgoing("POST", "/v1/x", headers, b"{}"))).read(100)
        head = provider.connections[0].requests[0]
        assert b"\r\nx-a: 1\r\nX-B: caf\xc3\xa9\r\nx-a: 2\r\nx-c: \xc3\xa9\r\n" in head

    async def test_of_a_large_body_is_all_of_it(self, serve: Serve, client: Client) -> None:
        provider = await serve(OK)
        body = bytes(range(256)) * 20_480  # 5 MiB
        await (await client.send(provider.upstream(), post(body))).read(100)
        assert provider.connections[0].bodies == [body]

    async def test_of_a_stream_goes_out_as_it_comes_with_the_declared_length(
        self, serve: Serve, client: Client
    ) -> None:
        provider = await serve(OK)
        outgoing = Outgoing("POST", "/v1/files", [("Content-Length", "6")], pieces(b"abc", b"def"), length=6)
        await (await client.send(provider.upstream(), outgoing)).read(100)
        assert provider.connections[0].bodies == [b"abcdef"]
        assert b"transfer-encoding" not in provider.connections[0].requests[0].lower()

    async def test_of_a_stream_without_length_is_chunked(self, serve: Serve, client: Client) -> None:
        got = asyncio.get_running_loop().create_future()

        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            got.set_result((head, await reader.readuntil(b"0\r\n\r\n")))
            writer.write(OK)

        provider = await serve(handler)
        answer = await client.send(provider.upstream(), Outgoing("POST", "/v1/files", [], pieces(b"abc", b"d")))
        assert await answer.read(100) == b"ok"
        head, body = await got
        assert b"transfer-encoding: chunked" in head.lower()
        assert body == b"3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"

    async def test_that_fails_on_the_callers_side_is_the_callers_error(self, serve: Serve, client: Client) -> None:
        provider = await serve(OK)

        async def broken() -> AsyncIterator[bytes]:
            yield b"abc"
            raise ConnectionResetError("the caller left")

        with pytest.raises(ConnectionResetError, match="the caller left"):
            await client.send(provider.upstream(), Outgoing("POST", "/v1/files", [], broken(), length=6))
        with pytest.raises(BadRequest, match="shorter"):
            await client.send(provider.upstream(), Outgoing("POST", "/v1/files", [], pieces(b"abc"), length=6))


class TestAnAnswer:
    async def test_has_status_headers_in_order_and_body_as_sent(self, serve: Serve, client: Client) -> None:
        raw = (
            b"HTTP/1.1 429 Too Many\r\nX-Request-Id: r1\r\nset-cookie: a=1\r\nRetry-After: 7\r\nset-cookie: b=2\r\n"
            b"X-Latin: caf\xe9\r\nx-utf8: \xc3\xa9\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"
        )
        provider = await serve(raw)
        answer = await client.send(provider.upstream(), post())
        assert answer.status == 429
        assert answer.headers == [
            ("X-Request-Id", "r1"), ("set-cookie", "a=1"), ("Retry-After", "7"), ("set-cookie", "b=2"),
            ("X-Latin", "café"), ("x-utf8", "é"), ("Content-Encoding", "gzip"), ("Content-Length", "3"),
        ]  # fmt: skip
        assert await answer.read(3) == b"abc"

    async def test_keeps_the_connection_when_read_to_its_end(self, serve: Serve, client: Client) -> None:
        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await seen.request(reader):
                writer.write(OK[:-2] if seen.requests[-1].startswith(b"HEAD") else OK)

        provider = await serve(handler)
        reused = []
        for outgoing in (post(), get(), Outgoing("HEAD", "/v1/models", [], b""), post()):
            answer = await client.send(provider.upstream(), outgoing)
            reused.append(answer.reused)
            if outgoing.method != "HEAD":
                assert await answer.read(100) == b"ok"
            answer.close()
        assert reused == [False, True, True, True]
        assert len(provider.connections) == 1

    async def test_that_redirects_is_not_followed(self, serve: Serve, client: Client) -> None:
        provider = await serve(b"HTTP/1.1 307 There\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n")
        answer = await client.send(provider.upstream(), post())
        assert (answer.status, await answer.read(10)) == (307, b"")

    async def test_with_cookies_leaves_none_behind(self, serve: Serve, client: Client) -> None:
        provider = await serve(b"HTTP/1.1 200 OK\r\nSet-Cookie: s=1\r\nContent-Length: 0\r\n\r\n")
        for _ in range(2):
            await (await client.send(provider.upstream(), post())).read(10)
        assert b"cookie" not in provider.connections[0].requests[1].lower()

    async def test_over_the_limit_is_refused_and_its_connection_closed(self, serve: Serve, client: Client) -> None:
        for raw in (
            HEAD + b"Content-Length: 6\r\n\r\nabcdef",
            CHUNKED + b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n",
        ):
            provider = await serve(raw)
            answer = await client.send(provider.upstream(raw.hex()), post())
            with pytest.raises(ProtocolViolation, match="too large"):
                await answer.read(5)

    async def test_of_several_pieces_comes_as_it_is_sent(self, serve: Serve, client: Client) -> None:
        go = asyncio.Event()

        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await seen.request(reader)
            writer.write(CHUNKED + b"3\r\nabc\r\n")
            await go.wait()
            writer.write(b"3\r\ndef\r\n0\r\n\r\n")
            await seen.until_end(reader)

        provider = await serve(handler)
        answer = await client.send(provider.upstream(), post())
        chunks = answer.chunks()
        assert await anext(chunks) == b"abc"
        go.set()
        assert [piece async for piece in chunks] == [b"def"]

    async def test_without_length_ends_with_its_connection(self, serve: Serve, client: Client) -> None:
        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await seen.request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\n\r\nabc")

        provider = await serve(handler)
        answer = await client.send(provider.upstream(), post())
        assert await answer.read(100) == b"abc"

    async def test_nobody_reads_holds_little_memory(self, serve: Serve, client: Client) -> None:
        written = 0

        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal written
            await seen.request(reader)
            writer.write(HEAD + b"Content-Length: 100000000\r\n\r\n")
            piece = b"x" * 65536
            while True:
                writer.write(piece)
                await writer.drain()
                written += len(piece)

        provider = await serve(handler)
        answer = await client.send(provider.upstream(), post())
        before = -1
        while before != written:
            before = written
            await asyncio.sleep(0.05)
        assert answer._content._size < 1_000_000
        answer.close()


class TestAStaleConnection:
    async def test_loses_no_call_where_the_provider_closes_after_each_answer(
        self, serve: Serve, client: Client
    ) -> None:
        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if await seen.request(reader):
                writer.write(OK)
                await writer.drain()

        provider = await serve(handler)
        upstream = provider.upstream()
        for _ in range(100):
            assert await (await client.send(upstream, post())).read(10) == b"ok"

    async def test_that_dies_when_the_next_call_comes_is_met_once_and_the_call_sent_on_a_fresh_one(
        self, serve: Serve, client: Client
    ) -> None:
        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for answers in range(2):
                if not await seen.request(reader):
                    return
                if answers:
                    return  # closes instead of the second answer
                writer.write(OK)
                await writer.drain()

        provider = await serve(handler)
        upstream = provider.upstream()
        lost = 0
        for _ in range(100):
            try:
                assert await (await client.send(upstream, post())).read(10) == b"ok"
            except UpstreamFailed:
                lost += 1
        assert lost == 0
        assert all(len(seen.requests) <= 2 for seen in provider.connections)

    async def test_is_not_followed_by_another_pooled_one(self, serve: Serve, client: Client) -> None:
        both = asyncio.Barrier(2)
        first = True

        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await seen.request(reader)
            if first:
                await both.wait()
            writer.write(OK)
            await seen.request(reader)  # then closes without an answer

        provider = await serve(handler)
        upstream = provider.upstream()
        two = await asyncio.gather(client.send(upstream, post()), client.send(upstream, post()))
        for answer in two:
            await answer.read(10)
        first = False
        answer = await client.send(upstream, post())
        assert (answer.reused, await answer.read(10)) == (False, b"ok")
        assert len(provider.connections) == 3

    async def test_is_retried_once_and_no_more(self, serve: Serve, client: Client) -> None:
        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if await seen.request(reader) and len(provider.connections) == 1:
                writer.write(OK)
                await seen.request(reader)

        provider = await serve(handler)
        upstream = provider.upstream()
        await (await client.send(upstream, post())).read(10)
        with pytest.raises(ProtocolViolation, match="without an answer"):
            await client.send(upstream, post())
        assert [len(seen.requests) for seen in provider.connections] == [2, 1]

    async def test_that_had_begun_to_answer_is_not_retried(self, serve: Serve, client: Client) -> None:
        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await seen.request(reader)
            writer.write(OK)
            await seen.request(reader)
            writer.write(b"HTTP/1.1 20")
            await writer.drain()

        provider = await serve(handler)
        upstream = provider.upstream()
        await (await client.send(upstream, post())).read(10)
        with pytest.raises(ProtocolViolation, match="headers"):
            await client.send(upstream, post())
        assert len(provider.connections) == 1

    async def test_does_not_send_a_body_twice_that_cannot_be_read_twice(self, serve: Serve, client: Client) -> None:
        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await seen.request(reader)
            writer.write(OK)
            await seen.request(reader)

        provider = await serve(handler)
        upstream = provider.upstream()
        await (await client.send(upstream, post())).read(10)
        with pytest.raises(ProtocolViolation):
            await client.send(upstream, Outgoing("POST", "/v1/x", [], pieces(b"abc"), length=3))
        assert len(provider.connections) == 1

    @pytest.mark.parametrize("method", ["GET", "POST"])
    async def test_rule_does_not_cover_fresh_connections(self, serve: Serve, client: Client, method: str) -> None:
        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await seen.request(reader)

        provider = await serve(handler)
        with pytest.raises(ProtocolViolation, match="without an answer"):
            await client.send(provider.upstream(), Outgoing(method, "/v1/x", [], b""))
        assert len(provider.connections) == 1

    async def test_on_which_bytes_came_that_nobody_asked_for_is_never_used_again(
        self, serve: Serve, client: Client
    ) -> None:
        spoilt = asyncio.Event()

        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await seen.request(reader)
            writer.write(OK)
            await writer.drain()
            if len(provider.connections) == 1:
                await spoilt.wait()
                writer.write(HEAD + b"Content-Length: 6\r\n\r\npoison")
                await writer.drain()
            await seen.until_end(reader)

        provider = await serve(handler)
        upstream = provider.upstream()
        await (await client.send(upstream, post())).read(10)
        spoilt.set()
        await asyncio.wait_for(provider.connections[0].ended.wait(), 2)
        answer = await client.send(upstream, post())
        assert (answer.reused, await answer.read(10)) == (False, b"ok")


class TestLeaving:
    async def test_a_cancelled_call_closes_the_socket_at_once(self, serve: Serve, client: Client) -> None:
        come = asyncio.Event()

        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await seen.request(reader)
            come.set()
            await seen.until_end(reader)

        provider = await serve(handler)
        task = asyncio.ensure_future(client.send(provider.upstream(), post()))
        await come.wait()
        task.cancel()
        await asyncio.wait_for(provider.connections[0].ended.wait(), 0.1)
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_a_call_cancelled_inside_a_large_upload_does_not_write_on(self, serve: Serve, client: Client) -> None:
        come = asyncio.Event()
        got = 0

        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal got
            await reader.readuntil(b"\r\n\r\n")
            come.set()
            await asyncio.sleep(0.05)
            with contextlib.suppress(ConnectionError):
                while piece := await reader.read(1 << 20):
                    got += len(piece)
            seen.ended.set()

        provider = await serve(handler)
        task = asyncio.ensure_future(client.send(provider.upstream(), post(b"x" * 40_000_000)))
        await come.wait()
        task.cancel()
        await asyncio.wait_for(provider.connections[0].ended.wait(), 0.5)
        assert got < 20_000_000

    @pytest.mark.parametrize("way", ["close", "cancel", "drop the iterator"])
    async def test_a_stream_left_in_the_middle_closes_the_socket_at_once(
        self, serve: Serve, client: Client, way: str
    ) -> None:
        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await seen.request(reader)
            writer.write(CHUNKED + b"3\r\nabc\r\n")
            await seen.until_end(reader)

        provider = await serve(handler)
        answer = await client.send(provider.upstream(), post())
        chunks = answer.chunks()
        assert await anext(chunks) == b"abc"
        if way == "close":
            answer.close()
        elif way == "cancel":
            task = asyncio.ensure_future(anext(chunks))
            await asyncio.sleep(0)
            task.cancel()
        else:
            assert isinstance(chunks, AsyncGenerator)
            await chunks.aclose()
            answer.close()
        await asyncio.wait_for(provider.connections[0].ended.wait(), 0.1)

    async def test_an_early_answer_takes_its_connection_out_of_the_pool(self, serve: Serve, client: Client) -> None:
        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
            await seen.until_end(reader)

        provider = await serve(handler)
        forever = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"x" * 1000
            await forever.wait()

        answer = await client.send(provider.upstream(), Outgoing("POST", "/v1/files", [], slow(), length=5000))
        assert (answer.status, await answer.read(100)) == (413, b"big")
        await asyncio.wait_for(provider.connections[0].ended.wait(), 0.5)

        big = await client.send(provider.upstream(), post(b"x" * 9_000_000))
        assert (big.status, big.reused, await big.read(100)) == (413, False, b"big")
        await asyncio.wait_for(provider.connections[1].ended.wait(), 0.5)

    async def test_a_stopped_client_closes_everything_and_opens_nothing(self, serve: Serve) -> None:
        provider = await serve(OK)
        client = Client(SystemClock())
        await (await client.send(provider.upstream(), post())).read(10)
        await client.stop()
        await asyncio.wait_for(provider.connections[0].ended.wait(), 0.5)
        with pytest.raises(Overloaded):
            await client.send(provider.upstream(), post())


class TestTimeOuts:
    async def test_no_headers_in_time(self, serve: Serve, client: Client) -> None:
        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await seen.request(reader)
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n":
                writer.write(bytes([byte]))  # dripping is no answer either
                await asyncio.sleep(0.02)
            await seen.until_end(reader)

        provider = await serve(handler)
        upstream = provider.upstream(timeouts=Timeouts(first_byte_s=0.1))
        with pytest.raises(UpstreamTimeout):
            await client.send(upstream, post())
        await asyncio.wait_for(provider.connections[0].ended.wait(), 1)

    async def test_silence_inside_an_answer(self, serve: Serve, client: Client) -> None:
        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await seen.request(reader)
            writer.write(CHUNKED + b"3\r\nabc\r\n")
            await seen.until_end(reader)

        provider = await serve(handler)
        answer = await client.send(provider.upstream(timeouts=Timeouts(idle_s=0.1)), post())
        chunks = answer.chunks()
        assert await anext(chunks) == b"abc"
        with pytest.raises(UpstreamTimeout):
            await anext(chunks)
        await asyncio.wait_for(provider.connections[0].ended.wait(), 0.5)

    async def test_a_slow_but_steady_answer_is_none(self, serve: Serve, client: Client) -> None:
        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await seen.request(reader)
            writer.write(CHUNKED)
            for _ in range(8):
                await asyncio.sleep(0.03)
                writer.write(b"1\r\na\r\n")
            writer.write(b"0\r\n\r\n")
            await seen.until_end(reader)

        provider = await serve(handler)
        answer = await client.send(provider.upstream(timeouts=Timeouts(first_byte_s=0.15, idle_s=0.15)), post())
        assert await answer.read(100) == b"a" * 8

    async def test_a_slow_upload_is_none_but_a_stalled_one_is(self, serve: Serve, client: Client) -> None:
        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if await seen.request(reader):
                writer.write(OK)
                await seen.until_end(reader)

        async def slow() -> AsyncIterator[bytes]:
            for _ in range(4):
                await asyncio.sleep(0.05)
                yield b"abc"

        provider = await serve(handler)
        upstream = provider.upstream(timeouts=Timeouts(first_byte_s=0.1))
        answer = await client.send(upstream, Outgoing("POST", "/v1/files", [("content-length", "12")], slow(), 12))
        assert await answer.read(10) == b"ok"

        async def deaf(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(5)

        provider = await serve(deaf)
        with pytest.raises(UpstreamTimeout):
            await client.send(replace(upstream, name="deaf", url=provider.url), post(b"x" * 30_000_000))

    async def test_of_the_whole_call(self, serve: Serve, client: Client) -> None:
        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await seen.request(reader)
            writer.write(CHUNKED)
            for _ in range(200):
                await asyncio.sleep(0.01)
                writer.write(b"1\r\na\r\n")

        provider = await serve(handler)
        answer = await client.send(provider.upstream(timeouts=Timeouts(total_s=0.15)), post())
        with pytest.raises(UpstreamTimeout):
            await answer.read(1000)

    async def test_no_connection(self, client: Client) -> None:
        upstream = Upstream("nowhere", "http://127.0.0.1:1")
        with pytest.raises(Unreachable):
            await client.send(upstream, post())
        full = Upstream("full", "http://127.0.0.1:1", proxy="http://127.0.0.1:1")
        with pytest.raises(Unreachable):
            await client.send(full, post())

    async def test_no_free_connection(self, serve: Serve, client: Client) -> None:
        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await seen.request(reader)
            await seen.until_end(reader)

        provider = await serve(handler)
        upstream = replace(provider.upstream(timeouts=Timeouts(connect_s=0.1)), pool_size=1)
        first = asyncio.ensure_future(client.send(upstream, post()))
        await asyncio.sleep(0.02)
        with pytest.raises(Unreachable):
            await client.send(upstream, post())
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first


BAD = {
    "garbage": b"\x00\x01garbage\r\n\r\n",
    "a bad status line": b"HTTP/1.1 abc OK\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 42 X\r\nContent-Length: 0\r\n\r\n",
    "a status that does not exist": b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
    "the same length twice": HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde",
    "a list of lengths": HEAD + b"Content-Length: 5, 5\r\n\r\nabcde",
    "a length with a sign": HEAD + b"Content-Length: +5\r\n\r\nabcde",
    "a length and a coding": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "a coding and a length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "a coding that Weir does not read": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    "chunks below another coding": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n1\r\na\r\n0\r\n\r\n",
    "HTTP/0.9": b"hello",
    "HTTP/2": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nab",
    "a header over the limit": HEAD + b"X: " + b"a" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
    "too many headers": HEAD + b"X: a\r\n" * 1000 + b"Content-Length: 0\r\n\r\n",
    "NUL in a header": HEAD + b"X: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "CR in a header": HEAD + b"X: a\rb\r\nContent-Length: 0\r\n\r\n",
    "an upgrade nobody asked for": b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nab",
    "a bad chunk at once": CHUNKED + b"ZZ\r\nxx",
    "nothing": b"",
    "half a header": HEAD + b"Content-Le",
}
CUT = {
    "before the length is reached": HEAD + b"Content-Length: 10\r\n\r\nabc",
    "between chunks": CHUNKED + b"3\r\nabc\r\n",
    "inside a chunk": CHUNKED + b"5\r\nabc",
    "before the last line": CHUNKED + b"3\r\nabc\r\n0\r\n",
}


async def hostile(serve: Serve, client: Client, raw: bytes, *, parts: list[int]) -> tuple[bytes, WeirError]:
    """What came of an answer that is cut into TCP segments at `parts`, and the error in its place."""

    async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await seen.request(reader)
        for start, end in zip([0, *parts], [*parts, len(raw)], strict=True):
            writer.write(raw[start:end])
            await writer.drain()
            await asyncio.sleep(0.005)

    provider = await serve(handler)
    body = b""
    try:
        answer = await client.send(provider.upstream(f"u{id(raw)}{parts}{len(provider.url)}{provider.url}"), post())
        async for piece in answer.chunks():
            body += piece
    except WeirError as error:
        assert "127.0.0.1" not in str(error) and "canary" not in str(error)
        return body, error
    raise AssertionError(f"the answer was taken as whole: {body!r}")


class TestAHostileProvider:
    @pytest.mark.parametrize("name", BAD)
    async def test_that_sends_no_http_is_a_violation_however_it_is_cut(
        self, serve: Serve, client: Client, name: str
    ) -> None:
        raw = BAD[name]
        for parts in ([], [len(raw) // 2]):
            body, error = await hostile(serve, client, raw, parts=parts)
            assert (type(error), body) == (ProtocolViolation, b"")

    @pytest.mark.parametrize("name", CUT)
    async def test_that_breaks_off_is_a_cut_after_all_that_came(self, serve: Serve, client: Client, name: str) -> None:
        raw = CUT[name]
        for parts in ([], [raw.index(b"\r\n\r\n") + 4], [raw.index(b"abc") + 1]):
            body, error = await hostile(serve, client, raw, parts=parts)
            assert (type(error), body) == (StreamCut, b"abc")

    async def test_that_spoils_a_later_chunk_is_a_violation_after_all_that_came(
        self, serve: Serve, client: Client
    ) -> None:
        raw = CHUNKED + b"3\r\nabc\r\nZZ\r\nxx"
        body, error = await hostile(serve, client, raw, parts=[raw.index(b"ZZ")])
        assert (type(error), body) == (ProtocolViolation, b"abc")
        _, error = await hostile(serve, client, raw, parts=[])
        assert type(error) is ProtocolViolation

    async def test_that_resets_the_connection_is_a_cut(self, serve: Serve, client: Client) -> None:
        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await seen.request(reader)
            writer.write(CHUNKED + b"3\r\nabc\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)
            writer.transport.abort()

        provider = await serve(handler)
        answer = await client.send(provider.upstream(), post())
        with pytest.raises(StreamCut):
            await answer.read(1000)

    async def test_with_endless_headers_is_stopped(self, serve: Serve, client: Client) -> None:
        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await seen.request(reader)
            writer.write(HEAD)
            while True:
                writer.write(b"X-More: " + b"a" * 1000 + b"\r\n")
                await writer.drain()

        provider = await serve(handler)
        with pytest.raises(ProtocolViolation):
            await client.send(provider.upstream(), post())

    async def test_with_endless_interim_answers_is_stopped(self, serve: Serve, client: Client) -> None:
        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await seen.request(reader)
            while True:
                writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)

        provider = await serve(handler)
        with pytest.raises(UpstreamTimeout):
            await client.send(provider.upstream(timeouts=Timeouts(first_byte_s=0.1)), post())

    async def test_that_goes_on_after_its_answer_poisons_no_later_call(self, serve: Serve, client: Client) -> None:
        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await seen.request(reader):
                writer.write(OK)
                await writer.drain()
                await asyncio.sleep(0.01)
                writer.write(HEAD + b"Content-Length: 6\r\n\r\npoison")

        provider = await serve(handler)
        upstream = provider.upstream()
        for _ in range(5):
            assert await (await client.send(upstream, post())).read(100) == b"ok"
            await asyncio.sleep(0.02)


class TestTls:
    async def test_serves_a_provider_of_a_custom_authority_and_resumes_its_sessions(
        self, serve: Serve, client: Client, certificates: Certificates
    ) -> None:
        resumed = []

        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            resumed.append(writer.get_extra_info("ssl_object").session_reused)
            await seen.request(reader)
            writer.write(HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nok")
            await writer.drain()

        provider = await serve(handler, certificates.context())
        upstream = replace(provider.upstream(), ca_file=str(certificates.ca))
        for _ in range(3):
            assert await (await client.send(upstream, post())).read(10) == b"ok"
        assert resumed == [False, True, True]

    async def test_refuses_a_provider_of_an_unknown_authority(
        self, serve: Serve, client: Client, certificates: Certificates
    ) -> None:
        provider = await serve(OK, certificates.context())
        with pytest.raises(Unreachable, match="certificate"):
            await client.send(provider.upstream(), post())
        answer = await client.send(replace(provider.upstream("lax"), verify=False), post())
        assert await answer.read(10) == b"ok"

    async def test_shows_a_client_certificate(self, serve: Serve, client: Client, certificates: Certificates) -> None:
        provider = await serve(OK, certificates.context(ask_caller=True))
        upstream = replace(provider.upstream(), ca_file=str(certificates.ca), client_cert=str(certificates.caller))
        assert await (await client.send(upstream, post())).read(10) == b"ok"
        with pytest.raises(UpstreamFailed):
            await client.send(replace(upstream, name="bare", client_cert=None), post())

    async def test_says_so_when_a_certificate_file_is_not_there(self, client: Client, tmp_path: Path) -> None:
        upstream = Upstream("there", "https://127.0.0.1:1", ca_file=str(tmp_path / "missing.pem"))
        with pytest.raises(Unreachable) as caught:
            await client.prepare([upstream])
        assert str(tmp_path) not in str(caught.value)

    async def test_a_stream_left_in_the_middle_closes_the_socket_at_once(
        self, serve: Serve, client: Client, certificates: Certificates
    ) -> None:
        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await seen.request(reader)
            writer.write(CHUNKED + b"3\r\nabc\r\n")
            await seen.until_end(reader)

        provider = await serve(handler, certificates.context())
        answer = await client.send(replace(provider.upstream(), ca_file=str(certificates.ca)), post())
        assert await anext(answer.chunks()) == b"abc"
        answer.close()
        await asyncio.wait_for(provider.connections[0].ended.wait(), 0.1)

    @pytest.mark.parametrize("known_by", ["setting", "environment"])
    async def test_goes_through_an_outbound_proxy(
        self, serve: Serve, client: Client, certificates: Certificates, monkeypatch: pytest.MonkeyPatch, known_by: str
    ) -> None:
        async def tunnel(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.requests.append(await reader.readuntil(b"\r\n\r\n"))
            port = seen.requests[0].split()[1].decode().rpartition(":")[2]
            there = await asyncio.open_connection("127.0.0.1", int(port))
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            ways = [pipe(reader, there[1]), pipe(there[0], writer)]
            await asyncio.gather(*ways)

        async def pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                while piece := await source.read(65536):
                    sink.write(piece)
            sink.close()

        provider = await serve(OK, certificates.context())
        outbound = await serve(tunnel)
        named = outbound.url.replace("//", "//user:secret@")
        upstream = replace(provider.upstream(), ca_file=str(certificates.ca))
        if known_by == "setting":
            upstream = replace(upstream, proxy=named)
        else:
            # Loopback upstreams go without the environment's proxy: give this one another name.
            monkeypatch.setenv("HTTPS_PROXY", named)
            monkeypatch.setattr("proxy.upstream.client._LOOPBACK", frozenset())
        for _ in range(2):
            assert await (await client.send(upstream, post())).read(10) == b"ok"
        assert len(outbound.connections) == 1
        head = outbound.connections[0].requests[0]
        assert head.startswith(b"CONNECT 127.0.0.1:")
        assert b"Proxy-Authorization: Basic " in head
        assert b"canary" not in head
        assert b"proxy-authorization" not in provider.connections[0].requests[0].lower()

        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        direct = await client.send(replace(upstream, name="direct", proxy=None), post())
        assert await direct.read(10) == b"ok"
        assert len(outbound.connections) == 1


class TestSettings:
    async def test_that_change_the_way_open_a_new_pool_and_let_running_calls_end(
        self, serve: Serve, client: Client
    ) -> None:
        go = asyncio.Event()

        async def slow(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await seen.request(reader)
            await go.wait()
            writer.write(OK)
            await seen.until_end(reader)

        old, new = await serve(slow), await serve(OK)
        running = asyncio.ensure_future(client.send(old.upstream(), post()))
        await asyncio.sleep(0.02)
        assert await (await client.send(new.upstream(), post())).read(10) == b"ok"
        go.set()
        assert await (await running).read(10) == b"ok"
        await client.send(replace(new.upstream(), pool_size=3), post())
        assert not any(line.busy for line in client._retired)

    async def test_that_only_change_the_key_keep_the_pool(self, serve: Serve, client: Client) -> None:
        provider = await serve(OK)
        await (await client.send(provider.upstream(), post())).read(10)
        answer = await client.send(replace(provider.upstream(), key="other"), post())
        assert answer.reused
        await answer.read(10)


class TestAWebsocket:
    async def test_carries_messages_both_ways_with_its_protocol(self, client: Client) -> None:
        seen = []

        async def echo(request: web.Request) -> web.WebSocketResponse:
            seen.append(request.headers.copy())
            socket = web.WebSocketResponse(protocols=["realtime"])
            await socket.prepare(request)
            async for message in socket:
                await socket.send_str(message.data + "!")
            return socket

        async with served(echo) as url:
            headers = [("Authorization", "Bearer k"), ("Sec-WebSocket-Key", "theirs")]
            socket = await client.websocket(Upstream("w", url), "/v1/realtime?model=m", headers, ["realtime"])
            await socket.send_str("hello")
            assert (await socket.receive_str(), socket.protocol) == ("hello!", "realtime")
            assert seen[0]["Authorization"] == "Bearer k"
            assert seen[0]["Sec-WebSocket-Key"] != "theirs"
            await socket.close()

    async def test_outlives_the_idle_time_out(self, client: Client) -> None:
        async def late(request: web.Request) -> web.WebSocketResponse:
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await asyncio.sleep(0.15)
            await socket.send_str("late")
            return socket

        async with served(late) as url:
            upstream = Upstream("w", url, timeouts=Timeouts(idle_s=0.05, first_byte_s=0.05))
            socket = await client.websocket(upstream, "/v1/realtime", [], [])
            assert await socket.receive_str() == "late"
            await socket.close()

    async def test_that_the_provider_refuses_has_the_providers_status(self, client: Client) -> None:
        async def refuse(request: web.Request) -> web.Response:
            raise web.HTTPUnauthorized

        async with served(refuse) as url:
            with pytest.raises(UpstreamFailed) as caught:
                await client.websocket(Upstream("w", url), "/v1/realtime", [], [])
            assert (caught.value.status, caught.value.code) == (401, "upstream_refused")
        with pytest.raises(Unreachable):
            await client.websocket(Upstream("n", "http://127.0.0.1:1"), "/v1/realtime", [], [])


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@contextlib.asynccontextmanager
async def served(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()
