"""The way back to the caller: status, header pairs in their order and case, body, written straight to the socket.

idle -> start -> write* -> end        a stream: chunked, as long as its Content-Length says, or until the close (1.0)
idle -> send                          everything at once, in one write
any  -> abort                         cut, so that the caller cannot take what came for the whole

The head of a stream waits for its first piece, to the end of this turn of the event loop: most often both go out in one
write.
"""

from __future__ import annotations

import socket
import struct
from asyncio import AbstractEventLoop, Transport
from collections.abc import Coroutine, Mapping
from functools import lru_cache
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final, Protocol

from proxy.errors import WeirError
from proxy.ports import Headers
from proxy.server.incoming import Incoming
from proxy.wire import faults

COPY_BYTES = 64 * 1024
"""Up to here head and body are joined into one write; a larger body is not copied once more."""
CORKED_BYTES = 16 * 1024
"""A piece up to here may go out with those of other calls. A larger one tells at once whether its caller keeps up."""
OWNED = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive"})
"""Framing is the reply's own affair; of these only Content-Length is read from the headers given."""
MESSAGES: Final = ("/v1/messages", "/v1/messages/count_tokens")
JSON: Final[Headers] = [("content-type", "application/json")]
_LINES: Final[Mapping[int, str]] = MappingProxyType(
    {status.value: f"HTTP/1.1 {status.value} {status.phrase}" for status in HTTPStatus}
)


class Line(Protocol):
    """What a reply asks of its connection."""

    transport: Transport | None
    loop: AbstractEventLoop
    paused: bool

    @property
    def draining(self) -> bool: ...

    def write(self, data: bytes, more: bytes = b"") -> None: ...

    def answer(self, data: bytes) -> None:
        """As `write`, but it may go out with those of others, at the end of this turn of the event loop."""
        ...

    async def drained(self) -> None:
        """Waits until the socket's buffer is below its mark; a caller who takes nothing for too long is cut off."""
        ...

    def cut(self) -> None:
        """Closes behind what was written."""
        ...

    def over(self) -> None: ...
    def go_on(self, rest: Coroutine[Any, Any, None], reply: Reply) -> None: ...


