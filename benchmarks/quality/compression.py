"""Compression: tokens saved by kind of text, needles kept in extracts, money net of the provider's cache, the time."""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import orjson

from benchmarks.quality import extracts, needles, payloads
from benchmarks.quality.report import Table, rate
from plugins.compression.budget import cut
from plugins.compression.options import CompressionOptions
from plugins.compression.plugin import Compression
from plugins.compression.shrink import Rules, shrunk
from proxy import wire
from proxy.app.bench import opened
from proxy.exchange import Caller, Exchange, Request, Response, Target, Usage
from proxy.tokens import Counts, Tokens, slices, table_of

TEXTS = 60
NEEDLES = 300
TIMED, ROUNDS = 60, 7
WANTED_MS = 0.2
"""For a KB."""
MODEL = "gpt-4o"
TARGETS = {"JSON, nested": 25, "JSON, flat rows": 45, "logs": 45, "tool schemas": 30}
BUDGETS = (("half", 2), ("quarter", 4), ("tenth", 10))
CONVERSATIONS, TURNS = 12, 8
LEAST_CACHED = 1024
"""Tokens; shorter prefixes are not cached, and hits come in steps of `STEP`."""
STEP = 128

Count = Callable[[str], int]


def run(arguments: argparse.Namespace) -> list[Table]:
    """The tables."""
    tokens = Tokens()
    tokens.load(MODEL)

    def count(text: str) -> int:
        return tokens.count(text, MODEL)

    return [_saved(count), _kept(count), *extracts.tables(count), asyncio.run(_money(count)), _times()]


def _saved(count: Count) -> Table:
    lines = []
    for kind in payloads.KINDS:
        before = after = smaller = 0
        least = 1.0
        for text in payloads.texts(kind, TEXTS):
            found = shrunk(text, Rules(schemas=True), count)
            whole = count(text)
            left = found.after if found.techniques else whole
            before, after, smaller = before + whole, after + left, smaller + bool(found.techniques)
            least = min(least, 1 - left / whole)
            assert left <= whole
        wanted = f">= {TARGETS[kind]} %" if kind in TARGETS else ""
        lines.append(
            [kind, str(TEXTS), f"{before:,}", f"{100 * (1 - after / before):.1f} %", f"{100 * least:.1f} %", wanted]
        )
    about = (
        f"Tokens of {MODEL}. Made-up texts (`payloads`); JSON is indented as tools write it, schemas are compact and as"
        " pydantic writes them. Schemas are trimmed only where the operator says so. No text is larger than it was."
    )
    return Table(
        "Compression: tokens saved", ["kind", "texts", "tokens", "saved", "least of a text", "target"], lines, [about]
    )


def _kept(count: Count) -> Table:
    lines = []
    for name, share in BUDGETS:
        cells = []
        over = 0
        for reworded in (False, True):
            kept = 0
            for case in needles.cases(NEEDLES, reworded=reworded):
                whole = count(case.text)
                found = cut(case.text, case.question, whole // share, Rules(), count)
                kept += found is not None and case.needle.rstrip(".") in found.text
                over += found is None or found.after > whole // share
            cells.append(rate(kept, NEEDLES))
        lines.append([f"{name} of the tokens", *cells, str(over)])
    about = (
        f"{needles.PARAGRAPHS} paragraphs a page, one sentence of them is asked for: in its own words, or in others."
    )
    columns = ["budget", "named in the question", "reworded", "over the budget"]
    return Table("Compression: needles kept in extracts", columns, lines, [about])


# --- money


async def _money(count: Count) -> Table:
    lines = []
    for name, begin in (("from the first turn on", 0), ("switched on in the fourth turn", 3)):
        plain = spent = told = 0.0
        async with opened(None, os.environ, only="compression") as bench:
            plugin = bench.plugins["compression"]
            assert isinstance(plugin, Compression)
            for seed in range(CONVERSATIONS):
                sums = await _conversation(plugin, count, seed, begin)
                plain, spent, told = plain + sums[0], spent + sums[1], told + sums[2]
        lines.append(
            [
                name,
                f"{plain / 1e9:.4f}",
                f"{spent / 1e9:.4f}",
                f"{100 * (1 - spent / plain):.1f} %",
                f"{told / 1e9:.4f}",
            ]
        )
    about = (
        f"{CONVERSATIONS} conversations of {TURNS} turns with a tool result each; the provider keeps prefixes:"
        f" what a call begins with as the one before did is read at what {MODEL} costs then, from {LEAST_CACHED}"
        " tokens on. Input only. The last column is what the plugin itself reports."
    )
    columns = ["compression", "USD without", "USD with", "saved", "saved by the ledger"]
    return Table("Compression: money, net of the provider's cache", columns, lines, [about])


async def _conversation(plugin: Compression, count: Count, seed: int, begin: int) -> tuple[float, float, float]:
    """What the calls of a conversation cost without and with, and what the plugin said that it saved."""
    make = payloads.Maker(seed)
    history: list[dict[str, Any]] = [{"role": "system", "content": make.prose()}]
    before: tuple[list[str], list[str]] = ([], [])
    plain = spent = told = 0.0
    for turn in range(TURNS):
        kind = make.random.choice(["JSON, nested", "JSON, flat rows", "logs", "prose", "code"])
        history += [
            {"role": "user", "content": make.sentence()},
            _called(turn),
            _given(turn, payloads.KINDS[kind](make)),
        ]
        exchange = _call(plugin, history, f"conversation {seed}")
        if turn >= begin:
            await plugin.request(exchange)
        sent = [orjson.dumps(one).decode() for one in exchange.request.present()["messages"]]
        as_is = [orjson.dumps(one).decode() for one in history]
        plain += _cost(plugin, _usage(count, as_is, before[0]))
        used = _usage(count, sent, before[1])
        spent += _cost(plugin, used)
        told += sum(saving.nano_usd or 0 for saving in exchange.savings)
        exchange.response = Response(usage=used, usage_source="provider")
        if turn >= begin:
            await plugin.finish(exchange)
        before = (as_is, sent)
        history.append({"role": "assistant", "content": make.sentence()})
    return plain, spent, told


def _call(plugin: Compression, messages: Sequence[dict[str, Any]], conversation: str) -> Exchange:
    codec = wire.codec("chat")
    body = orjson.dumps({"model": MODEL, "messages": messages})
    request = Request("chat", "POST", "/v1/chat/completions", "", [], body, doc=codec.read(body), model=MODEL,
                      walk=codec.walk, write=codec.write)  # fmt: skip
    exchange = Exchange("wr_bench", Caller(), request, at_s=time.time(), start=0.0, snapshot=plugin.kit.live.current)
    exchange.target, exchange.conversation = Target("openai", MODEL), conversation
    return exchange


def _called(turn: int) -> dict[str, Any]:
    function = {"name": "look", "arguments": "{}"}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": f"c{turn}", "type": "function", "function": function}],
    }


