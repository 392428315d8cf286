"""What a call costs inside a worker, without the kernel: both sockets are stand-ins, everything between them is real.

    python -m benchmarks.hot [KIND ...] [--calls 4000] [--rounds 5]

KIND is `json`, `json-50k`, `burst` (a stream of 50 events), `looking` (`json` through ten more plugins whose hooks look
at the segments), `guarded` (`json` through the usual chain, each call with a text never seen before), `guarded-again`
(the same text each time), `hit` (`json` answered from the cache), `hit-guarded` (the same through the usual chain) or
`miss` (with a text never seen before, so that the cache looks in vain and keeps the answer). Prints the CPU time per
call (median of rounds), and how many functions a call enters (Python and C), which no neighbour disturbs:
`tests/benchmarks/test_hot.py` holds those to a bound.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product, repeat
from typing import Any, cast

import orjson
import uvloop

from benchmarks.speed.load import request
from benchmarks.speed.target import Target
from proxy import pricetable
from proxy.app.worker import Parts, Worker
from proxy.clock import SystemClock
from proxy.configuration.settings import CHAIN
from proxy.live import Entry, Identity, Limits, Snapshot, Streams, Upstream
from proxy.prices import Prices
from proxy.server.connection import Connection
from proxy.store.memory import MemoryStore
from proxy.telemetry.page import Page
from proxy.upstream import line
from proxy.upstream.connection import Connection as Far

TEXT = "A weir is a low barrier across a river that holds back what must not pass and steers the flow. "
URL = "http://provider.invalid"
DEFAULT = (Entry("audit", "audit"), Entry("metering", "metering"))
CACHED = (*DEFAULT, Entry("cache", "cache"))
GUARDED = tuple(Entry(name, name) for name in CHAIN)
KINDS = ("json", "json-50k", "burst", "looking", "guarded", "guarded-again", "hit", "hit-guarded", "miss")
OLD = b"A weir"
"""What stands in a text where another word makes a new text of it."""


class Records:
    """Takes records as the channel would."""

    def __init__(self) -> None:
        self.count = 0

    def put(self, line: bytes) -> None:
        self.count += 1

    async def put_durable(self, line: bytes) -> None:
        self.count += 1

    async def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        return {}


class Socket:
    """A transport that hands what is written to whoever is on the other side, in the next turn of the loop."""

    def __init__(self, other: Callable[[bytes], Any]) -> None:
        self._other = other
        self._loop = asyncio.get_running_loop()

    def write(self, data: bytes) -> None:
        self._loop.call_soon(self._other, data)

    def writelines(self, pieces: list[bytes]) -> None:
        self.write(b"".join(pieces))

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 40000) if name == "peername" else None

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


def snapshot(*chain: Entry) -> Snapshot:
    return Snapshot(
        version=1, upstreams={"sim": Upstream("sim", URL, models=("*",))}, aliases={}, chain=chain or DEFAULT,
        agents={}, identity=Identity(), limits=Limits(), streams=Streams(),
    )  # fmt: skip


def body(size: int, model: str, *, stream: bool = False, **more: Any) -> bytes:
    messages = [
        {"role": "system", "content": "You are a terse assistant."},
        {"role": "user", "content": (TEXT * (size // len(TEXT) + 1))[: size - 150]},
    ]
    doc: dict[str, Any] = {"messages": messages, "model": model, **more}
    if stream:
        doc |= {"stream": True, "stream_options": {"include_usage": True}}
    return orjson.dumps(doc)


def bodies(kind: str) -> bytes:
    match kind:
        case "json" | "looking" | "guarded" | "guarded-again":
            return body(1500, "json-1500")
        case "hit" | "hit-guarded" | "miss":
            return body(1500, "json-1500", temperature=0)
        case "json-50k":
            return body(50_000, "json-1500")
        case "burst":
            return body(1500, "burst-50", stream=True)
    raise SystemExit(
        f"{kind} is not known here: json, json-50k, burst, looking, guarded, guarded-again, hit, hit-guarded, miss"
    )


class Bench:
    """A worker between two stand-ins."""

    def __init__(self, *chain: Entry, fresh: bool = False) -> None:
        """`fresh`: each call has a text of its own."""
        self._words = map(bytes, product(b"abcdefghij", repeat=len(OLD))) if fresh else repeat(OLD)
        self.records = Records()
        prices = Prices(pricetable.table())
        parts = Parts(self.records, Page(None), MemoryStore(SystemClock()), prices, b"secret", {})
        self.worker = Worker(snapshot(*chain), parts)
        self.answered: asyncio.Future[None]
        self._tail = b""

    async def start(self) -> None:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        await self.worker.start(sock)
        self.connection: Connection = self.worker.front._server()
        self.connection.connection_made(cast(Any, Socket(self._came)))

    def _came(self, data: bytes) -> None:
        self._tail = (self._tail + data)[-7:] if len(data) < 7 else data[-7:]
        if self._tail.endswith((b"}", b"0\r\n\r\n")) and not self.answered.done():
            self.answered.set_result(None)

    async def calls(self, data: bytes, count: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(count):
            self.answered = loop.create_future()
            self.connection.data_received(data.replace(OLD, next(self._words), 1))
            await self.answered


@contextmanager
def no_sockets() -> Iterator[None]:
    """Connections to the provider are pairs of stand-ins meanwhile."""

    async def opened(self: line.Line) -> Any:
        target = Target(asyncio.get_running_loop().call_later)
        connection = Far(self, self._clock, self.upstream.timeouts, self._shapes)
        target.connection_made(Socket(connection.data_received))
        connection.connection_made(cast(Any, Socket(target.data_received)))
        return connection

    before = line.Line._opened
    line.Line._opened = opened  # type: ignore[method-assign]
    try:
        yield
    finally:
        line.Line._opened = before  # type: ignore[method-assign]


async def measure(kind: str, calls: int, rounds: int) -> tuple[float, float]:
    """CPU microseconds and functions entered, per call."""
    bench = Bench(*chain(kind), fresh=kind in ("guarded", "miss"))
    await bench.start()
    data = request("/v1/chat/completions", bodies(kind))
    took = []
    with no_sockets():
        await bench.calls(data, 200)
        for _ in range(rounds):
            begun = time.process_time()
            await bench.calls(data, calls)
            took.append((time.process_time() - begun) / calls * 1e6)
        entered = await count(bench, data, 50)
        bench.connection.connection_lost(None)  # nobody is there who would hang up when Weir does
        await bench.worker.stop(1.0)
    return statistics.median(took), entered


def chain(kind: str) -> tuple[Entry, ...]:
    if kind == "looking":
        return (*DEFAULT, *(Entry(f"looking-{number}", "benchmarks.speed.looking:Looking") for number in range(10)))
    if kind in ("hit", "miss"):
        return CACHED
    return GUARDED if "guarded" in kind else DEFAULT


async def count(bench: Bench, data: bytes, calls: int) -> float:
    seen = 0

    def look(frame: Any, event: str, argument: Any) -> None:
        nonlocal seen
        seen += event in ("call", "c_call")

    sys.setprofile(look)
    await bench.calls(data, calls)
    sys.setprofile(None)
    return seen / calls


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=["json"])
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    gc.set_threshold(50_000, 20, 100)
    gc.freeze()
    for kind in options.kinds:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            cpu_us, entered = runner.run(measure(kind, options.calls, options.rounds))
        print(f"{kind:10}{cpu_us:8.1f} us of CPU{entered:8.1f} functions entered, per call")
    return 0


if __name__ == "__main__":
    sys.exit(main())
