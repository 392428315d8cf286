"""A provider that answers with the bytes it is given, in the reads it is given, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Self

OK_BODY = (
    b'{"id":"c1","object":"chat.completion","created":1,"model":"m-1","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"hello"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}'
)
USUAL = (b"Content-Type: application/json", b"Date: today", b"X-Request-Id: r1")
TURNS = 6
"""Turns of the event loop between two pieces: by then the one before has been read (loopback does not delay)."""
Script = tuple[bytes | str | asyncio.Event, ...]
"""Pieces of an answer; `cut` resets the connection, `end` closes it, `hang` answers no more. An event is waited for."""


def answer(body: bytes = OK_BODY, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """A whole answer."""
    lines = b"".join(line + b"\r\n" for line in headers or USUAL)
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, lines, len(body), body)


def chunked(body: bytes = OK_BODY, *headers: bytes) -> bytes:
    lines = b"".join(line + b"\r\n" for line in headers or (b"Content-Type: application/json",))
    head = b"HTTP/1.1 200 OK\r\n%bTransfer-Encoding: chunked\r\n\r\n" % lines
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


class Scripted:
    """`scripts` are taken one for each request, in order; without one it answers `answer()`."""

    def __init__(self) -> None:
        self.scripts: deque[Script] = deque()
        self.asked: list[tuple[bytes, bytes]] = []
        """Head and body."""
        self.ended = 0
        """Connections that have ended."""
        self.begun = 0
        self._server: asyncio.Server | None = None
        self._users = 0
        """It may be entered more than once, and ends with the last."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._users += 1
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *failure: object) -> None:
        self._users -= 1
        if self._users or self._server is None:
            return
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def until_asked(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.asked) < count:
                await asyncio.sleep(0)

    async def until_ended(self) -> None:
        """Every connection there was has ended."""
        async with asyncio.timeout(5):
            while self.ended < self.begun:
                await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.begun += 1
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.ended += 1
            self._tasks.discard(task)
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        told = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        self.asked.append((head, await reader.readexactly(int(told[0].split(b":")[1])) if told else b""))
        for piece in self.scripts.popleft() if self.scripts else (answer(),):
            if isinstance(piece, asyncio.Event):
                await piece.wait()
                continue
            if piece == "hang":
                await reader.read()
                return False
            if isinstance(piece, str):
                if piece == "cut":
                    writer.transport.abort()
                return False
            writer.write(piece)
            for _ in range(TURNS):
                await asyncio.sleep(0)
        return True
