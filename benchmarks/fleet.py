"""A fleet of 51 agents for an hour of its work, with the chain off and on: hits, tokens, money and response times.

    python -m benchmarks.fleet [--calls 120] [--scale 0.1] [--rounds 1] [--markdown FILE]

All ways of running see the same calls (`benchmarks/simulated/mix.py`: seeded, and on which statistics it rests), sent
by 51 agents at once, each one call after the other, to a provider that counts them (`benchmarks/simulated/market.py`).
Tokens and money are what that provider counted, at public prices: no figure of Weir's own is believed.

The provider's times are shrunk by `--scale`, Weir's own are not: against what a caller of a real provider sees, Weir's
share of a response time is exaggerated. How often the same is asked decides about hits, and grows with the traffic:
`--calls` is the number for each agent while answers are kept.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from benchmarks.simulated.mix import MODEL, SMALL, Agent, fleet
from benchmarks.speed import subjects
from benchmarks.speed.machine import OTHERS
from proxy import pricetable
from proxy.exchange import Usage
from proxy.prices import Prices

GUARDS = ("ratelimit", "injection", "pii", "output_filter")
POOL = {"name": "usual", "asked": [MODEL], "models": [{"target": f"target/{SMALL}"}, {"target": f"target/{MODEL}"}]}
CHEAPER: dict[str, Any] = {"routing": {"options": {"pools": [POOL]}}}
WAYS: dict[str, dict[str, Any]] = {
    "off": {},
    "cache": {"cache": {}},
    "compression": {"compression": {}},
    "routing": CHEAPER,
    "embeddings": {"embeddings": {}},
    "as it comes": {**{name: {} for name in GUARDS}, "cache": {}, "embeddings": {}, "compression": {}},
    "with routing": {**{name: {} for name in GUARDS}, **CHEAPER, "cache": {}, "embeddings": {}, "compression": {}},
}
"""Plugins beside audit and metering. Each alone tells what it spares; `as it comes` is what a fresh Weir has."""
CLAIMED = "hits 62 %, tokens -31 %, money -34 %, response time -62 %"


@dataclass(slots=True)
class Run:
    """What came of one way of running."""

    took_ms: list[float] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    failed: Counter[int] = field(default_factory=Counter)
    bill: dict[str, list[int]] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        return sum(sum(counts[1:]) for counts in self.bill.values())

    @property
    def upstream(self) -> int:
        return sum(counts[0] for counts in self.bill.values())

    def usd(self, prices: Prices) -> float:
        total = 0
        for model, (_, fresh, cached, written) in self.bill.items():
            usage = Usage(input=fresh, cache_read=cached, output=written)
            cost, _ = prices.cost_nano_usd("openai", model, usage, time.time())
            if cost is None:
                raise SystemExit(f"no price is known for {model}")
            total += cost
        return total / 1e9

    def percentile(self, share: float) -> float:
        ordered = sorted(self.took_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=120, help="calls of each agent")
    parser.add_argument("--scale", type=float, default=0.1, help="of the provider's times")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each way, interleaved")
    parser.add_argument("--ways", default=",".join(WAYS), help="which, comma-separated")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    names = [name for name in options.ways.split(",") if name]
    if strange := [name for name in names if name not in WAYS]:
        raise SystemExit(f"no such way: {', '.join(strange)} (there are {', '.join(WAYS)})")
    with tempfile.TemporaryDirectory() as work:
        told = report(names, measured(names, options, Path(work)), options)
    sys.stdout.write(told)
    if options.markdown:
        options.markdown.write_text(told)
    return 0


def measured(names: list[str], options: Any, work: Path) -> dict[str, list[Run]]:
    """Every way in turn, each with a fresh Weir and a provider that has forgotten all."""
    found: dict[str, list[Run]] = {name: [] for name in names}
    market = subjects.start(_market(options.scale), work / "market")
    try:
        url = f"http://127.0.0.1:{market.port}"
        for number in range(options.rounds):
            for name in names:
                running = subjects.start(_weir(name, url), work / f"weir-{number}")
                try:
                    found[name].append(asyncio.run(_worked(running.port, url, options.calls)))
                finally:
                    running.stop()
    finally:
        market.stop()
    return found


def _market(scale: float) -> subjects.Subject:
    def command(port: int, work: Path) -> subjects.Command:
        return [sys.executable, "-m", "benchmarks.simulated.market", str(port), "--scale", str(scale)], {}

    return subjects.Subject("market", "the provider", command, cores=OTHERS)


def _weir(name: str, url: str) -> subjects.Subject:
    upstream = subjects.upstream(url)
    plugins = {"audit": {}, "metering": {}, **WAYS[name]}
    settings = {"upstreams": upstream, "log": {"level": "warning"}, "unready_ms": 0, "plugins": plugins}
    return subjects.weir(name, name, settings)


async def _worked(port: int, provider: str, calls: int) -> Run:
    """All agents at once, each at its own work."""
    run = Run()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        async with session.post(f"{provider}/bill"):
            pass
        await asyncio.gather(*(_work(session, port, agent, calls, run) for agent in fleet()))
        async with session.get(f"{provider}/bill") as answer:
            run.bill = await answer.json()
    return run


async def _work(session: aiohttp.ClientSession, port: int, agent: Agent, calls: int, run: Run) -> None:
    for call in agent.calls(calls):
        url = f"http://127.0.0.1:{port}/agents/{agent.name}{call.path}"
        begun = time.perf_counter()
        async with session.post(url, data=orjson.dumps(call.body), headers={"content-type": "application/json"}) as got:
            await got.read()
            run.took_ms.append((time.perf_counter() - begun) * 1000)
            run.states[got.headers.get("x-weir-cache", "")] += 1
            if got.status != 200:
                run.failed[got.status] += 1


def report(names: list[str], found: dict[str, list[Run]], options: Any) -> str:
    """A Markdown table; the first way is what the others are held against."""
    prices = Prices(pricetable.table())
    base = found[names[0]]
    calls = len(base[0].took_ms)
    lines = [
        f"51 agents, {calls} calls ({options.calls} an agent), {options.rounds} round(s), provider's times x "
        f"{options.scale}; asked for was: {CLAIMED}.",
        "",
        "| plugins | hits | coalesced | upstream calls | tokens | money, USD | p50 ms | p95 ms | p99 ms | refused |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name in names:
        runs = found[name]
        lines.append("| " + " | ".join([name, *_figures(runs, base, prices)]) + " |")
    return "\n".join([*lines, ""])


def _figures(runs: list[Run], base: list[Run], prices: Prices) -> list[str]:
    one, calls = runs[0], len(runs[0].took_ms)
    usd, before = one.usd(prices), base[0].usd(prices)
    made = [
        f"{one.states['HIT'] / calls:.1%}",
        f"{one.states['COALESCED'] / calls:.1%}",
        str(one.upstream),
        f"{one.tokens:,} ({one.tokens / base[0].tokens - 1:+.1%})",
        f"{usd:.2f} ({usd / before - 1:+.1%})",
    ]
    for share in (0.5, 0.95, 0.99):
        ours = statistics.median(run.percentile(share) for run in runs)
        theirs = statistics.median(run.percentile(share) for run in base)
        made.append(f"{ours:.0f} ({ours / theirs - 1:+.0%})")
    return [*made, str(sum(one.failed.values()))]


if __name__ == "__main__":
    sys.exit(main())
