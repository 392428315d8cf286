"""What many connections, many streams and more workers cost, on a real `weir serve`.

    python -m benchmarks.scale [MEASURE ...] [--rounds N] [--json FILE]

Measures: workers spread calls chunks memory idle reuse replace (all, in this order, without an argument). Weir runs on
the first core and everything else on the last, where there are two. CPU is all of Weir's processes' by the scheduler's
count, memory the worker's proportional share. Ratios are of medians over interleaved rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import uvloop

from benchmarks.speed.load import request
from benchmarks.speed.target import Target
from benchmarks.subject import Subject, cpu_us, private_kb, target, weir
from tests.certificates import Certificates, certificates

PATH = "/v1/chat/completions"
TEXT = "A weir is a low barrier across a river that holds back what must not pass. " * 18
CORES = sorted(os.sched_getaffinity(0))
OURS = ("taskset", "-c", str(CORES[0]))
THEIRS = ("taskset", "-c", str(CORES[-1]))
SETTLE_S = 1.0
CALL_S = 30.0
Found = dict[str, Any]


def call(model: str = "json-1500", *, stream: bool = False) -> bytes:
    messages = [{"role": "system", "content": "You are a terse assistant."}, {"role": "user", "content": TEXT}]
    body: Found = {"model": model, "messages": messages}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return request(PATH, orjson.dumps(body))


class Wire(asyncio.Protocol):
    """One connection of a caller. `done` is for the answer at hand; events of a stream are counted as they come."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.done: asyncio.Future[str] | None = None
        self.events = 0
        self.held = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def send(self, data: bytes) -> asyncio.Future[str]:
        self.done = asyncio.get_running_loop().create_future()
        self.held = b""
        self.transport.write(data)
        return self.done

    def data_received(self, data: bytes) -> None:
        self.events += data.count(b"data: ")
        self.held += data
        head, gap, body = self.held.partition(b"\r\n\r\n")
        if not gap:
            return
        if b"content-length: " not in head.lower():
            self.held = b"stream\r\n\r\n"
            return
        if len(body) >= int(head.lower().partition(b"content-length: ")[2].split(b"\r", 1)[0]):
            self.end("ok" if head.startswith(b"HTTP/1.1 200") else head[:12].decode())

    def connection_lost(self, error: Exception | None) -> None:
        self.end("cut" if error is None and not self.held else "reset" if error else "torn")

    def end(self, how: str) -> None:
        if self.done is not None and not self.done.done():
            self.done.set_result(how)


async def connected(port: int, count: int) -> list[Wire]:
    loop = asyncio.get_running_loop()
    made: list[Wire] = []
    for _ in range(count):
        made.append((await loop.create_connection(Wire, "127.0.0.1", port))[1])
    return made


async def close(wires: list[Wire]) -> None:
    """Gone when this returns: where a stream is still open Weir drains."""
    for wire in wires:
        wire.transport.close()
    await asyncio.sleep(SETTLE_S)


async def steady(wires: list[Wire], rate: float, seconds: float, data: bytes | None = None) -> list[float]:
    """Calls at a fixed rate over these connections, evenly shared and evenly timed; their latencies in ms."""
    loop, data = asyncio.get_running_loop(), data or call()
    begun, period_s = loop.time(), len(wires) / rate
    found: list[float] = []

    async def work(number: int, wire: Wire) -> None:
        due_s = begun + number / rate
        while due_s < begun + seconds:
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            at_s = time.perf_counter()
            how = await wire.send(data)
            assert how == "ok", how
            found.append((time.perf_counter() - at_s) * 1000)
            due_s += period_s

    await asyncio.gather(*(work(number, wire) for number, wire in enumerate(wires)))
    return found


async def opened_streams(port: int, count: int, interval_ms: int, *, at_once: int = 1250) -> list[Wire]:
    """Streams that have begun, their events spread evenly over the interval as far as opening them takes so long."""
    data = call(f"paced-100000-{interval_ms}", stream=True)
    wires: list[Wire] = []
    while len(wires) < count:
        more = await connected(port, min(at_once, count - len(wires)))
        for wire in more:
            wire.send(data)
            await asyncio.sleep(0 if len(more) > 500 else 0.0005)
        wires += more
        await until(lambda more=more: all(wire.events for wire in more))  # type: ignore[misc]
    return wires


