"""An answer that the pool has looked into, or put a header on: whoever reads it gets it whole."""

from __future__ import annotations

from collections.abc import AsyncIterator

from proxy.errors import ProtocolViolation
from proxy.ports import Headers
from proxy.upstream.link import Answering, header_of


class Opened:
    """Wraps an `Answering`. What `peek` read comes first again in `read` and `chunks`."""

    __slots__ = ("_answering", "_headers", "_pieces", "_read", "_rest", "reused", "status")

    def __init__(self, answering: Answering, headers: Headers | None = None) -> None:
        self.status = answering.status
        self._headers = headers
        self.reused = answering.reused
        self._answering = answering
        self._rest: AsyncIterator[bytes] | None = None
        self._pieces: list[bytes] = []
        self._read = 0

    @property
    def headers(self) -> Headers:
        return self._answering.headers if self._headers is None else self._headers

    def header(self, name: str) -> str | None:
        return header_of(self.headers, name)

    def lines(self, changed: bool) -> bytes | None:
        return self._answering.lines(changed) if self._headers is None else None

    async def peek(self, limit: int) -> bytes:
        """The body's beginning: all of it, or a little more than `limit` bytes. Raises as `chunks` does."""
        self._rest = self._answering.chunks()
        async for piece in self._rest:
            self._pieces.append(piece)
            self._read += len(piece)
            if self._read > limit:
                break
        return b"".join(self._pieces)

    async def read(self, limit: int) -> bytes:
        if self._rest is None:
            return await self._answering.read(limit)
        parts: list[bytes] = []
        size = 0
        async for piece in self.chunks():
            parts.append(piece)
            size += len(piece)
            if size > limit:
                self.close()
                raise ProtocolViolation("The provider's answer is too large.", code="upstream_answer_too_large")
        return b"".join(parts)

    async def chunks(self) -> AsyncIterator[bytes]:
        pieces, self._pieces = self._pieces, []
        for piece in pieces:
            yield piece
        async for piece in self._rest if self._rest is not None else self._answering.chunks():
            yield piece

    def close(self) -> None:
        self._answering.close()
