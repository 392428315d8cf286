"""What a record costs the control process, by batch size. `python -m benchmarks.records [--seconds 2] [--rate 2500]`.

Ready-made records go over the channel's socket to receiver, recorder, history and audit trail, as in the control
process, all in this process; what is printed is CPU time of all its threads per record, less what feeding alone costs.
A size is how many records come in one batch; `open` is a worker's own `Sender` that gets RATE records a second, one
by one, so that its flushing decides the sizes.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import uvloop

from proxy.channel import Receiver, Sender
from proxy.channel.frames import Frames, Kind, batch_frame, json_frame
from proxy.clock import SystemClock
from proxy.control.audit import load_key, verify
from proxy.control.ledger import Ledger
from proxy.control.recorder import Recorder
from proxy.control.redaction import Redactor
from proxy.record import Record
from proxy.record import line_of as encoded
from proxy.store.history import History

SIZES = (1, 10, 40, 125, 500)
ROUNDS = 5


def line(number: int, worker: str) -> bytes:
    """A call of 1.5 KB as `proxy.record` writes it."""
    at = time.time()
    call = f"wr_{int(at * 1000):011x}{number:012x}"
    entry = {
        "seq": number, "worker": worker, "at": at, "call": call, "action": "llm.call", "agent": "default",
        "tenant": "default", "user": None, "session": None, "outcome": "ok", "plugins": {"audit": [], "metering": []},
        "metadata": {"surface": "chat", "method": "POST", "path": "/v1/chat/completions", "model": "json-1500",
                     "stream": False, "key": None, "settings": 1, "status": 200, "answered_by": "upstream",
                     "upstream": "default", "served_model": "json-1500", "finish": "stop", "complete": True,
                     "findings": [], "uninspected": []},
    }  # fmt: skip
    record: Record = {
        "id": call, "at": at, "agent": "default", "tenant": "default", "user": None, "session": None,
        "conversation": f"c{number % 97:015x}", "key": None, "credential": "5f2b8c1d9e3a4f60", "surface": "chat",
        "method": "POST", "path": "/v1/chat/completions", "stream": False, "model": "json-1500", "upstream": "default",
        "target_model": "json-1500", "served_model": "json-1500", "variant": "", "status": 200, "outcome": "ok",
        "error_code": None, "error": None, "attempts": 1, "answered_by": "upstream", "finish": "stop",
        "complete": True, "total_ms": 12.345, "ttft_ms": None, "queue_ms": 0.0, "upstream_ms": 11.987,
        "overhead_ms": 0.358, "plugins_us": {"audit": 11, "metering": 9}, "usage_source": "provider",
        "cost_nano_usd": None, "price_source": "unknown", "bytes_in": 1500, "bytes_out": 1502, "uninspected": [],
        "settings": 1, "parent": None, "purpose": "", "input_tokens": 350, "cache_read_tokens": None,
        "cache_write_tokens": None, "output_tokens": 120, "reasoning_tokens": None, "audit": entry,
    }  # fmt: skip
    return encoded(record)


class Feeder(asyncio.Protocol):
    """A worker's half without a worker: writes frames, counts acknowledgements."""

    def __init__(self) -> None:
        self._frames = Frames()
        self._acked: asyncio.Event = asyncio.Event()
        self.transport: asyncio.Transport
        self._sent = 0
        self._last = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(json_frame(Kind.HELLO, {"id": "bench", "pid": 1, "slot": 0}))

    def data_received(self, data: bytes) -> None:
        for kind, payload in self._frames.feed(data):
            if kind is Kind.ACK:
                self._last = int.from_bytes(payload, "big")
                self._acked.set()

    async def send(self, lines: list[bytes]) -> None:
        """One batch; returns when it is acknowledged."""
        self._sent += 1
        self.transport.write(batch_frame(self._sent, b"\n".join(lines)))
        while self._last < self._sent:
            self._acked.clear()
            await self._acked.wait()


