"""What a caller that does not read costs: little memory, and nothing of the answer is lost when it reads on."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Certificates
from tests.elsewhere import Apart
from tests.pairs import JSON, SURFACES, Pair, opener, wished
from tests.raw import post

SIZE_BYTES = 100_000_000
MOST_BYTES = 2_000_000
CALLERS = 4
"""At once, so that what the process takes for itself is divided by them."""
PAGE_BYTES = os.sysconf("SC_PAGESIZE")
HEADERS = [f"{name}: {value}".encode() for name, value in JSON]

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system tells no memory of a process")


def held_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


async def ask(pair: Pair, request: bytes) -> socket.socket:
    """Sends the call on a socket that will take next to nothing; returns when the answer has begun."""
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    sock.setblocking(False)
    await loop.sock_connect(sock, ("127.0.0.1", pair.running.port))
    await loop.sock_sendall(sock, request)
    assert (await loop.sock_recv(sock, 12)).startswith(b"HTTP/1.1 200")
    return sock


async def settled() -> int:
    """The most memory held until it has not grown for a while."""
    most, calm = held_bytes(), 0
    while calm < 5:
        await asyncio.sleep(0.05)
        now = held_bytes()
        calm, most = (calm + 1, most) if now <= most + PAGE_BYTES * 8 else (0, now)
    return most


def requests(size: int) -> dict[str, bytes]:
    speech = b'{"model":"tts-1","input":"x"}'
    found = {
        surface: post(wished(surface, f"size={size}"), *HEADERS, path=SURFACES[surface][0].encode())
        for surface in ("chat", "responses", "messages")
    }
    return {**found, "speech": post(speech, *HEADERS, b"x-sim: size=%d" % size, path=b"/v1/audio/speech")}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("kind", ["chat", "messages", "speech"])
async def test_an_unread_stream_of_100_mb_costs_under_2_mb(kind: str, tls: bool, certificates: Certificates) -> None:
    opened = opener(certificates if tls else None)
    async with opened(provider=Apart(certificates.server if tls else None)) as pair, AsyncExitStack() as stack:
        small, big = requests(3_000_000)[kind], requests(SIZE_BYTES)[kind]
        for request in (small,) * CALLERS:
            await _closing(stack, await ask(pair, request))
        before = await settled()
        for _ in range(CALLERS):
            await _closing(stack, await ask(pair, big))
        grown = await settled() - before
        assert grown < MOST_BYTES * CALLERS, f"{grown / CALLERS / 1e6:.2f} MB each"


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_a_slow_reader_gets_everything_and_costs_no_more(tls: bool, certificates: Certificates) -> None:
    opened = opener(certificates if tls else None)
    async with opened(provider=Apart(certificates.server if tls else None)) as pair, AsyncExitStack() as stack:
        await _closing(stack, await ask(pair, requests(3_000_000)["chat"]))
        before = await settled()
        sock = await ask(pair, requests(20_000_000)["chat"])
        await _closing(stack, sock)
        loop, size, most, end = asyncio.get_running_loop(), 0, 0, b""
        while not end.endswith(b"0\r\n\r\n"):
            piece = await loop.sock_recv(sock, 262_144)
            assert piece
            size, end = size + len(piece), (end + piece)[-200:]
            if size // 2_000_000 != (size - len(piece)) // 2_000_000:
                most = max(most, held_bytes() - before)
                await asyncio.sleep(0.02)
        assert size > 20_000_000
        assert b"data: [DONE]\n\n" in end
        assert most < 2 * MOST_BYTES
        records: list[dict[str, Any]] = await pair.sink.wait_for(1)
        assert records[-1]["complete"] is True


async def _closing(stack: AsyncExitStack, sock: socket.socket) -> None:
    stack.callback(sock.close)
