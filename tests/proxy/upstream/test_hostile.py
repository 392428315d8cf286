"""Providers that speak no HTTP, or break off."""

from __future__ import annotations

import asyncio

import pytest

from proxy.errors import (
    ProtocolViolation,
    StreamCut,
    UpstreamTimeout,
    WeirError,
)
from proxy.live import Timeouts
from proxy.upstream.client import Client
from tests.proxy.upstream.provider import CHUNKED, HEAD, OK, Seen, Serve, post

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
