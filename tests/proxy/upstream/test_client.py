"""What goes to a provider and what comes back, where both speak HTTP well."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest
from aiohttp import web

from proxy.clock import SystemClock
from proxy.errors import (
    BadRequest,
    ProtocolViolation,
    Unreachable,
    UpstreamFailed,
)
from proxy.live import Timeouts, Upstream
from proxy.upstream.arrival import Arrival
from proxy.upstream.client import Client
from proxy.upstream.detour import Answer
from proxy.upstream.link import Outgoing
from tests.proxy.upstream.provider import CHUNKED, HEAD, OK, Seen, Serve, get, pieces, post
from tests.sources import ROOT


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
        assert isinstance(answer, Arrival | Answer)
        assert 0 < answer.held_bytes < 1_000_000
        answer.close()


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
        assert not any(way.busy for way in client._retired)

    async def test_that_only_change_the_key_keep_the_pool(self, serve: Serve, client: Client) -> None:
        provider = await serve(OK)
        await (await client.send(provider.upstream(), post())).read(10)
        answer = await client.send(replace(provider.upstream(), key="other"), post())
        assert answer.reused
        await answer.read(10)


class TestTheWay:
    async def test_is_a_line_or_a_detour_where_an_outbound_proxy_stands_before_the_provider(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
        monkeypatch.setenv("NO_PROXY", "near.example")
        client = Client(SystemClock())
        await client.prepare(
            [
                Upstream("own", "http://127.0.0.1:1", proxy="http://127.0.0.1:2"),
                Upstream("environment", "https://far.example"),
                Upstream("excepted", "https://near.example"),
                Upstream("plain", "http://far.example"),
                Upstream("loopback", "https://127.0.0.1:1"),
            ]
        )
        kinds = {name: type(way).__name__ for name, way in client._ways.items()}
        assert kinds == {
            "own": "Detour", "environment": "Detour", "excepted": "Line", "plain": "Line", "loopback": "Line",
        }  # fmt: skip
        await client.stop()

    async def test_changes_for_all_upstreams_or_for_none(self, serve: Serve, client: Client) -> None:
        provider = await serve(OK)
        one = provider.upstream("one")
        await client.prepare([one])
        before = dict(client._ways)
        moved = replace(one, pool_size=7)
        with pytest.raises(ValueError, match="label"):
            await client.prepare([moved, Upstream("two", "http://ü..ü/v1")])
        with pytest.raises(Unreachable):
            await client.prepare([replace(one, key="new"), Upstream("two", "https://h", ca_file="/is/not/there")])
        assert client._ways == before and before["one"].upstream is one and not client._retired
        assert await (await client.send(one, post())).read(10) == b"ok"
        await client.prepare([moved, replace(one, name="two")])
        assert client._ways["one"] is not before["one"] and set(client._ways) == {"one", "two"}

    def test_of_ordinary_calls_loads_no_second_http_library(self) -> None:
        program = "import sys, proxy.upstream.client; print({'aiohttp', 'yarl', 'multidict'} & {*sys.modules})"
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "set()"


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