async def until(holds: Callable[[], Any], within_s: float = CALL_S) -> None:
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "in vain"
        await asyncio.sleep(0.01)


async def workers(options: argparse.Namespace) -> Found:
    """CPU per call with two workers to that with one, both saturated by the same connections on one core. Also at one
    rate, where a call costs more the rarer it is (a process that has slept wakes to cold caches), whoever serves it:
    one worker is shown at half that rate as well."""
    with target(prefix=THEIRS) as port, ExitStack() as stack:
        subjects = [stack.enter_context(weir(f"http://127.0.0.1:{port}", workers=n, prefix=OURS)) for n in (1, 2)]
        wires = [await connected(subject.port, options.connections) for subject in subjects]
        loads: list[tuple[str, int, float]] = [
            ("1", 0, 0.0), ("2", 1, 0.0), ("1_at_rate", 0, options.rate), ("2_at_rate", 1, options.rate),
            ("1_at_half", 0, options.rate / 2),
        ]  # fmt: skip
        costs: dict[str, list[list[float]]] = {name: [] for name, _, _ in loads}
        for number in range(options.rounds + 1):
            for name, at, rate in loads:
                found = await shares(subjects[at], wires[at], rate, 2.0)
                if number:
                    costs[name].append(found)
        held = subjects[1].connections()
        await close([*wires[0], *wires[1]])
    sums = {name: [sum(each) for each in rounds] for name, rounds in costs.items()}
    medians = {name: statistics.median(each) for name, each in sums.items()}
    parts = {name: [round(statistics.median(one)) for one in zip(*each, strict=True)] for name, each in costs.items()}
    pairs = [two / one for one, two in zip(sums["1"], sums["2"], strict=True)]
    ratios = {"ratio": statistics.median(pairs), "at_rate": medians["2_at_rate"] / medians["1_at_rate"],
              "at_rate_each": medians["2_at_rate"] / medians["1_at_half"]}  # fmt: skip
    return {"at_most": 1.1, **ratios, "pairs": pairs, "cpu_us": medians, "processes": parts, "connections": held}


async def shares(subject: Subject, wires: list[Wire], rate: float, seconds: float) -> list[float]:
    """CPU per call of each process, the supervisor first. Rate 0: one call after the other."""
    pids = subject.pids()
    before = list(map(cpu_us, pids))
    done = len(await (steady(wires, rate, seconds) if rate else ceaseless(wires, seconds)))
    await asyncio.sleep(0.2)
    return [(cpu_us(pid) - then) / done for pid, then in zip(pids, before, strict=True)]


async def ceaseless(wires: list[Wire], seconds: float) -> list[float]:
    """Calls one after the other on each of these connections; their latencies in ms."""
    data, end, found = call(), time.perf_counter() + seconds, []

    async def work(wire: Wire) -> None:
        while (at_s := time.perf_counter()) < end:
            how = await wire.send(data)
            assert how == "ok", how
            found.append((time.perf_counter() - at_s) * 1000)

    await asyncio.gather(*map(work, wires))
    return found


async def spread(options: argparse.Namespace) -> Found:
    """How far the fuller of two workers is from its half of the connections, over several tries."""
    found: Found = {"at_most": 0.2}
    with target(prefix=THEIRS) as port, weir(f"http://127.0.0.1:{port}", workers=2, prefix=OURS) as subject:
        for count in (32, 100, 500, 1000):
            off: list[float] = []
            for _ in range(10):
                wires = await connected(subject.port, count)
                await until(lambda count=count: sum(subject.connections()) == count)  # type: ignore[misc]
                off.append(max(subject.connections()) / (count / 2) - 1)
                await close(wires)
                await until(lambda: not sum(subject.connections()))
            found[f"off_{count}"] = {"median": statistics.median(off), "most": max(off)}
    return found


