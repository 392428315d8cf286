"""A bound, not a relay to use: raw protocols on both sides, bytes handed on as they come. Arguments: PORT UPSTREAM.

No time-outs, no limits, no checks, one provider on this machine: what remains is the kernel, the event loop and one
function call per read. Whatever a relay in Python costs beyond this is what it does for its keep.
"""

from __future__ import annotations

import asyncio
import gc
import re
import sys
from typing import Any
from urllib.parse import urlsplit

import uvloop

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Far(asyncio.Protocol):
    """A connection to the provider, lent to one caller at a time."""

    transport: asyncio.Transport

    def __init__(self, idle: list[Far]) -> None:
        self.idle = idle
        self.near: Near | None = None
        self.left = -1

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        near = self.near
        if near is None:
            self.transport.close()
            return
        near.transport.write(data)
        if self.left < 0:
            end = data.find(b"\r\n\r\n")
            found = LENGTH.search(data, 0, end)
            self.left = int(found[1]) + end + 4 if found else 0
        if self.left:
            self.left -= len(data)
            over = self.left <= 0
        else:
            over = data.endswith(b"0\r\n\r\n")
        if over:
            self.near, self.left = None, -1
            self.idle.append(self)


class Near(asyncio.Protocol):
    """A caller."""

    transport: asyncio.Transport

    def __init__(self, idle: list[Far], host: str, port: int) -> None:
        self.idle, self.host, self.port = idle, host, port
        self.buffer = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer = data = self.buffer + data if self.buffer else data
        end = data.find(b"\r\n\r\n")
        found = LENGTH.search(data, 0, end) if end > 0 else None
        if found is None or len(data) < end + 4 + int(found[1]):
            return
        self.buffer = b""
        if self.idle:
            self.send(self.idle.pop(), data)
        else:
            asyncio.get_running_loop().create_task(self.dial(data))

    async def dial(self, data: bytes) -> None:
        _, far = await asyncio.get_running_loop().create_connection(lambda: Far(self.idle), self.host, self.port)
        self.send(far, data)

    def send(self, far: Far, data: bytes) -> None:
        far.near = self
        far.transport.write(data)


async def serve(port: int, upstream: str) -> None:
    url, idle = urlsplit(upstream), list[Far]()
    host, far_port = url.hostname or "127.0.0.1", url.port or 80
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Near(idle, host, far_port), "127.0.0.1", port, backlog=4096)
    gc.freeze()
    async with server:
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
