"""What Weir adds to a call, beside a bare aiohttp relay and the provider itself, in one run.

`python -m benchmarks.overhead [--rate 200] [--seconds 4] [--rounds 3]`. Open loop at a fixed rate, a 1.5 KB chat call,
metering and audit on; latencies by the client's clock, CPU from /proc; rounds interleaved, medians over rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import uvloop

ROOT = Path(__file__).resolve().parent.parent
TEXT = "A weir is a low barrier across a river that holds back what must not pass and steers the flow. " * 14
MESSAGES = [{"role": "system", "content": "You are a terse assistant."}, {"role": "user", "content": TEXT}]
BODY = json.dumps({"messages": MESSAGES, "model": "gpt-4o-mini"}, separators=(",", ":")).encode()
HEADERS = {"content-type": "application/json", "authorization": "Bearer sk-benchmark"}


@dataclass(slots=True)
class Place:
    """Where calls are sent in turn, and the processes that carry them."""

    name: str
    url: str
    pids: list[int]
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    own_ms: list[float] = field(default_factory=list)
    """Weir's own share of each call, as its header tells."""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def process(*command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env={**os.environ, **environment})
    try:
        yield started
    finally:
        started.terminate()
        started.wait()


async def answering(url: str, within_s: float = 30.0) -> None:
    """Waits until calls are answered there: a listening socket alone may have nobody behind it yet."""
    end = time.monotonic() + within_s
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < end:
            try:
                async with session.post(url + "/v1/chat/completions", data=BODY, headers=HEADERS) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)
    raise SystemExit(f"nothing answers on {url}")


async def load(session: aiohttp.ClientSession, place: Place, rate: float, seconds: float) -> list[float]:
    """Latencies in ms of calls begun at a fixed rate, whatever the answers take."""
    found: list[float] = []

    async def call() -> None:
        begun = time.perf_counter()
        async with session.post(place.url + "/v1/chat/completions", data=BODY, headers=HEADERS) as answer:
            await answer.read()
            assert answer.status == 200, answer.status
            if "x-weir-overhead-ms" in answer.headers:
                place.own_ms.append(float(answer.headers["x-weir-overhead-ms"]))
        found.append((time.perf_counter() - begun) * 1000)

    loop, running = asyncio.get_running_loop(), []
    start = loop.time()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, start + number / rate - loop.time()))
        running.append(loop.create_task(call()))
    await asyncio.gather(*running)
    return found


async def measure(places: list[Place], rate: float, seconds: float, rounds: int) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        for place in places:
            await load(session, place, rate, 1.0)
        for _ in range(rounds):
            for place in places:
                before = sum(map(cpu_s, place.pids))
                found = sorted(await load(session, place, rate, seconds))
                place.cpu_us.append((sum(map(cpu_s, place.pids)) - before) / len(found) * 1e6)
                place.p50_ms.append(statistics.median(found))
                place.p99_ms.append(found[int(len(found) * 0.99)])


def report(places: list[Place], rate: float) -> None:
    direct = statistics.median(places[0].p50_ms)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {rate:g} calls/s, 1.5 KB")
    print(f"{'place':22}{'p50 ms':>9}{'p99 ms':>9}{'added p50 ms':>14}{'CPU us/call':>13}")
    for place in places:
        p50, p99, cpu = (statistics.median(row) for row in (place.p50_ms, place.p99_ms, place.cpu_us))
        print(f"{place.name:22}{p50:9.3f}{p99:9.3f}{p50 - direct:14.3f}{cpu:13.0f}")
    bare, weir = statistics.median(places[1].cpu_us), statistics.median(places[2].cpu_us)
    print(f"Weir's own share of a call by its own clock: p50 {statistics.median(places[2].own_ms):.3f} ms")
    print(f"CPU of Weir (worker and control) to the bare relay: {weir / bare:.2f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    provider, bare, weir = (f"http://127.0.0.1:{free_port()}" for _ in range(3))
    with ExitStack() as stack:
        data = stack.enter_context(tempfile.TemporaryDirectory(prefix="weir-bench-"))
        far = stack.enter_context(process("benchmarks.provider", "--port", provider.rpartition(":")[2]))
        near = stack.enter_context(process("benchmarks.bare", bare.rpartition(":")[2], provider))
        ours = stack.enter_context(process("proxy", "serve", "--upstream", provider, "--data", data,
                                           "--port", weir.rpartition(":")[2], "--admin-port", "0"))  # fmt: skip
        for url in (provider, bare, weir):
            asyncio.run(answering(url))
        places = [Place("provider itself", provider, [far.pid]), Place("bare aiohttp relay", bare, [near.pid]),
                  Place("Weir", weir, children(ours.pid))]  # fmt: skip
        uvloop.install()
        asyncio.run(measure(places, options.rate, options.seconds, options.rounds))
        report(places, options.rate)
    return 0


if __name__ == "__main__":
    sys.exit(main())
