"""One HTTP request as the server hands it on: what was sent, undecoded, and its body, bounded in size and time.

The connection puts the body in (`arrived`, `finished`, `broke`), the handler takes it out (`read`, `chunks`). A body
that is there already, the usual case, costs no future, no timer and no queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol

from proxy.errors import SlowCaller, TooLarge
from proxy.live import Limits
from proxy.ports import Headers
from proxy.server.heads import Head

SLOWEST_BYTES_PER_S = 16 * 1024
"""A body may take `body_timeout_s`, and as much longer as it needs at this rate: uploads pass, drips do not."""
UNTAKEN_BYTES = 256 * 1024
"""What may lie here before the caller is made to wait."""


class Line(Protocol):
    """What a request asks of its connection."""

    remote: str

    def limits(self) -> Limits: ...

    def read_on(self) -> None:
        """There is room again for what comes."""
        ...

    def write(self, data: bytes) -> None: ...


class Incoming:
    """Implements `ports.Incoming`."""

    __slots__ = (
        "_error", "_pieces", "_room", "_untaken", "_waited_s", "_waiter", "_wake_at", "closing", "complete",
        "connection", "expects", "found", "head", "headers", "length", "method", "modern", "path", "query", "received",
        "unwanted", "websocket",
    )  # fmt: skip

    def __init__(self, connection: Line, method: str, path: str, query: str, headers: Headers) -> None:
        self.connection = connection
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.head: Head | None = None
        self.found: tuple[Any, Any] | None = None
        self.length: int | None = 0
        """As declared; None for a chunked body."""
        self.websocket = False
        self.modern = True
        """HTTP/1.1, not 1.0."""
        self.expects = False
        """The caller waits to hear that the body is wanted."""
        self.closing = False
        """The connection ends with this answer."""
        self.complete = False
        self.unwanted = False
        """Nobody reads the body any more."""
        self.received = 0
        """Bytes of the body so far."""
        self._pieces: list[bytes] = []
        self._untaken = 0
        self._room = UNTAKEN_BYTES
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._wake_at = 0
        self._waited_s = 0.0

    @classmethod
    def again(cls, connection: Line, head: Head, length: int) -> Incoming:
        """A call whose head has come before."""
        made = cls(connection, head.method, head.path, head.query, [])
        made.length = length
        made.known_as(head)
        return made

    def known_as(self, head: Head) -> None:
        """Has this head: what is known of it is known of this call, and its texts are held once for all."""
        headers = self.headers = head.headers.copy()
        headers[head.length_at] = (headers[head.length_at][0], str(self.length))
        self.head = head

    @property
    def remote(self) -> str:
        """The caller's address, or nothing where it has none."""
        return self.connection.remote

    @property
    def certificate(self) -> tuple[str, ...]:
        """The names of the certificate that the caller has shown (`server.certified`)."""
        return getattr(self.connection, "certificate", ())

    # ---- put in by the connection -----------------------------------------------------------------------------------

    def arrived(self, data: bytes) -> None:
        if self.unwanted:
            return
        self._pieces.append(data)
        self._untaken += len(data)
        self.received += len(data)
        if self.received > self._wake_at:
            self._wake()

    def came(self, body: bytes) -> None:
        """The whole body, at once, before anybody waits for it."""
        self._pieces.append(body)
        self._untaken = self.received = len(body)
        self.complete = True

    def finished(self) -> None:
        self.complete = True
        self._wake()

    def broke(self, error: Exception) -> None:
        """No more of the body will come."""
        self._error = error
        self.closing = True
        self._wake()

    def drop(self) -> None:
        """What has come of the body and what still comes is thrown away."""
        self.unwanted = True
        self._pieces, self._untaken = [], 0

    @property
    def crowded(self) -> bool:
        """More has come than was made room for."""
        return self._untaken > self._room

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # ---- taken out at once ------------------------------------------------------------------------------------------

    def whole(self) -> bytes | None:
        """The body, where all of it has come. It stays."""
        pieces = self._pieces
        if not self.complete or self._error is not None:
            return None
        if len(pieces) > 1:
            pieces = self._pieces = [b"".join(pieces)]
        return pieces[0] if pieces else None

    def gather(self, most: int) -> bool:
        """Makes room for the whole body, while nobody waits for it. False where that is not for here: more than `most`,
        of no known length, not asked for yet, or broken."""
        if self.length is None or self.length > most or self.expects or self._error is not None or self.complete:
            return False
        self._room = self.length
        return True

    def taken(self) -> None:
        """What `whole` gave is not read again."""
        self._pieces, self._untaken = [], 0

    # ---- taken out by the handler -----------------------------------------------------------------------------------

    async def read(self) -> bytes:
        """The whole body as sent (still content-coded). Raises TooLarge, SlowCaller, BadRequest (broken framing)."""
        limits = self.connection.limits()
        limit = limits.body_bytes
        self._check_length(limit)
        if not self.complete or self._error is not None:
            await self._whole(limit, limits.body_timeout_s)
        return self._take(limit)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes, with back-pressure: for uploads that are relayed unread."""
        limits = self.connection.limits()
        limit = limits.relay_bytes
        self._check_length(limit)
        self._invite()
        while True:
            if self._untaken:
                yield self._take(limit)
            elif self.complete and self._error is None:
                return
            else:
                await self._wait(limits.body_timeout_s, past=self.received)

    async def _whole(self, limit: int, timeout_s: float) -> None:
        self._invite()
        self._room = limit
        self.connection.read_on()
        while self._error is not None or not (self.complete or self.received > limit):
            await self._wait(timeout_s, past=limit)

    def _take(self, limit: int) -> bytes:
        if self.received > limit:
            raise self._too_large(limit)
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces, self._untaken = [], 0
        self.connection.read_on()
        return data

    async def _wait(self, timeout_s: float, *, past: int) -> None:
        """Until more than `past` bytes have come, or the end, or for as long as patience lasts. Only this waiting
        counts, not what whoever takes the pieces does between."""
        if self._error is not None:
            raise self._error
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(self._left_s(timeout_s)):
                await self._woken(past)
        except TimeoutError:
            if self._left_s(timeout_s) <= clock() - began:
                self.closing = True
                raise SlowCaller("the body did not arrive in time") from None
        finally:
            self._waited_s += clock() - began
        if self._error is not None:
            raise self._error

    async def _woken(self, past: int) -> None:
        self._wake_at = past
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _left_s(self, timeout_s: float) -> float:
        return timeout_s + self.received / SLOWEST_BYTES_PER_S - self._waited_s

    def _check_length(self, limit: int) -> None:
        if self.length is not None and self.length > limit:
            raise self._too_large(limit)

    def _too_large(self, limit: int) -> TooLarge:
        self.closing = True
        return TooLarge(f"the body is larger than {limit} bytes")

    def _invite(self) -> None:
        """Callers that asked first (`Expect: 100-continue`) are told once that the body is wanted."""
        if self.expects and not self.complete and self.modern:
            self.expects = False
            self.connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