def _given(turn: int, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": f"c{turn}", "content": text}


def _usage(count: Count, now: Sequence[str], before: Sequence[str]) -> Usage:
    """As a provider counts it that keeps the prefix of the call before."""
    same = 0
    for one, other in zip(now, before, strict=False):
        if one != other:
            break
        same += count(one)
    whole = sum(map(count, now))
    cached = same // STEP * STEP if same >= LEAST_CACHED else 0
    return Usage(input=whole - cached, cache_read=cached)


def _cost(plugin: Compression, usage: Usage) -> float:
    cost, _ = plugin.kit.prices.cost_nano_usd("openai", MODEL, usage, time.time())
    assert cost is not None
    return cost


# --- time


def _times() -> Table:
    counts = Counts(table_of(MODEL)[0])

    def count(text: str) -> int:
        """Without what was counted before."""
        return sum(map(counts.measure, slices(text)))

    kinds = {kind: list(payloads.texts(kind, TIMED, seed=7)) for kind in payloads.KINDS}
    least = {kind: [math.inf] * TIMED for kind in kinds}
    for _ in range(ROUNDS):  # (all kinds in each, so that none has a slow minute of the machine to itself)
        for kind, texts in kinds.items():
            least[kind] = [min(before, _ms_per_kb(one, count)) for before, one in zip(least[kind], texts, strict=True)]
    lines, all_ms = [], []
    for kind, spent in least.items():
        all_ms += spent
        size = sum(map(len, kinds[kind])) / TIMED / 1024
        lines.append([kind, f"{size:.1f} KB", *_quantiles(spent), _within(spent)])
    lines.append(["all", "", *_quantiles(all_ms), _within(all_ms)])
    lines.append(["extract to a quarter", "15.6 KB", *_quantiles(_of_extracts(count)), ""])
    lines.append(["call with nothing to shorten", "1.5 KB", f"{_idle_us():.1f} us a call", "", ""])
    about = (
        f"{TIMED} texts of a kind, the least of {ROUNDS} rounds for each, since neighbours on the machine only add;"
        f" wanted: <= {WANTED_MS} ms. Counting tokens before and after is about a half of it."
    )
    columns = ["kind", "size", "median", "p99", "texts within what is wanted"]
    return Table("Compression: CPU time for a KB, texts never seen, counting included", columns, lines, [about])


def _of_extracts(count: Count) -> list[float]:
    """CPU milliseconds for a KB of extracts, the shortening of what is left included."""
    spent = []
    for one in islice(extracts.natural(16_000, held_out=False), TIMED):
        tokens = count(one.text)
        start = time.thread_time()
        cut(one.text, one.question, tokens // 4, Rules(), count)
        spent.append(1000 * (time.thread_time() - start) / (len(one.text) / 1024))
    return spent


def _ms_per_kb(text: str, count: Count) -> float:
    start = time.thread_time()
    shrunk(text, Rules(schemas=True), count)
    return 1000 * (time.thread_time() - start) / (len(text) / 1024)


def _quantiles(spent: Sequence[float]) -> list[str]:
    ordered = sorted(spent)
    return [f"{ordered[int(share * (len(ordered) - 1))]:.3f} ms" for share in (0.5, 0.99)]


def _within(spent: Sequence[float]) -> str:
    return rate(sum(one <= WANTED_MS for one in spent), len(spent))


def _idle_us() -> float:
    """A chat of 1.5 KB, walked before."""
    messages = [{"role": "system", "content": "Be brief. " * 20}, {"role": "user", "content": "How is it? " * 120}]

    async def spent() -> float:
        async with opened(None, os.environ, only="compression") as bench:
            plugin = bench.plugins["compression"]
            assert isinstance(plugin, Compression)
            exchange = _call(plugin, messages, "c")
            exchange.resolved[plugin.name] = CompressionOptions()
            assert exchange.request.segments
            start = time.thread_time()
            for _ in range(2000):
                await plugin.request(exchange)
                await plugin.finish(exchange)
            return 1e6 * (time.thread_time() - start) / 2000

    return asyncio.run(spent())