class House:
    """The cold path of a control process, in a directory of its own; or, for comparison, one that only listens."""

    def __init__(self, data: Path, *, deaf: bool) -> None:
        self.data = data
        self.key = load_key(data, {})
        clock = SystemClock()
        self.recorder = Recorder(History(data / "executions", clock), Ledger(data, self.key, clock), Redactor())
        self.receiver = Receiver(str(data / "control.sock"), _nothing if deaf else self.recorder.write)

    async def __aenter__(self) -> House:
        await self.recorder.start()
        await self.receiver.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.receiver.stop(5.0)
        await self.recorder.stop()


async def _nothing(lines: list[bytes]) -> None:
    """Takes a batch and does nothing with it."""


async def by_size(size: int, seconds: float, numbers: Iterator[int], house: House) -> float:
    """CPU us per record where they come in batches of this size."""
    loop = asyncio.get_running_loop()
    _, feeder = await loop.create_unix_connection(Feeder, str(house.data / "control.sock"))
    spent, records = 0, 0
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        batches = [[line(next(numbers), "bench") for _ in range(size)] for _ in range(max(1, 500 // size))]
        before = time.process_time_ns()
        for batch in batches:
            await feeder.send(batch)
        spent += time.process_time_ns() - before
        records += size * len(batches)
    feeder.transport.close()
    return spent / records / 1000


async def sizes(seconds: float) -> None:
    """Rounds over the sizes, interleaved; medians."""
    found: dict[int, list[float]] = {size: [] for size in SIZES}
    deaf: dict[int, list[float]] = {size: [] for size in SIZES}
    for _ in range(ROUNDS):
        for size in SIZES:
            for table, listens in ((found, False), (deaf, True)):
                with tempfile.TemporaryDirectory(prefix="weir-bench-") as place:
                    async with House(Path(place), deaf=listens) as house:
                        table[size].append(await by_size(size, seconds / ROUNDS, iter(range(1, 10**9)), house))
                    if not listens and not verify(house.data / "audit.db", house.key).ok:
                        raise SystemExit("the audit trail is not whole")
    for size in SIZES:
        alone = statistics.median(deaf[size])
        print(f"batches of {size:4}: {statistics.median(found[size]) - alone:6.1f} us (feeding alone {alone:.1f})")


async def open_rate(rate: int, seconds: float) -> None:
    """A worker's `Sender` at a fixed rate: what both halves of the channel and the writing cost together."""
    spent: dict[bool, list[float]] = {True: [], False: []}
    put_ns = 0
    lines = [line(number, "bench") for number in range(1, int(rate * seconds) + 1)]
    for deaf in (True, False):
        with tempfile.TemporaryDirectory(prefix="weir-bench-") as place:
            async with House(Path(place), deaf=deaf) as house:
                sender = Sender(house.data / "control.sock", slot=0)
                await sender.start()
                while not sender.connected:
                    await asyncio.sleep(0.01)
                before, start, sent = time.process_time_ns(), time.perf_counter(), 0
                while sent < len(lines):
                    due = min(len(lines), int((time.perf_counter() - start) * rate))
                    if sent < due:
                        begun = time.perf_counter_ns()
                        for one in lines[sent:due]:
                            sender.put(one)
                        put_ns += time.perf_counter_ns() - begun
                        sent = due
                    await asyncio.sleep(0.001)
                await sender.stop(5.0)
                spent[deaf].append((time.process_time_ns() - before) / len(lines) / 1000)
    cost = statistics.median(spent[False]) - statistics.median(spent[True])
    print(f"open, {rate:5}/s:   {cost:6.1f} us; a put takes {put_ns / len(lines) / 2 / 1000:.2f} us")


async def measure(seconds: float, rates: list[int]) -> None:
    await sizes(seconds)
    for rate in rates:
        await open_rate(rate, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each size")
    parser.add_argument("--rate", type=int, action="append", help="records a second, of the open rows")
    options = parser.parse_args()
    gc.freeze()
    print(f"{platform.machine()}, Python {platform.python_version()}, CPU per record:")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure(options.seconds, options.rate or [20, 2500]))


if __name__ == "__main__":
    main()
