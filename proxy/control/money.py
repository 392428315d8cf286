"""Money for the admin port: what was saved, net, beside what was spent; what providers did for it; who waits.

A span's files are read one after another, in a thread, one question at a time: about two seconds for a million calls.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from proxy.control.queries import Query, moment, only
from proxy.errors import BadRequest
from proxy.store import consumption, savings
from proxy.store.history import History
from proxy.store.rows import Filter

Json = Any
T = TypeVar("T")
OVER_CHARACTERS = 1000
SUMMED = (
    "count",
    "calls",
    "input_tokens",
    "output_tokens",
    "nano_usd",
    "unpriced",
    "losses",
    "lost_nano_usd",
    "risked",
)
USED = (
    "calls", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "nano_usd", "unpriced",
    "estimated",
)  # fmt: skip
SPENT = ("calls", "nano_usd", "unpriced", "input_tokens", "output_tokens")
SERVED = ("HIT", "SEMANTIC")
"""Answers that came from the cache."""
APART = ("BYPASS", "COALESCED")
"""Neither found nor missed: `weir cache stats` counts them apart, too."""
RISKS = 20
Sums = dict[tuple[str, ...], dict[str, int]]


class Money:
    """Raises BadRequest for a parameter that is none."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._turn = asyncio.Lock()

    async def savings(self, query: Query) -> Json:
        """Net tokens and money by plugin, kind, agent or day; enforced and in shadow apart; spent with Weir and what it
        would have been without; how often the cache had an answer."""
        only(query, {"since", "until", "by", "agent"})
        by = query.get("by", "plugin")
        if by not in savings.BY:
            raise BadRequest(f"must be one of: {', '.join(savings.BY)}", param="by")
        span, agent = _span(query), query.get("agent")
        return {"by": by, **await self._in_turn(self._saved, by, span, agent)}

    async def usage(self, query: Query) -> Json:
        """Tokens and money by day (UTC), provider and model, of calls that a provider worked for."""
        only(query, {"since", "until", "upstream"})
        return {"data": await self._in_turn(self._used, _span(query), query.get("upstream"))}

    async def unstreamed(self, query: Query) -> Json:
        """Agents that wait for whole answers of more characters than `over`, those with the most first."""
        only(query, {"since", "until", "over"})
        over = query.get("over", str(OVER_CHARACTERS))
        if not over.isascii() or not over.isdigit() or len(over) > 9:
            raise BadRequest("must be a number of characters", param="over")
        return {"over": int(over), "data": await self._in_turn(self._waiting, _span(query), int(over))}

    async def _in_turn(self, work: Callable[..., T], *arguments: Any) -> T:
        async with self._turn:
            return await asyncio.to_thread(work, *arguments)

    def _saved(self, by: str, span: Filter, agent: str | None) -> Json:
        groups: Sums = {}
        for day, rows in self._history.sums(savings.statement(by), span, (agent, agent)):
            for row in rows:
                first = day if by == "day" else row["first"]
                _add(groups, (first or "", row["second"] or "", row["mode"]), row, SUMMED)
        spent: Sums = {}
        for _, rows in self._history.sums(savings.SPENT, span, (agent, agent)):
            for row in rows:
                _add(spent, (row["cache"],), row, SPENT)
        risks: Sums = {}
        for _, rows in self._history.sums(savings.RISKS, span, (agent, agent)):
            for row in rows:
                _add(risks, (row["plugin"], row["kind"], row["mode"], row["risk"]), row, ("count",))
        totals = {
            mode: _total((sums for key, sums in groups.items() if key[2] == mode), SUMMED)
            for mode in ("enforce", "shadow")
        }
        return {
            "data": [_told(by, key, sums) for key, sums in sorted(groups.items(), key=_best_first)],
            **{mode: _priced(sums) for mode, sums in totals.items()},
            "spent": _spent(_total(spent.values(), SPENT), totals["enforce"]),
            "cache": _cache({key[0]: sums["calls"] for key, sums in spent.items()}),
            "risks": _risks(risks),
        }

    def _used(self, span: Filter, upstream: str | None) -> Json:
        found = []
        for day, rows in self._history.sums(consumption.USED, span, (upstream, upstream)):
            for row in rows:
                told = {name: row[name] for name in USED}
                found.append({"day": day, "upstream": row["upstream"], "model": row["model"], **_priced(told)})
        return found

    def _waiting(self, span: Filter, over: int) -> Json:
        agents: dict[str, dict[str, float]] = {}
        for _, rows in self._history.sums(consumption.UNSTREAMED, span, (over,)):
            for row in rows:
                sums = agents.setdefault(row["agent"], dict.fromkeys(("calls", "unstreamed", "long", "waited_ms"), 0))
                for name in sums.keys() - {"longest"}:
                    sums[name] += row[name] or 0
                sums["longest"] = max(sums.get("longest", 0), row["longest"] or 0)
        return [
            {
                "agent": agent, "calls": sums["calls"], "unstreamed": sums["unstreamed"], "long": sums["long"],
                "longest_characters": sums["longest"], "mean_wait_ms": round(sums["waited_ms"] / sums["long"], 1),
            }
            for agent, sums in sorted(agents.items(), key=lambda pair: (-pair[1]["long"], pair[0]))
            if sums["long"]
        ]  # fmt: skip


