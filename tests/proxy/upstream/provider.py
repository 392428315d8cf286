"""What the tests of the upstream room say of a provider: its address, its connections, and what is sent to it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from proxy.live import Timeouts, Upstream
from proxy.upstream.link import Outgoing

Handler = Callable[["Seen", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Seen:
    """One connection as the provider saw it."""

    requests: list[bytes] = field(default_factory=list)
    """Request lines with headers."""
    bodies: list[bytes] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """The client closed its side, or cut the connection."""

    async def request(self, reader: asyncio.StreamReader) -> bool:
        """Reads one request whole; False where the connection ended instead."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            self.ended.set()
            return False
        self.requests.append(head)
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if lengths:
            self.bodies.append(await reader.readexactly(int(lengths[0].split(b":")[1])))
        return True

    async def until_end(self, reader: asyncio.StreamReader) -> None:
        try:
            while await reader.read(65536):
                pass
        except ConnectionError:
            pass
        self.ended.set()


@dataclass
class Provider:
    """A listening server and what came to it."""

    url: str
    connections: list[Seen]

    def upstream(self, name: str = "there", *, timeouts: Timeouts | None = None) -> Upstream:
        return Upstream(name, self.url, timeouts=timeouts or Timeouts(connect_s=5, first_byte_s=5, idle_s=5))


class Serve(Protocol):
    async def __call__(self, answer: bytes | Handler, context: ssl.SSLContext | None = None) -> Provider: ...


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def post(body: bytes = b"{}", target: str = "/v1/chat/completions", **headers: str) -> Outgoing:
    sent = [("Authorization", "Bearer sk-canary"), ("X-Case", "Kept"), *headers.items()]
    return Outgoing("POST", target, [*sent, ("content-length", str(len(body)))], body)


def get(target: str = "/v1/models") -> Outgoing:
    return Outgoing("GET", target, [], b"")


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