async def calls(options: argparse.Namespace) -> Found:
    """CPU per JSON call while 10 or 5,000 streams stand open and say nothing."""

    async def cost(subject: Subject, wires: list[Wire]) -> float:
        before = subject.cpu_us()
        done = len(await steady(wires, options.rate, 3.0))
        return (subject.cpu_us() - before) / done

    found: dict[int, list[float]] = {10: [], options.streams: []}
    with target(prefix=THEIRS) as port, weir(f"http://127.0.0.1:{port}", prefix=OURS) as subject:
        wires = await connected(subject.port, 16)
        await steady(wires, options.rate, 2.0)
        for _ in range(options.rounds):
            for count, costs in found.items():
                streams = await opened_streams(subject.port, count, 600_000)
                costs += [await cost(subject, wires)]
                await close(streams)
    few, many = map(statistics.median, found.values())
    return {"cpu_us_10": few, f"cpu_us_{options.streams}": many, "ratio": many / few}


async def chunks(options: argparse.Namespace) -> Found:
    """CPU per event of paced streams, at one rate of events over 10, 100, 1,000 and 5,000 streams."""
    found: dict[int, list[float]] = {10: [], 1000: [], options.streams: []}
    with target(prefix=THEIRS) as port, weir(f"http://127.0.0.1:{port}", prefix=OURS) as subject:
        await steady(await connected(subject.port, 16), options.rate, 1.0)
        for _ in range(options.rounds):
            for count, costs in found.items():
                interval_ms = int(count / options.chunk_rate * 1000)
                streams = await opened_streams(subject.port, count, interval_ms)
                await asyncio.sleep(SETTLE_S)
                before, events = subject.cpu_us(), sum(wire.events for wire in streams)
                await asyncio.sleep(4.0)
                costs += [(subject.cpu_us() - before) / (sum(wire.events for wire in streams) - events)]
                print(f"  {count} streams: {costs[-1]:.1f} us/chunk", file=sys.stderr, flush=True)
                await close(streams)
    cost = {count: statistics.median(costs) for count, costs in found.items()}
    return {**{f"cpu_us_{count}": one for count, one in cost.items()}, "ratio": cost[options.streams] / cost[10]}


async def memory(options: argparse.Namespace) -> Found:
    """Of a worker, for each stream that is open and silent, plain and with the provider behind TLS."""
    found: Found = {}
    with trusted() as made:
        for name, authority in (("plain", None), ("tls", made.authority)):
            arguments = ("--tls", str(made.server)) if authority else ()
            scheme = "https" if authority else "http"
            with target(*arguments, prefix=THEIRS) as port, weir(
                f"{scheme}://127.0.0.1:{port}", authority=authority, prefix=OURS
            ) as subject:  # fmt: skip
                (worker,) = subject.pids("worker")
                seen, streams = [], []
                for more in (200, 500, 500):
                    streams += await opened_streams(subject.port, more, 600_000)
                    await asyncio.sleep(SETTLE_S)
                    seen.append(private_kb(worker))
                found[f"kb_{name}"] = (seen[2] - seen[0]) / 1000
                found[f"halves_{name}"] = [(b - a) / 500 for a, b in pairwise(seen)]
                await close(streams)
    return {**found, "at_most": {"kb_plain": 20, "kb_tls": 90}}


async def idle(options: argparse.Namespace) -> Found:
    """Keep-alive connections that have had their call: memory and CPU of each, and how a call among them fares."""
    found: Found = {}
    with target(prefix=THEIRS) as port, weir(f"http://127.0.0.1:{port}", prefix=OURS) as subject:
        (worker,) = subject.pids("worker")
        (busy,) = await connected(subject.port, 1)
        await asyncio.gather(*[wire.send(call()) for wire in await connected(subject.port, 100)])
        alone = await steady([busy], 200, 3.0)
        quiet_us, memory_kb = await resting(worker), private_kb(worker)
        wires: list[Wire] = []
        while len(wires) < options.idle:
            more = await connected(subject.port, min(100, options.idle - len(wires)))
            await asyncio.gather(*(wire.send(call()) for wire in more))
            wires += more
        await asyncio.sleep(SETTLE_S)
        found["kb_each"] = (private_kb(worker) - memory_kb) / options.idle
        found["cpu_us_per_s"] = {"without": quiet_us, "with": await resting(worker)}
        among = await steady([busy], 200, 3.0)
        found["held"] = sum(subject.connections())
        await close(wires)
        again = await steady([busy], 200, 3.0)
    p50 = [statistics.median(ms) for ms in (alone, among, again)]
    return {**found, "p50_ms": p50, "ratio": 2 * p50[1] / (p50[0] + p50[2])}


