"""A front door on a free port, and raw sockets to say to it what no client library would."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from proxy.live import Limits
from proxy.server.front import Front
from proxy.server.incoming import Incoming
from proxy.server.probes import Probes
from proxy.server.reply import Reply
from proxy.server.sharing import Patience

Handle = Callable[[Incoming, Reply], Awaitable[None]]
HOST = b"Host: 127.0.0.1\r\n"


@dataclass(frozen=True, slots=True)
class Door:
    front: Front
    probes: Probes
    port: int


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as it came over the wire; `closed` if the connection ended behind it."""

    status: int = 0
    head: bytes = b""
    body: bytes = b""
    closed: bool = False
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def code(self) -> Any:
        return orjson.loads(self.body)["error"]["code"]


@asynccontextmanager
async def opened(
    handle: Handle,
    *,
    limits: Limits | None = None,
    patience: Patience | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Door]:
    bounds = limits or Limits()
    probes = Probes(lambda: None)
    front = Front(handle, limits=lambda: bounds, probes=probes, patience=patience)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    await front.start(listener, tls)
    try:
        yield Door(front, probes, port)
    finally:
        await front.stop(0.1)


async def say(port: int, *data: bytes, method: str = "POST", timeout_s: float = 2.0) -> Answer:
    """Sends the pieces, reads one answer, and looks whether the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in data:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(timeout_s):
            return await hear(reader, method=method)
    finally:
        writer.close()


async def hear(reader: asyncio.StreamReader, *, method: str = "POST", more: bool = False) -> Answer:
    """Reads one answer; with `more` it does not look whether the connection ends behind it."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return Answer(closed=True)
    lines = head.decode("utf-8", "replace").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
    body = b""
    if method != "HEAD" and "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    elif method != "HEAD" and headers.get("transfer-encoding") == "chunked":
        body, broken = await _chunked(reader)
        if broken:
            return Answer(int(lines[0].split(" ")[1]), head, body, True, headers)
    closed = not more and await _ends(reader)
    return Answer(int(lines[0].split(" ")[1]), head, body, closed, headers)


async def _chunked(reader: asyncio.StreamReader) -> tuple[bytes, bool]:
    """The body, and whether it breaks off."""
    body = b""
    try:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    except (asyncio.IncompleteReadError, ConnectionError):
        return body, True
    return body, False


async def _ends(reader: asyncio.StreamReader) -> bool:
    """Whether nothing but the end follows: a connection that stays open says nothing for a moment."""
    try:
        async with asyncio.timeout(0.05):
            return await reader.read(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


async def echo(incoming: Incoming, reply: Reply) -> None:
    """Answers with what it was asked."""
    body = await incoming.read()
    told = {"method": incoming.method, "path": incoming.path, "query": incoming.query, "bytes": len(body)}
    await reply.send(200, [("Content-Type", "application/json")], orjson.dumps(told))


def post(body: bytes, *headers: bytes, path: bytes = b"/v1/chat/completions") -> bytes:
    extra = b"".join(header + b"\r\n" for header in headers)
    return b"POST %b HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n%b" % (path, HOST, extra, len(body), body)


def get(path: bytes, *headers: bytes) -> bytes:
    extra = b"".join(header + b"\r\n" for header in headers)
    return b"GET %b HTTP/1.1\r\n%b%b\r\n" % (path, HOST, extra)


def chunked(*chunks: bytes, line: bytes = b"POST /v1/x HTTP/1.1\r\n") -> bytes:
    head = line + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
