"""One HTTP request as the server hands it on: what was sent, undecoded, and its body, bounded in size and time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from aiohttp import hdrs
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestPayloadError

from proxy.errors import BadRequest, SlowCaller, TooLarge, WeirError
from proxy.live import Limits
from proxy.ports import Headers
from proxy.server.screen import Opening, refusal

if TYPE_CHECKING:
    from proxy.server.connection import Connection

SLOWEST_BYTES_PER_S = 16 * 1024
"""A body may take `body_timeout_s`, and as much longer as it needs at this rate: uploads pass, drips do not."""


class Incoming:
    """Implements `ports.Incoming`, and what aiohttp's connection asks of a request (`_task`, `_cancel`, `_finish`)."""

    __slots__ = (
        "_continued", "_legible", "_limits", "_task", "broken", "closing", "connection", "headers", "length", "message",
        "method", "path", "payload", "query", "remote", "websocket",
    )  # fmt: skip

    def __init__(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        connection: Connection,
        limits: Callable[[], Limits],
        task: asyncio.Task[None] | None = None,
    ) -> None:
        self.message = message
        self.payload = payload
        self.connection = connection
        self._limits = limits
        self._task = task
        self._continued = False
        self.method: str = message.method
        target: str = message.path
        self.path, _, self.query = target.partition("?")
        self._legible = True
        try:
            self.headers: Headers = [(name.decode(), value.decode()) for name, value in message.raw_headers]
        except UnicodeDecodeError:
            self._legible = False
            self.headers = []
        self.remote = connection.remote
        length = message.headers.get(hdrs.CONTENT_LENGTH)
        self.length: int | None = int(length) if length is not None else None if message.chunked else 0
        self.websocket: bool = message.upgrade and (message.headers.get(hdrs.UPGRADE) or "").lower() == "websocket"
        self.closing: bool = message.should_close
        """The connection ends with this answer."""
        self.broken = False
        """What follows on the connection cannot be read as HTTP."""

    def refusal(self) -> WeirError | None:
        """Why the server itself does not serve this request, or None."""
        if not self._legible:
            return BadRequest("a header value is not valid UTF-8", code="bad_header")
        message = self.message
        headers = message.headers
        return refusal(
            Opening(
                message.version,
                self.method,
                message.path,
                headers.get(hdrs.TRANSFER_ENCODING),
                headers.get(hdrs.EXPECT),
                headers.get(hdrs.SEC_WEBSOCKET_KEY) if self.websocket else None,
                headers.get(hdrs.SEC_WEBSOCKET_VERSION) if self.websocket else None,
                self.websocket,
            )
        )

    async def read(self) -> bytes:
        """The whole body as sent (still content-coded). Raises TooLarge, SlowCaller, BadRequest (broken framing)."""
        limits = self._limits()
        limit = limits.body_bytes
        self._check_length(limit)
        payload = self.payload
        if payload.is_eof() and payload.exception() is None:  # the usual call: it came whole, nothing is waited for
            body = await payload.readany()
            if len(body) > limit:
                raise self._too_large(limit)
            return body
        return b"".join([piece async for piece in self._pieces(limit, limits.body_timeout_s)])

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes, with back-pressure: for uploads that are relayed unread."""
        limits = self._limits()
        self._check_length(limits.relay_bytes)
        async for piece in self._pieces(limits.relay_bytes, limits.body_timeout_s):
            yield piece

    async def _pieces(self, limit: int, timeout_s: float) -> AsyncIterator[bytes]:
        """Only the time spent waiting for the caller counts, not that of whoever takes the pieces."""
        self._continue()
        clock = asyncio.get_running_loop().time
        received = 0
        waited_s = 0.0
        while True:
            began = clock()
            piece = await self._piece(timeout_s + received / SLOWEST_BYTES_PER_S - waited_s)
            if not piece:
                return
            waited_s += clock() - began
            received += len(piece)
            if received > limit:
                raise self._too_large(limit)
            yield piece

    async def _piece(self, timeout_s: float) -> bytes:
        try:
            async with asyncio.timeout(timeout_s):
                return await self.payload.readany()
        except TimeoutError:
            self.closing = True
            raise SlowCaller("the body did not arrive in time") from None
        except RequestPayloadError:
            self.closing = self.broken = True
            raise BadRequest("the body's framing is broken", code="bad_framing") from None

    def _check_length(self, limit: int) -> None:
        if self.length is not None and self.length > limit:
            raise self._too_large(limit)

    def _too_large(self, limit: int) -> TooLarge:
        self.closing = True
        return TooLarge(f"the body is larger than {limit} bytes")

    def _continue(self) -> None:
        """Callers that asked first (`Expect: 100-continue`) are told once that the body is wanted."""
        if self._continued or self.payload.is_eof() or self.message.headers.get(hdrs.EXPECT) is None:
            return
        self._continued = True
        transport = self.connection.transport
        if transport is not None and (self.message.version.major, self.message.version.minor) == (1, 1):
            transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _cancel(self, error: BaseException) -> None:
        """Called by aiohttp when the caller has gone."""
        self.payload.set_exception(error)

    def _finish(self) -> None:
        """Called by aiohttp when the answer is out."""