async def resting(pid: int, seconds: float = 6.0) -> float:
    before = cpu_us(pid)
    await asyncio.sleep(seconds)
    return (cpu_us(pid) - before) / seconds


class Counted(Target):
    """The fast provider, told apart by connection."""

    made = 0

    def connection_made(self, transport: Any) -> None:
        Counted.made += 1
        super().connection_made(transport)


async def reuse(options: argparse.Namespace) -> Found:
    """Calls at a steady rate with the provider behind TLS: how many did without a handshake."""
    loop, found = asyncio.get_running_loop(), {}
    with trusted() as made:
        server = await loop.create_server(
            lambda: Counted(loop.call_later), "127.0.0.1", 0, ssl=made.server_context(), backlog=4096
        )
        port = server.sockets[0].getsockname()[1]
        for count in (1, 2):
            with weir(f"https://127.0.0.1:{port}", workers=count, authority=made.authority, prefix=OURS) as subject:
                Counted.made = 0
                wires = await connected(subject.port, options.connections)
                answered = len(await steady(wires, options.rate, 10.0))
                shares = {"calls": answered, "handshakes": Counted.made, "reused": 1 - Counted.made / answered}
                found[f"workers_{count}"] = shares
                await close(wires)
        server.close()
    return {**found, "at_least": 0.99}


async def replace(options: argparse.Namespace) -> Found:
    """Callers with a new connection for each call while a worker is replaced or settings are loaded: how calls end."""
    found: Found = {}
    with target(prefix=THEIRS) as port, weir(f"http://127.0.0.1:{port}", workers=2, prefix=OURS) as subject:
        for name in ("nothing", "reload", "drain", "kill"):
            ends: Counter[str] = Counter()
            stop = asyncio.Event()
            callers = [asyncio.ensure_future(short_calls(subject.port, ends, stop)) for _ in range(8)]
            for number in range(options.replacements):
                await asyncio.sleep(0.3)
                await disturb(subject, name, number)
            await asyncio.sleep(0.5)
            stop.set()
            await asyncio.gather(*callers)
            found[name] = dict(ends)
    return found


async def disturb(subject: Subject, how: str, number: int) -> None:
    if how == "reload":
        subject.configure("/v1" if number % 2 else "")
        subject.process.send_signal(signal.SIGHUP)
    if how not in ("drain", "kill"):
        return
    slot = number % 2
    before = subject.pids("worker")
    os.kill(before[slot], signal.SIGTERM if how == "drain" else signal.SIGKILL)
    await until(lambda: len(now := subject.pids("worker")) == 2 and before[slot] not in now)
    await until(lambda: subject.sockets(subject.pids("worker")[slot]))


async def short_calls(port: int, ends: Counter[str], stop: asyncio.Event) -> None:
    loop, data = asyncio.get_running_loop(), call().replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
    while not stop.is_set():
        try:
            _, wire = await loop.create_connection(Wire, "127.0.0.1", port)
        except OSError as error:
            ends[f"connect {error.errno}"] += 1
            continue
        try:
            async with asyncio.timeout(CALL_S):
                ends[await wire.send(data)] += 1
        except TimeoutError:
            ends["never"] += 1
        wire.transport.close()


@contextmanager
def trusted() -> Iterator[Certificates]:
    with tempfile.TemporaryDirectory(prefix="weir-scale-") as place:
        yield certificates(Path(place))


MEASURES = {measure.__name__: measure for measure in (workers, spread, calls, chunks, memory, idle, reuse, replace)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measures", nargs="*", default=list(MEASURES), metavar="MEASURE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=600.0, help="calls/s")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--chunk-rate", type=float, default=2000.0, help="events/s over all streams")
    parser.add_argument("--streams", type=int, default=5000, help="the most that are open")
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections")
    parser.add_argument("--replacements", type=int, default=6)
    parser.add_argument("--json", type=Path, help="where the figures are written")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.sched_setaffinity(0, {CORES[-1]})
    found: Found = {}
    for name in options.measures:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            found[name] = runner.run(MEASURES[name](options))
        print(name, json.dumps(found[name]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
