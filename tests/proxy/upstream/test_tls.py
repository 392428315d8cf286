"""Providers behind TLS and behind an outbound proxy."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.errors import (
    Unreachable,
    UpstreamFailed,
)
from proxy.live import Upstream
from proxy.upstream.client import Client
from tests.certificates import Certificates
from tests.proxy.upstream.provider import CHUNKED, HEAD, OK, Seen, Serve, post


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

        provider = await serve(handler, certificates.server_context())
        upstream = replace(provider.upstream(), ca_file=str(certificates.authority))
        for _ in range(3):
            assert await (await client.send(upstream, post())).read(10) == b"ok"
        assert resumed == [False, True, True]

    async def test_refuses_a_provider_of_an_unknown_authority(
        self, serve: Serve, client: Client, certificates: Certificates
    ) -> None:
        provider = await serve(OK, certificates.server_context())
        with pytest.raises(Unreachable, match="certificate"):
            await client.send(provider.upstream(), post())
        answer = await client.send(replace(provider.upstream("lax"), verify=False), post())
        assert await answer.read(10) == b"ok"

    async def test_shows_a_client_certificate(self, serve: Serve, client: Client, certificates: Certificates) -> None:
        provider = await serve(OK, certificates.server_context(ask_client=True))
        upstream = replace(
            provider.upstream(), ca_file=str(certificates.authority), client_cert=str(certificates.client)
        )
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

        provider = await serve(handler, certificates.server_context())
        answer = await client.send(replace(provider.upstream(), ca_file=str(certificates.authority)), post())
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

        provider = await serve(OK, certificates.server_context())
        outbound = await serve(tunnel)
        named = outbound.url.replace("//", "//user:secret@")
        upstream = replace(provider.upstream(), ca_file=str(certificates.authority))
        if known_by == "setting":
            upstream = replace(upstream, proxy=named)
        else:
            # Loopback upstreams go without the environment's proxy: give this one another name.
            monkeypatch.setenv("HTTPS_PROXY", named)
            monkeypatch.setattr("proxy.upstream.outbound._LOOPBACK", frozenset())
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
