"""One connection: aiohttp's HTTP protocol with a closer look at framing, JSON errors, and a time for the head."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError, LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler, RequestPayloadError
from aiohttp.web_request import BaseRequest

from proxy.errors import BadRequest, SlowCaller, WeirError
from proxy.live import Limits
from proxy.server.incoming import Incoming
from proxy.server.reply import Reply, fault

log = logging.getLogger("weir.server")

HEADERS_MOST = 128
FRAMING_BYTES = 16 * 1024
"""What chunk sizes and extensions may cost beyond sixteen bytes for each byte of body."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that a connection may take, each with its own end."""

    header_s: float = 30.0
    """From a request's first byte to the end of its headers; then 408."""
    keepalive_s: float = 75.0
    """Without a request."""
    lingering_s: float = 5.0
    """For the rest of a body that nobody wants, so that the answer is not lost to a reset."""
    stall_s: float = 300.0
    """For a caller that does not read its answer."""


class Server(web.Server):
    """aiohttp's low-level server, making connections and requests of our own."""

    def __init__(
        self,
        serve: Callable[[Incoming], Awaitable[Reply]],
        limits: Callable[[], Limits],
        patience: Patience,
    ) -> None:
        super().__init__(cast(Any, serve), request_factory=cast(Any, self._incoming), handler_cancellation=True)
        self.limits = limits
        self.patience = patience
        self.draining = False

    def __call__(self) -> Connection:
        return Connection(self, self._loop)

    def _incoming(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        connection: Connection,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> Incoming:
        return Incoming(message, payload, connection, self.limits, task)


class Connection(RequestHandler):
    """Where the parser's findings and the handler's answer meet the socket."""

    __slots__ = ("_head_timer", "_server")

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        patience = server.patience
        most = server.limits().header_bytes
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=patience.keepalive_s,
            access_log=cast(Any, None),
            logger=log,
            max_line_size=most,
            max_field_size=most,
            max_headers=HEADERS_MOST,
            lingering_time=patience.lingering_s,
            auto_decompress=False,
        )
        self._server = server
        self._head_timer: asyncio.TimerHandle | None = None
        self._parser = cast(Any, Framing(self._parser, self, most))

    @property
    def draining(self) -> bool:
        return self._server.draining

    @property
    def remote(self) -> str:
        """The caller's address, or nothing where it has none."""
        peer = self.peername
        return peer[0] if isinstance(peer, tuple) else ""

    @property
    def idle(self) -> bool:
        """It waits for a request."""
        return not self._request_in_progress and not self._messages

    @property
    def reading_held(self) -> bool:
        """The parser was told to wait, and may hold bytes that it has not looked at."""
        return self._reading_paused or self._buffer_paused

    async def linger(self) -> None:
        """Lets a caller that still sends read its answer: a close now would be a reset, and the answer lost in it.
        What comes is thrown away. Ends by cancellation when the caller hangs up."""
        self.close()
        transport = self.transport
        if transport is None:
            return
        with suppress(OSError, RuntimeError):
            if transport.can_write_eof():
                transport.write_eof()
            transport.resume_reading()
        await asyncio.sleep(self._server.patience.lingering_s)

    async def drained(self) -> None:
        await self._drain_helper()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        waiter = self._waiter
        if waiter is None or waiter.done():
            self._stop_head_timer()
        elif data and self._head_timer is None:
            self._head_timer = self._loop.call_later(self._server.patience.header_s, self._head_late)
            if self._keepalive_handle is not None:  # not idle any more: from here the head's own time counts
                self._keepalive_handle.cancel()
                self._keepalive_handle = None

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_head_timer()
        super().connection_lost(exc)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_late(self) -> None:
        self._head_timer = None
        if self.transport is None or self._messages or self._request_in_progress:
            return
        body, _ = fault(SlowCaller("the request's headers did not arrive in time"), "")
        self.transport.write(
            b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\n"
            b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body)
        )
        self.force_close()

    def handle_error(  # type: ignore[override]  # a Reply answers all that aiohttp asks of a response
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> Reply:
        """What aiohttp would answer in plain text, quoting what it read: as JSON, quoting nothing."""
        incoming = cast(Incoming, request)
        incoming.closing = incoming.broken = True
        reply = Reply(incoming, self._server.patience.stall_s)
        if status == 400:
            log.debug("a request could not be parsed: %s", type(exc).__name__)
            refusal = unparsable(exc)
        else:
            log.error("a request failed in the server: %s", type(exc).__name__)
            refusal = WeirError("Weir failed on this call; its log says why")
        with suppress(ConnectionError):  # the caller may have gone by now
            reply.fail(refusal)
        return reply

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """aiohttp's tracebacks quote headers and bodies; the kind of the error must do."""
        error = kw.get("exc_info")
        if isinstance(error, RequestPayloadError):  # the handler has met it already and answered
            return
        log.error("a connection failed: %s", type(error).__name__ if error is not None else "unknown")


def unparsable(error: BaseException | None) -> WeirError:
    """The answer to what the HTTP parser could not read. It never quotes the bytes: they may hold a key."""
    if isinstance(error, LineTooLong) or (error is not None and "Too many headers" in str(error)):
        refusal = BadRequest("the request's line or headers are too large or too many", code="headers_too_large")
        refusal.status = 431
        return refusal
    return BadRequest("this is not a well-formed HTTP/1.1 request", code="malformed_request")


class Framing:
    """Stands before aiohttp's parser: bounds the head as a whole and what chunk framing costs, and tells a handler that
    reads a body when its framing breaks (aiohttp itself leaves that handler waiting)."""

    __slots__ = ("_body", "_connection", "_framing_bytes", "_head_bytes", "_head_most", "_parser", "_seen_bytes")

    def __init__(self, parser: Any, connection: Connection, head_most: int) -> None:
        self._parser = parser
        self._connection = connection
        self._head_most = head_most
        self._head_bytes = 0
        self._body: StreamReader | None = None
        """The body that is still arriving."""
        self._seen_bytes = 0
        """Of that body so far."""
        self._framing_bytes = -1
        """Read for a chunked body without being part of it; -1 where the body is not chunked."""

    def feed_data(self, data: bytes) -> tuple[Sequence[tuple[Any, StreamReader]], bool, bytes]:
        try:
            messages, upgraded, tail = self._parser.feed_data(data)
            if messages:
                self._opened(messages, len(data))
            elif self._body is not None:
                self._grown(len(data))
            elif data:
                self._head_bytes += len(data)
                if self._head_bytes > self._head_most:
                    raise LineTooLong(b"", self._head_most)
        except HttpProcessingError:
            self._break()
            raise
        except Exception as error:  # the parser's URL library raises ValueErrors of its own; all mean: not HTTP
            self._break()
            raise BadHttpMessage("unparsable") from error
        return messages, upgraded, tail

    def _opened(self, messages: Sequence[tuple[Any, StreamReader]], size: int) -> None:
        if self._head_bytes + size > self._head_most:
            for message, _ in messages:
                if _head_size(message) > self._head_most:
                    raise LineTooLong(b"", self._head_most)
        self._head_bytes = 0
        if any(message.chunked for message, _ in messages):
            bodies = sum(payload.total_bytes for _, payload in messages) + self._growth()
            self._framing_bytes = size - bodies - sum(_head_size(message) for message, _ in messages)
            self._body = messages[-1][1]
            self._check_framing(bodies)
        message, payload = messages[-1]
        if not message.chunked:
            self._framing_bytes = -1
        self._body = None if payload.is_eof() else payload
        self._seen_bytes = payload.total_bytes

    def _grown(self, size: int) -> None:
        body = self._body
        assert body is not None
        growth = self._growth()
        self._seen_bytes += growth
        if self._framing_bytes >= 0:
            self._framing_bytes += size - growth
            self._check_framing(self._seen_bytes)
        if body.is_eof():
            self._body = None

    def _growth(self) -> int:
        """Bytes of the body under way that this read brought."""
        return 0 if self._body is None else self._body.total_bytes - self._seen_bytes

    def _check_framing(self, body_bytes: int) -> None:
        """Bytes that a paused parser has not seen yet would count as framing: then the next read judges."""
        if self._framing_bytes > FRAMING_BYTES + 16 * body_bytes and not self._connection.reading_held:
            raise BadHttpMessage("chunk framing too large")

    def _break(self) -> None:
        if self._body is not None:
            self._body.set_exception(RequestPayloadError("broken framing"))
            self._body = None

    def feed_eof(self) -> Any:
        return self._parser.feed_eof()

    def message_consumed(self) -> None:
        self._parser.message_consumed()

    def pause_reading(self) -> None:
        self._parser.pause_reading()

    def set_upgraded(self, value: bool) -> None:
        self._parser.set_upgraded(value)


def _head_size(message: Any) -> int:
    return len(message.path) + sum(len(name) + len(value) + 4 for name, value in message.raw_headers)
