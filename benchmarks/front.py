"""What the front door alone costs: CPU per call with a handler that echoes, by the kernel's account of the process.

`python -m benchmarks.front [--beside TREE] [--seconds 2] [--rounds 5]`. Beside it stands aiohttp's own low-level server
with the same handler, and the front of another checkout where `--beside` names one. Eight connections in turn, rounds
interleaved, medians of the paired rounds. Then what an idle keep-alive connection holds (`--idle 2000`).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

ROOT = Path(__file__).resolve().parent.parent
BODY = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "A weir is a low barrier. " * 56}]})
ANSWER = [("content-type", "application/json"), ("x-request-id", "req_0123456789"), ("openai-version", "2020-10-01")]
CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"barrier"}}]}\n\n'
CHUNKS = 200
HEADERS = (
    "Host: 127.0.0.1\r\nAccept: application/json\r\nAccept-Encoding: gzip, deflate\r\n"
    "User-Agent: OpenAI/Python 2.8.0\r\nContent-Type: application/json\r\n"
    "Authorization: Bearer sk-benchmark\r\nX-Stainless-Lang: python\r\n"
)


def request(path: str, body: str) -> bytes:
    return f"POST {path} HTTP/1.1\r\n{HEADERS}Content-Length: {len(body)}\r\n\r\n{body}".encode()


# ---- the servers, each in a process of its own ----------------------------------------------------------------------


def told() -> bytes:
    """What this process has used and holds, by its own account."""
    gc.collect()
    used = resource.getrusage(resource.RUSAGE_SELF)
    rollup = Path("/proc/self/smaps_rollup").read_text().split()
    pss_kb = int(rollup[rollup.index("Pss:") + 1])
    return json.dumps({"user_s": used.ru_utime, "system_s": used.ru_stime, "pss_kb": pss_kb}).encode()


async def echo(incoming: Any, reply: Any) -> None:
    if incoming.path == "/told":
        await reply.send(200, ANSWER, told())
        return
    body = await incoming.read()
    if incoming.path != "/stream":
        await reply.send(200, ANSWER, body)
        return
    await reply.start(200, ANSWER)
    for _ in range(CHUNKS):
        await reply.write(CHUNK)
        await asyncio.sleep(0)
    await reply.end()


async def front(sock: socket.socket) -> None:
    # Here, so that each process holds its own server's libraries and no other's.
    from proxy.live import Limits  # noqa: PLC0415
    from proxy.server.front import Front  # noqa: PLC0415
    from proxy.server.probes import Probes  # noqa: PLC0415

    limits = Limits()
    await Front(echo, limits=lambda: limits, probes=Probes(lambda: None)).start(sock)


async def bare(sock: socket.socket) -> None:
    from aiohttp import web  # noqa: PLC0415

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/told":
            return web.Response(body=told())
        body = await request.read()
        if request.path != "/stream":
            return web.Response(body=body, headers=dict(ANSWER))
        response = web.StreamResponse(headers=dict(ANSWER))
        await response.prepare(request)
        for _ in range(CHUNKS):
            await response.write(CHUNK)
            await asyncio.sleep(0)
        return response

    await asyncio.get_running_loop().create_server(web.Server(handle), sock=sock)


async def serve(kind: str, descriptor: int) -> None:
    servers: dict[str, Callable[[socket.socket], Awaitable[None]]] = {"front": front, "bare": bare}
    await servers[kind](socket.socket(fileno=descriptor))
    gc.collect()
    gc.freeze()
    await asyncio.Event().wait()


# ---- the callers ----------------------------------------------------------------------------------------------------


class Caller(asyncio.Protocol):
    """Asks again as soon as the answer is whole, until told to stop."""

    def __init__(self, sent: bytes, done: Callable[[bytes], bool], *, stays: bool = False) -> None:
        self._sent, self._done, self._stays = sent, done, stays
        self._heard = b""
        self.count = 0
        self.going = True
        self.stopped = asyncio.get_running_loop().create_future()
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.write(self._sent)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        if not self._done(self._heard):
            return
        self._heard = b""
        self.count += 1
        if self.going:
            self.transport.write(self._sent)
            return
        self.stopped.set_result(None)
        if not self._stays:
            self.transport.close()


def whole(heard: bytes) -> bool:
    head, end, body = heard.partition(b"\r\n\r\n")
    if not end:
        return False
    at = head.lower().find(b"content-length: ")
    return len(body) >= int(head[at + 16 :].split(b"\r\n")[0])


async def ask(port: int) -> dict[str, float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request("/told", ""))
    head = await reader.readuntil(b"\r\n\r\n")
    at = head.lower().find(b"content-length: ")
    found: dict[str, float] = json.loads(await reader.readexactly(int(head[at + 16 :].split(b"\r\n")[0])))
    writer.close()
    return found


async def load(port: int, stream: bool, seconds: float) -> tuple[float, float]:
    """Microseconds per call, or per chunk: in the process itself, and in the kernel for it."""
    loop = asyncio.get_running_loop()
    sent = request("/stream" if stream else "/v1/chat/completions", BODY)
    before = await ask(port)
    callers = []
    for _ in range(8):
        made = await loop.create_connection(
            lambda: Caller(sent, (lambda heard: heard.endswith(b"0\r\n\r\n")) if stream else whole), "127.0.0.1", port
        )
        callers.append(made[1])
    await asyncio.sleep(seconds)
    for caller in callers:
        caller.going = False
    await asyncio.gather(*(caller.stopped for caller in callers))
    after = await ask(port)
    count = sum(caller.count for caller in callers) * (CHUNKS if stream else 1)
    return tuple((after[name] - before[name]) / count * 1e6 for name in ("user_s", "system_s"))  # type: ignore[return-value]


async def idle(port: int, count: int) -> float:
    """Bytes held for each connection that has made one call and waits."""
    before = await ask(port)
    loop = asyncio.get_running_loop()
    callers: list[Caller] = []
    for _ in range(count):
        _, caller = await loop.create_connection(
            lambda: Caller(request("/v1/x", "{}"), whole, stays=True), "127.0.0.1", port
        )
        caller.going = False
        callers.append(caller)
    await asyncio.gather(*(caller.stopped for caller in callers))
    after = await ask(port)
    for caller in callers:
        caller.transport.close()
    return (after["pss_kb"] - before["pss_kb"]) * 1024 / count


# ---- the measurement ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Place:
    name: str
    port: int
    calls: list[tuple[float, float]] = field(default_factory=list)
    chunks: list[tuple[float, float]] = field(default_factory=list)


@contextmanager
def serving(name: str, kind: str, tree: Path) -> Iterator[Place]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(1024)
        sock.set_inheritable(True)
        command = [sys.executable, str(ROOT / "benchmarks" / "front.py"), "--serve", kind, "--fd", str(sock.fileno())]
        environment = {**os.environ, "PYTHONPATH": str(tree)}
        started = subprocess.Popen(command, cwd=tree, env=environment, pass_fds=[sock.fileno()])
        try:
            yield Place(name, sock.getsockname()[1])
        finally:
            started.terminate()
            started.wait()


async def measure(places: list[Place], options: argparse.Namespace) -> None:
    for place in places:
        await load(place.port, False, 0.3)
    for _ in range(options.rounds):
        for place in places:
            place.calls.append(await load(place.port, False, options.seconds))
        for place in places:
            place.chunks.append(await load(place.port, True, options.seconds))
    columns = ("us/call: user", "system", "ratio", "us/chunk: user", "system", "ratio", "idle bytes")
    print(f"{'':10}" + "".join(f"{column:>15}" for column in columns))
    for place in places:
        row = [place.name.ljust(10)]
        for own, yard in ((place.calls, places[0].calls), (place.chunks, places[0].chunks)):
            user, system = (statistics.median(pair[i] for pair in own) for i in (0, 1))
            ratio = statistics.median(mine[0] / theirs[0] for mine, theirs in zip(own, yard, strict=True))
            row.append(f"{user:15.1f}{system:15.1f}{ratio:15.2f}")
        row.append(f"{await idle(place.port, options.idle):15.0f}")
        print("".join(row))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--beside", type=Path)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--idle", type=int, default=2000)
    parser.add_argument("--serve")
    parser.add_argument("--fd", type=int)
    options = parser.parse_args()
    if options.serve:
        uvloop.run(serve(options.serve, options.fd))
        return
    with ExitStack() as stack:
        places = [stack.enter_context(serving("aiohttp", "bare", ROOT))]
        if options.beside:
            places.append(stack.enter_context(serving("beside", "front", options.beside)))
        places.append(stack.enter_context(serving("front", "front", ROOT)))
        time.sleep(1.0)
        uvloop.run(measure(places, options))


if __name__ == "__main__":
    main()
