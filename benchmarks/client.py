"""What one call costs in the client alone: `proxy.upstream.client` as a line and as a detour, in turn, one process.

    python -m benchmarks.client [--rounds 9] [--calls 3000] [--tls]

The provider is a raw protocol in another process. Time is CPU time of this process (user, and with the kernel's part),
medians of rounds taken in turn; `calls` counts Python and C functions entered per call, which no neighbour disturbs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import re
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import uvloop

from proxy.clock import SystemClock
from proxy.live import Upstream
from proxy.upstream.client import Client
from proxy.upstream.link import Outgoing

SMALL, MIDDLE = 1500, 50_000
CHUNKS = 50
PACE_S = 0.002
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
HEAD = (
    b"HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\nContent-Type: %b\r\nopenai-processing-ms: 312\r\n"
    b"openai-version: 2020-10-01\r\nx-request-id: req_0123456789abcdef0123456789abcdef\r\n"
    b"x-ratelimit-limit-requests: 10000\r\nx-ratelimit-remaining-requests: 9999\r\nServer: raw\r\n%b\r\n\r\n"
)
EVENT = b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"delta":{"content":" word"}}]}\n\n'
Way = Callable[[], Awaitable[None]]


class Raw(asyncio.Protocol):
    """Answers what it is asked for: `/v1/json/SIZE`, or `/v1/stream` with a chunk per `PACE_S`."""

    transport: asyncio.Transport

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, end, body = self.buffer.partition(b"\r\n\r\n")
        found = LENGTH.search(head)
        if not end or found is None or len(body) < int(found[1]):
            return
        self.buffer = b""
        if head.startswith(b"POST /v1/stream"):
            self.transport.write(HEAD % (b"text/event-stream", b"Transfer-Encoding: chunked"))
            self.event(CHUNKS)
            return
        size = int(head.split(b" ", 2)[1].rpartition(b"/")[2])
        self.transport.write(HEAD % (b"application/json", b"Content-Length: %d" % size) + b"x" * size)

    def event(self, left: int) -> None:
        self.transport.write(b"%x\r\n%b\r\n" % (len(EVENT), EVENT) if left else b"0\r\n\r\n")
        if left:
            asyncio.get_running_loop().call_later(PACE_S, self.event, left - 1)


async def provide(certificate: str) -> None:
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    server = await asyncio.get_running_loop().create_server(Raw, "127.0.0.1", 0, ssl=context, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


@contextlib.contextmanager
def provider(tls: bool) -> Iterator[Upstream]:
    with tempfile.TemporaryDirectory() as folder:
        certificate = ""
        if tls:
            from tests.certificates import certificates  # noqa: PLC0415  only from a checkout

            certificate = str(certificates(Path(folder)).server)
        command = [sys.executable, "-m", "benchmarks.client", "--provide", "--certificate", certificate]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        try:
            port = child.stdout.readline().strip()
            yield Upstream("raw", f"http{'s' if tls else ''}://127.0.0.1:{port}", verify=False)
        finally:
            child.terminate()
            child.wait()


def request(path: str, size: int) -> Outgoing:
    headers = [
        ("user-agent", "OpenAI/Python 2.8.0"), ("accept", "application/json"), ("content-type", "application/json"),
        ("x-stainless-lang", "python"), ("x-stainless-os", "Linux"), ("x-stainless-runtime", "CPython"),
        ("x-stainless-retry-count", "0"), ("accept-encoding", "identity"),
        ("authorization", "Bearer sk-0123456789abcdef0123456789abcdef"), ("content-length", str(size)),
    ]  # fmt: skip
    return Outgoing("POST", path, headers, b"x" * size)


def json_way(client: Client, upstream: Upstream, size: int) -> Way:
    outgoing = request(f"/v1/json/{size}", size)

    async def once() -> None:
        answer = await client.send(upstream, outgoing)
        assert len(await answer.read(1 << 26)) == size
        answer.close()

    return once


def stream_way(client: Client, upstream: Upstream) -> Way:
    outgoing = request("/v1/stream", SMALL)

    async def once() -> None:
        answer = await client.send(upstream, outgoing)
        size = 0
        async for chunk in answer.chunks():
            size += len(chunk)
        assert size == CHUNKS * len(EVENT)
        answer.close()

    return once


async def cost(way: Way, calls: int, at_once: int) -> tuple[float, float]:
    """Microseconds of user and of all CPU time per call."""

    async def run(count: int) -> None:
        for _ in range(count):
            await way()

    before = resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.gather(*[run(calls // at_once) for _ in range(at_once)])
    after = resource.getrusage(resource.RUSAGE_SELF)
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    made = calls // at_once * at_once
    return user / made * 1e6, (user + system) / made * 1e6


async def entered(way: Way, calls: int = 50) -> float:
    """Functions entered per call."""
    count = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    for _ in range(calls):
        await way()
    sys.setprofile(None)
    return count / calls


async def measure(upstream: Upstream, rounds: int, calls: int) -> None:
    line, detour = Client(SystemClock()), Client(SystemClock(), odd=lambda upstream: True)
    clients = {"line": line, "detour": detour}
    cases: dict[str, tuple[Callable[[Client], Way], int, int, int]] = {
        "json 1.5 KB, c=1": (lambda client: json_way(client, upstream, SMALL), calls, 1, 1),
        "json 1.5 KB, c=32": (lambda client: json_way(client, upstream, SMALL), calls, 32, 1),
        "json 50 KB, c=32": (lambda client: json_way(client, upstream, MIDDLE), calls // 2, 32, 1),
        "chunk of a stream, c=32": (lambda client: stream_way(client, upstream), 64, 32, CHUNKS),
    }
    rows = []
    for name, (make, count, at_once, parts) in cases.items():
        ways = {who: make(client) for who, client in clients.items()}
        for way in ways.values():
            await cost(way, max(count // 5, at_once), at_once)
        functions = {who: await entered(way) / parts for who, way in ways.items()}
        found: dict[str, list[tuple[float, float]]] = {who: [] for who in ways}
        for turn in range(rounds):
            for who in sorted(ways, reverse=bool(turn % 2)):
                gc.collect()
                found[who].append(await cost(ways[who], count, at_once))
        for who, costs in found.items():
            user, whole = (statistics.median(each) / parts for each in zip(*costs, strict=True))
            pairs = [one[1] / two[1] for one, two in zip(costs, found["detour"], strict=True)]
            row = {"case": name, "way": who, "user_us": round(user, 1), "cpu_us": round(whole, 1)}
            rows.append(row | {"ratio": round(statistics.median(pairs), 2), "calls": round(functions[who], 1)})
            print(orjson.dumps(rows[-1]).decode(), flush=True)
    for client in clients.values():
        await client.stop()


def main() -> None:
    arguments = argparse.ArgumentParser(prog="benchmarks.client", description=__doc__)
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--calls", type=int, default=3000)
    arguments.add_argument("--tls", action="store_true")
    arguments.add_argument("--provide", action="store_true", help=argparse.SUPPRESS)
    arguments.add_argument("--certificate", default="", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.provide:
        with contextlib.suppress(KeyboardInterrupt):
            uvloop.run(provide(given.certificate))
        return
    with provider(given.tls) as upstream:
        upstream = replace(upstream, pool_size=64)
        uvloop.run(measure(upstream, given.rounds, given.calls))


if __name__ == "__main__":
    main()
