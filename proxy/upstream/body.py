"""A call's body on its way to the provider: whole, in pieces, or as it comes from the caller."""

from __future__ import annotations

from collections.abc import AsyncIterator

from proxy.errors import BadRequest

PIECE_BYTES = 256 * 1024
WHOLE_BYTES = 1024 * 1024
"""Larger bodies are written piece by piece, so that one of them does not stop the loop."""


def dressed(body: bytes | AsyncIterator[bytes], length: int | None) -> tuple[bytes | Pieces | Upload, int | None]:
    """The body as it should be written, and its length where that is known."""
    if not isinstance(body, bytes):
        return Upload(body, length), length
    return (body if len(body) <= WHOLE_BYTES else Pieces(body)), len(body)


class Upload:
    """The caller's body on its way, no longer and no shorter than was declared (`length`; None: it was not). Keeps what
    went wrong with it, which aiohttp would report as the provider's."""

    __slots__ = ("_body", "_left_bytes", "failure", "length")

    def __init__(self, body: AsyncIterator[bytes], length: int | None) -> None:
        self._body = body
        self.length = self._left_bytes = length
        self.failure: Exception | None = None

    def __aiter__(self) -> Upload:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await anext(self._body)
        except StopAsyncIteration:
            if not self._left_bytes:
                raise
            self.failure = BadRequest("The body is shorter than its content-length.")
            raise self.failure from None
        except Exception as error:
            self.failure = error
            raise
        if self._left_bytes is not None:
            self._left_bytes -= len(piece)
            if self._left_bytes < 0:
                self.failure = BadRequest("The body is longer than its content-length.")
                raise self.failure
        return piece


class Pieces:
    """A large body in pieces."""

    __slots__ = ("_at", "_body")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        at = self._at
        if at >= len(self._body):
            raise StopAsyncIteration
        self._at = at + PIECE_BYTES
        return self._body[at : self._at]