def _span(query: Query) -> Filter:
    return Filter(since_s=moment(query, "since"), until_s=moment(query, "until"))


def _add(groups: Sums, key: tuple[str, ...], row: sqlite3.Row, names: Iterable[str]) -> None:
    sums = groups.setdefault(key, {})
    for name in names:
        sums[name] = sums.get(name, 0) + (row[name] or 0)


def _total(groups: Iterable[Mapping[str, int]], names: Iterable[str]) -> dict[str, int]:
    total = dict.fromkeys(names, 0)
    for sums in groups:
        for name in total:
            total[name] += sums[name]
    return total


def _best_first(group: tuple[tuple[str, ...], dict[str, int]]) -> tuple[Any, ...]:
    (first, second, mode), sums = group
    return mode, -sums["nano_usd"], -sums["input_tokens"] - sums["output_tokens"], first, second


def _priced(sums: Mapping[str, int]) -> dict[str, Json]:
    return {**sums, "usd": sums["nano_usd"] / 1e9}


def _told(by: str, key: tuple[str, ...], sums: Mapping[str, int]) -> Json:
    first, second, mode = key
    names = {"plugin": first, "kind": second} if by == "kind" else {by: first}
    return {**names, "mode": mode, **_priced(sums)}


def _spent(spent: dict[str, int], saved: Mapping[str, int]) -> Json:
    """`without`: what the same calls would have taken without Weir. Calls without a price are in neither."""
    nano, tokens = spent["nano_usd"] + saved["nano_usd"], spent["input_tokens"] + spent["output_tokens"]
    spared = saved["input_tokens"] + saved["output_tokens"]
    return {
        **_priced(spent),
        "without_usd": nano / 1e9,
        "without_input_tokens": spent["input_tokens"] + saved["input_tokens"],
        "without_output_tokens": spent["output_tokens"] + saved["output_tokens"],
        "money_saved_share": saved["nano_usd"] / nano if nano > 0 else None,
        "tokens_saved_share": spared / (tokens + spared) if tokens + spared > 0 else None,
    }


def _cache(calls: Mapping[str, int]) -> Json:
    """`hit_rate`: of the calls that looked for a kept answer and shared none under way; `hit_rate_of_all`: of all."""
    asked = {name: count for name, count in calls.items() if name}
    hits = sum(asked.get(name, 0) for name in SERVED)
    eligible = sum(count for name, count in asked.items() if name not in APART)
    every = sum(calls.values())
    return {
        **dict(sorted(asked.items())),
        "hit_rate": hits / eligible if eligible else None,
        "hit_rate_of_all": hits / every if every else None,
    }


def _risks(found: Sums) -> Json:
    often = sorted(found.items(), key=lambda pair: (-pair[1]["count"], pair[0]))[:RISKS]
    return [
        {"plugin": plugin, "kind": kind, "mode": mode, "risk": risk, "count": sums["count"]}
        for (plugin, kind, mode, risk), sums in often
    ]
