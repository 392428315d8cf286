"""An answer on its way in: its headers, what has come of its body, and whoever waits for more of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from proxy.ports import Headers
from proxy.upstream import failure
from proxy.upstream.link import header_of
from proxy.upstream.shape import Shape

if TYPE_CHECKING:
    from proxy.upstream.connection import Connection

Sink = Callable[[bytes], bool]
"""Takes a piece of a body, and says whether it wants the next."""
Straight = Callable[[bytes, float], bool]
"""As `Sink`, told when the piece came."""
GATHERED_BYTES = 1024 * 1024
"""Who reads a body whole is woken when so much has come, or all of it."""


class Arrival:
    """`upstream.link.Answering`. Bound to its connection until the last byte has come, which may be long before it is
    read: then the connection serves the next call, and what is left of the body is here."""

    __slots__ = (
        "_connection",
        "_headers",
        "_rest",
        "_values",
        "error",
        "length",
        "over",
        "reused",
        "shape",
        "stale",
        "status",
        "straight",
    )

    def __init__(self, connection: Connection, *, reused: bool) -> None:
        self.status = 0
        """0 until the headers have come."""
        self._headers: Headers | None = None
        self._values: list[bytes] = []
        self.shape: Shape | None = None
        """Of the headers, where their like has come before."""
        self.reused = reused
        self.straight: Straight | None = None
        """Set by who gave a sink: takes in its place what comes from here on."""
        self.length: int | None = None
        """Of the body, where the headers tell it."""
        self.over = False
        """All of it has come, read or not."""
        self.error: Exception | None = None
        """Why no more will come, and what came is not the whole."""
        self.stale = False
        """The call met a connection that had died meanwhile."""
        self._connection: Connection | None = connection
        self._rest = b""

    @property
    def headers(self) -> Headers:
        if self._headers is None:
            self._headers = self.shape.headers(self._values) if self.shape is not None else []
        return self._headers

    def opened(self, status: int, headers: Headers) -> None:
        """The headers have come."""
        self.status, self._headers = status, headers

    def opened_as(self, status: int, shape: Shape, values: list[bytes]) -> None:
        """The headers have come, and are like those of an answer before."""
        self.status, self.shape, self._values = status, shape, values

    def let_headers_go(self) -> None:
        """Nobody reads them any more."""
        self._headers, self._values, self.shape = [], [], None

    def header(self, name: str) -> str | None:
        if self.shape is None:
            return header_of(self.headers, name)
        at = self.shape.at.get(name)
        return None if at is None else self._values[at].decode("latin-1").rstrip()

    def lines(self, changed: bool) -> bytes | None:
        return None if self.shape is None else self.shape.lines(self._values, changed)

    @property
    def held_bytes(self) -> int:
        """Of the body, come and not yet taken."""
        return len(self._rest) if self._connection is None else self._connection.held_bytes

    @property
    def whole(self) -> bool:
        """All of it has come, and lies here."""
        return self._connection is None and self.error is None

    @property
    def rest(self) -> bytes:
        """Of the body, what has come and was not taken when the last of it came. It stays."""
        return self._rest

    @property
    def broken(self) -> Exception | None:
        """The error, where nothing that could be read comes before it."""
        return self.error if not (self.status and self._rest) else None

    def settle(self, rest: bytes, error: Exception | None) -> None:
        """No more will come; the connection is not this answer's any longer."""
        self._connection, self._rest, self.error, self.straight = None, rest, error, None
        self.over = error is None

    async def read(self, limit: int) -> bytes:
        if self._connection is None and self.error is None and len(self._rest) <= limit:
            body, self._rest = self._rest, b""
            return body
        return await self._gather(limit)

    async def chunks(self) -> AsyncIterator[bytes]:
        while (connection := self._connection) is not None:
            if connection.pieces:
                yield connection.take()
                continue
            try:
                await connection.wait(1)
            except asyncio.CancelledError:
                self.close()
                raise
        if self._rest:
            rest, self._rest = self._rest, b""
            yield rest
        if self.error is not None:
            raise self.error

    async def pour(self, sink: Sink) -> bool:
        """Gives `sink` what has come of the body and what comes, from where it comes and without a step in between.
        False: the sink said so, it wants no more for now. True: that was all. Raises as `chunks` does, and what the
        sink raises."""
        while (connection := self._connection) is not None:
            if connection.pieces:
                if not sink(connection.take()):
                    return False
                continue
            try:
                if not await connection.pour(sink):
                    return False
            except asyncio.CancelledError:
                self.close()
                raise
        if self._rest:
            rest, self._rest = self._rest, b""
            if not sink(rest):
                return False
        if self.error is not None:
            raise self.error
        return True

    def close(self) -> None:
        if self._connection is not None:
            self._connection.fail(failure.cut())

    async def _gather(self, limit: int) -> bytes:
        """The whole body, where it has not come yet, or too much of it."""
        parts: list[bytes] = []
        size = self.length or 0
        if size <= limit:
            size = 0
            while (connection := self._connection) is not None and size <= limit:
                try:
                    await connection.wait(min(GATHERED_BYTES, limit - size + 1))
                except asyncio.CancelledError:
                    self.close()
                    raise
                if self._connection is not None:
                    parts.append(connection.take())
                    size += len(parts[-1])
            parts.append(self._rest)
            size += len(self._rest)
            self._rest = b""
        if size > limit:
            self.close()
            raise failure.too_large()
        if self.error is not None:
            raise self.error
        return parts[0] if len(parts) == 1 else b"".join(parts)
