"""The way back to the caller: status, header pairs in their order and case, body, written straight to the socket.

idle -> start -> write* -> end        a stream: chunked, as long as its Content-Length says, or until the close (1.0)
idle -> send                          everything at once, in one write
any  -> abort                         cut, so that the caller cannot take what came for the whole

aiohttp's own response objects are left out: they reorder headers, add a banner, and cost more than all the rest.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from proxy.errors import WeirError
from proxy.ports import Headers
from proxy.server.incoming import Incoming
from proxy.wire import faults

COPY_BYTES = 64 * 1024
"""Up to here head and body are joined into one write; a larger body is not copied once more."""
OWNED = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive"})
"""Framing is the reply's own affair; of these only Content-Length is read from the headers given."""
MESSAGES: Final = ("/v1/messages", "/v1/messages/count_tokens")
JSON: Final[Headers] = [("content-type", "application/json")]
_PHRASES: Final[Mapping[int, str]] = MappingProxyType({status.value: status.phrase for status in HTTPStatus})


class Reply:
    """Implements `ports.Reply`, and what aiohttp asks of a response (`prepare`, `write_eof`, `keep_alive`)."""

    __slots__ = ("_chunked", "_incoming", "_left", "_mute", "_stall_s", "bytes_out", "ended", "started", "status")

    def __init__(self, incoming: Incoming, stall_s: float) -> None:
        self._incoming = incoming
        self._stall_s = stall_s
        self._chunked = False
        self._left: int | None = None
        """Bytes still owed under a Content-Length that was declared at the start."""
        self._mute = False
        """No body may follow: HEAD, 204, 304."""
        self.started = False
        self.ended = False
        self.status = 0
        self.bytes_out = 0

    async def start(self, status: int, headers: Headers) -> None:
        """Status and headers. Raises RuntimeError if the reply has started, ConnectionError if the caller left."""
        declared = next((int(value) for name, value in headers if name.lower() == "content-length"), None)
        head = self._head(status, headers, declared)
        self._left = None if self._mute else declared
        self._put(head)
        await self.drain()

    async def write(self, data: bytes) -> None:
        """One piece of the body, one write. Waits while the caller reads too slowly."""
        if not self.started or self.ended:
            raise RuntimeError("this reply is not open for writing")
        if not data or self._mute:
            return
        if self._left is not None:
            if len(data) > self._left:
                self.abort()
                raise RuntimeError("the body is longer than its Content-Length")
            self._left -= len(data)
        self.bytes_out += len(data)
        self._put(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        await self.drain()

    async def end(self) -> None:
        """The proper end. A body shorter than its Content-Length cuts the connection instead."""
        if not self.started:
            raise RuntimeError("this reply has not started")
        if self.ended:
            return
        if self._left:
            self.abort()
            return
        self.ended = True
        if self._chunked:
            self._put(b"0\r\n\r\n")
            await self.drain()

    async def send(self, status: int, headers: Headers, body: bytes) -> None:
        """Everything at once."""
        self.put(status, headers, body)
        await self.drain()

    def put(self, status: int, headers: Headers, body: bytes) -> None:
        """`send` for those who cannot wait: what the socket does not take stays in its buffer."""
        length = len(body)
        if not body and self._incoming.method == "HEAD":
            length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        head = self._head(status, headers, length)
        self.ended = True
        if self._mute or not body:
            self._put(head)
            return
        self.bytes_out += len(body)
        if len(body) <= COPY_BYTES:
            self._put(head + body)
        else:
            self._put(head, body)

    def fail(self, error: WeirError) -> None:
        """The error as JSON, for what never reaches the pipeline."""
        body, headers = fault(error, self._incoming.path)
        self.put(error.status, headers, body)

    def abort(self) -> None:
        """Cuts the connection, so that the caller cannot take what came for the whole."""
        self.ended = True
        self._incoming.closing = True
        connection = self._incoming.connection
        transport = connection.transport
        if transport is None:
            return
        until_close = self.started and not self._chunked and self._left is None and not self._mute
        if until_close:
            # The close is what ends such a body: only a reset tells the caller that this was not the end.
            raw = transport.get_extra_info("socket")
            if raw is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if until_close or connection.writing_paused:
            transport.abort()
        connection.force_close()  # what was written still goes out, without the last chunk

    async def drain(self) -> None:
        """Waits until the socket's buffer is below its mark; a caller who takes nothing for `stall_s` is cut off."""
        if not self._incoming.connection.writing_paused:
            return
        try:
            async with asyncio.timeout(self._stall_s):
                await self._incoming.connection.drained()
        except TimeoutError:
            self.abort()
            raise ConnectionAbortedError("the caller stopped reading") from None

    def taken(self) -> None:
        """The connection now speaks something else (a websocket) and ends with it."""
        self.started = self.ended = True
        self.status = 101
        self._incoming.closing = True

    def _head(self, status: int, headers: Headers, length: int | None) -> bytes:
        if self.started or self.ended:
            raise RuntimeError("this reply has started already")
        incoming = self._incoming
        bodiless = status in (204, 304) or status < 200
        self._mute = bodiless or incoming.method == "HEAD"
        version = incoming.message.version
        modern = version.minor == 1 or version.major != 1
        lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, 'Status')}"]
        lines += [f"{name}: {value}" for name, value in headers if name.lower() not in OWNED]
        if length is not None and not bodiless:
            lines.append(f"Content-Length: {length}")
        elif length is None and not bodiless and modern:
            lines.append("Transfer-Encoding: chunked")
            self._chunked = not self._mute
        elif length is None and not self._mute:
            incoming.closing = True
        if incoming.connection.draining:
            incoming.closing = True
        if incoming.closing:
            lines.append("Connection: close")
        elif not modern:
            lines.append("Connection: keep-alive")
        head = "\r\n".join(lines)
        if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1 or "\0" in head:
            raise ValueError("a header of this answer holds a line break or a NUL")
        self.started = True
        self.status = status
        return head.encode("utf-8", "surrogateescape") + b"\r\n\r\n"

    def _put(self, *data: bytes) -> None:
        transport = self._incoming.connection.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the caller has gone")
        if len(data) == 1:
            transport.write(data[0])
        else:
            transport.writelines(data)

    @property
    def keep_alive(self) -> bool:
        return not self._incoming.closing

    async def prepare(self, request: object) -> None:
        """For aiohttp: everything has been sent already."""

    async def write_eof(self) -> None:
        """For aiohttp: everything has been sent already."""
        if self._incoming.broken:
            await self._incoming.connection.linger()


def fault(error: WeirError, path: str) -> tuple[bytes, Headers]:
    """An error of the server's own, in OpenAI's shape; in Anthropic's where the path says so."""
    return faults.body(error, "messages" if path.endswith(MESSAGES) else "chat")