class Reply:
    """Implements `ports.Reply`."""

    __slots__ = ("_chunked", "_head", "_incoming", "_left", "_line", "_mute", "bytes_out", "ended", "started", "status")

    def __init__(self, incoming: Incoming, line: Line) -> None:
        self._incoming = incoming
        self._line = line
        self._head = b""
        """Of a stream, as long as it waits for its first piece."""
        self._chunked = False
        self._left: int | None = None
        """Bytes still owed under a Content-Length that was declared at the start."""
        self._mute = False
        """No body may follow: HEAD, 204, 304."""
        self.started = False
        self.ended = False
        self.status = 0
        self.bytes_out = 0

    async def start(self, status: int, headers: Headers, lines: bytes = b"") -> None:
        """Status and headers; `lines` are further ones as they stand in a head, without framing. Raises RuntimeError if
        the reply has started, ConnectionError if the caller left."""
        line = self._line
        declared = next((int(value) for name, value in headers if name.lower() == "content-length"), None)
        head = self._opening(status, headers, declared, lines)
        self._left = None if self._mute else declared
        line.write(b"")
        self._head = head
        line.loop.call_soon(self._flush)
        if line.paused:
            await line.drained()

    async def write(self, data: bytes) -> None:
        """One piece of the body, one write. Waits while the caller reads too slowly."""
        if not self.push(data):
            await self._line.drained()

    async def ready(self) -> None:
        """Waits while the caller reads too slowly."""
        if self._line.paused:
            await self._line.drained()

    def push(self, data: bytes) -> bool:
        """`write` for those who cannot wait. False: nothing more before `ready`."""
        if not self.started or self.ended:
            raise RuntimeError("this reply is not open for writing")
        if not data or self._mute:
            return True
        size = len(data)
        if self._chunked:
            data = b"%b%x\r\n%b\r\n" % (self._head, size, data)
        else:
            if self._left is not None:
                if size > self._left:
                    self.abort()
                    raise RuntimeError("the body is longer than its Content-Length")
                self._left -= size
            data = self._head + data
        self.bytes_out += size
        self._head = b""
        line = self._line
        if size > CORKED_BYTES:
            line.write(data)
        else:
            line.answer(data)
        return not line.paused

    async def end(self, last: bytes = b"") -> None:
        """The proper end, in one write with a last piece of the body. A body shorter than its Content-Length cuts the
        connection instead."""
        if last and self._chunked and not self.ended:
            self.bytes_out += len(last)
            self._head = b"%b%x\r\n%b\r\n" % (self._head, len(last), last)
        elif last:
            self.push(last)
        if not self.started:
            raise RuntimeError("this reply has not started")
        if self.ended:
            return
        if self._left:
            self.abort()
            return
        self.ended = True
        last, self._head = self._head + (b"0\r\n\r\n" if self._chunked else b""), b""
        if last:
            self._line.write(last)
            if self._line.paused:
                await self._line.drained()

    async def send(self, status: int, headers: Headers, body: bytes, lines: bytes = b"") -> None:
        """Everything at once. `lines` are further headers as they stand in a head, without framing."""
        self.put(status, headers, body, lines)
        if self._line.paused:
            await self._line.drained()

    def put(self, status: int, headers: Headers, body: bytes, lines: bytes = b"") -> None:
        """`send` for those who cannot wait: what the socket does not take stays in its buffer."""
        length = len(body)
        incoming = self._incoming
        kept = incoming.modern and not (incoming.closing or self.started or self._line.draining)
        if lines and kept and not headers and 0 < length <= COPY_BYTES and incoming.method != "HEAD":
            self.started = self.ended = True
            self.status = status
            self.bytes_out = length
            self._line.answer(b"%b%bContent-Length: %d\r\n\r\n%b" % (_begun_with(status), lines, length, body))
            return
        if not body and self._incoming.method == "HEAD":
            length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        head = self._opening(status, headers, length, lines)
        self.ended = True
        if self._mute or not body:
            self._line.write(head)
            return
        self.bytes_out += len(body)
        if len(body) <= COPY_BYTES:
            self._line.write(head + body)
        else:
            self._line.write(head, body)

    def fail(self, error: WeirError) -> None:
        """The error as JSON, for what never reaches the pipeline."""
        body, headers = fault(error, self._incoming.path)
        self.put(error.status, headers, body)

    def abort(self) -> None:
        """Cuts the connection, so that the caller cannot take what came for the whole. What was written still goes out,
        unless the caller does not read."""
        self._flush()
        self.ended = True
        self._incoming.closing = True
        line, transport = self._line, self._line.transport
        if transport is None or transport.is_closing():
            return
        until_close = self.started and not self._chunked and self._left is None and not self._mute
        if until_close:
            # The close is what ends such a body: only a reset tells the caller that this was not the end.
            raw = transport.get_extra_info("socket")
            if raw is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if until_close or line.paused:
            transport.abort()
        else:
            line.cut()

    def over(self) -> None:
        """Of a call that no task serves: its answer is out."""
        self._line.over()

    def go_on(self, rest: Coroutine[Any, Any, None]) -> None:
        """Of a call that no task served: from here on one does."""
        self._line.go_on(rest, self)

    def taken(self) -> None:
        """The connection now speaks something else (a websocket) and ends with it."""
        self.started = self.ended = True
        self.status = 101
        self._incoming.closing = True

    def _flush(self) -> None:
        head, self._head = self._head, b""
        transport = self._line.transport
        if head and transport is not None and not transport.is_closing():
            self._line.write(head)

    def _opening(self, status: int, headers: Headers, length: int | None, given: bytes = b"") -> bytes:
        if self.started or self.ended:
            raise RuntimeError("this reply has started already")
        incoming = self._incoming
        bodiless = status in (204, 304) or status < 200
        self._mute = bodiless or incoming.method == "HEAD"
        lines = [_LINES.get(status) or f"HTTP/1.1 {status} Status"]
        lines += [f"{begun}{value}" for name, value in headers if (begun := _begun(name))]
        if length is not None and not bodiless:
            lines.append(f"Content-Length: {length}")
        elif length is None and not bodiless and incoming.modern:
            lines.append("Transfer-Encoding: chunked")
            self._chunked = not self._mute
        elif length is None and not self._mute:
            incoming.closing = True
        if self._line.draining:
            incoming.closing = True
        if incoming.closing:
            lines.append("Connection: close")
        elif not incoming.modern:
            lines.append("Connection: keep-alive")
        head = joined(lines, given)
        self.started = True
        self.status = status
        return head


@lru_cache(512)
def _begun_with(status: int) -> bytes:
    """The status line."""
    return f"{_LINES.get(status) or f'HTTP/1.1 {status} Status'}\r\n".encode()


@lru_cache(512)
def _begun(name: str) -> str:
    """A header's line up to its value; nothing for those that are the reply's own affair."""
    return "" if name.lower() in OWNED else f"{name}: "


def joined(lines: list[str], given: bytes = b"") -> bytes:
    """The head of an answer, `given` being whole lines of it. A line break or a NUL within a header would make another
    of it."""
    head = "\r\n".join(lines)
    breaks = len(lines) - 1
    if head.count("\n") != breaks or head.count("\r") != breaks or "\0" in head:
        raise ValueError("a header of this answer holds a line break or a NUL")
    return b"%b\r\n%b\r\n" % (head.encode("utf-8", "surrogateescape"), given)


def fault(error: WeirError, path: str) -> tuple[bytes, Headers]:
    """An error of the server's own, in OpenAI's shape; in Anthropic's where the path says so."""
    return faults.body(error, "messages" if path.endswith(MESSAGES) else "chat")


def refused(error: WeirError, path: str = "", *, silent: bool = False) -> bytes:
    """The last answer of a connection, whole, where there is no request to reply to. `silent`: without its body."""
    body, headers = fault(error, path)
    lines = [_LINES[error.status], *(f"{name}: {value}" for name, value in headers)]
    head = joined([*lines, f"Content-Length: {len(body)}", "Connection: close"])
    return head if silent else head + body
