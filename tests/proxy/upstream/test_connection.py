"""Connections that are stale, left early, slow, or silent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

import pytest

from proxy.clock import SystemClock
from proxy.errors import (
    Overloaded,
    ProtocolViolation,
    Unreachable,
    UpstreamFailed,
    UpstreamTimeout,
)
from proxy.live import Timeouts, Upstream
from proxy.upstream.client import Client
from proxy.upstream.link import Outgoing
from tests.proxy.upstream.provider import CHUNKED, HEAD, OK, Seen, Serve, pieces, post


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
            async def drip() -> None:  # is no answer either
                for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n":
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0.02)

            await seen.request(reader)
            dripping = asyncio.ensure_future(drip())
            await seen.until_end(reader)
            dripping.cancel()

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
