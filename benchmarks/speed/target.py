"""A provider that is never the bottleneck: a raw protocol whose answers were made before the first call.

    python -m benchmarks.speed.target PORT [--tls CERTIFICATE]

The path says in whose shape it answers (chat, completions, responses, embeddings, messages), the model's name what:
`json-1500` is an answer of about that many bytes, `mute-1500` the same without usage, `burst-50` a stream of 50 texts
in one write each without a pause, `named-50` the same with a placeholder now and then, cut in two (chat alone),
`paced-50-10` one with 10 ms between its writes. Any other name is `json-1500`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import re
import ssl
from collections.abc import Callable
from typing import Any

import uvloop

from benchmarks.speed import answers

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
MODEL = re.compile(rb'"model"\s*:\s*"(?:[\w.:-]+/)*((?:json|mute|burst|named|paced)-[\d-]+)"')
MODELS = {"object": "list", "data": [{"id": answers.MODEL, "object": "model", "created": 1, "owned_by": "target"}]}


class Target(asyncio.Protocol):
    """One connection; answers calls one after the other."""

    transport: asyncio.Transport

    def __init__(self, later: Callable[..., Any]) -> None:
        self.later = later
        self.parts: list[bytes] = []
        self.missing = 0
        """Bytes of the call that have not come; -1: until its last chunk. 0 between calls."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if not self.missing:
            data = b"".join((*self.parts, data))
            self.parts.clear()
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self.parts.append(data)
                return
            self.missing = self._missing(data, end)
        elif self.missing > 0:
            self.missing -= len(data)
        self.parts.append(data)
        if self.missing < 0 and data.endswith(b"0\r\n\r\n"):
            self.missing = 0
        if not self.missing:
            whole = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
            self.parts.clear()
            self.answer(whole)

    def _missing(self, data: bytes, end: int) -> int:
        found = LENGTH.search(data, 0, end)
        if found:
            return int(found[1]) - (len(data) - end - 4)
        return -1 if CHUNKED.search(data, 0, end) else 0

    def answer(self, call: bytes) -> None:
        method, target, _ = call[: call.find(b"\r\n")].split(b" ", 2)
        path = target.partition(b"?")[0].decode("latin-1")
        if method != b"POST":
            self.transport.write(answers.http(MODELS if path.endswith("/models") else {"status": "ok"}))
            return
        named = MODEL.search(call)
        kind, *numbers = (named[1] if named else b"json-1500").split(b"-")
        surface, first = answers.surface(path), int(numbers[0])
        if kind == b"json" or kind == b"mute":
            self.transport.write(answers.whole(surface, first, usage=kind == b"json"))
        elif kind in (b"burst", b"named"):
            for piece in answers.stream(surface if kind == b"burst" else "named", first):
                self.transport.write(piece)
        else:
            self.pace(answers.stream(surface, first), 0, int(numbers[1]) / 1000)

    def pace(self, pieces: tuple[bytes, ...], at: int, pause_s: float) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(pieces[at])
        if at + 1 < len(pieces):
            self.later(pause_s, self.pace, pieces, at + 1, pause_s)


async def serve(port: int, certificate: str) -> None:
    loop = asyncio.get_running_loop()
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(certificate)
    server = await loop.create_server(lambda: Target(loop.call_later), "127.0.0.1", port, ssl=context, backlog=8192)
    print(server.sockets[0].getsockname()[1], flush=True)
    gc.freeze()
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("--tls", default="")
    options = parser.parse_args()
    uvloop.install()
    asyncio.run(serve(options.port, options.tls))
