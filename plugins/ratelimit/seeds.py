"""What was spent before this process began: taken out of the buckets of days and months, once for each of them.

A limit of a process counts from the moment at which that first applied it; the history knows what was before. A bucket
that nobody has used in its window is claimed by the first process that does, and that one takes out of it what the
calls before that moment took. No call waits for this: what passes meanwhile passes as if nothing had been spent, which
is a matter of milliseconds, and of seconds where a day has a million calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from plugins.ratelimit.pools import OWN, Pool, fits
from proxy.plugin import Kit, Spent

SEEN = 100_000
"""Buckets that are known to have been looked at."""
LIMITS = 10_000
TABLES = 64
Charge = Callable[[int], int]
"""Nano-USD for so many tokens without a price."""
Table = dict[str, list[Spent]]
"""What was spent, by whose it is."""


class Span(NamedTuple):
    """What a table is of."""

    by: str
    models: bool
    since_s: float
    until_s: float


class Seeds:
    """One per worker."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._seen: set[str] = set()
        self._begun: dict[tuple[object, ...], float] = {}
        self._tables: dict[Span, Table] = {}
        self._turn = asyncio.Lock()

    def sow(self, pools: Iterable[Pool], at_s: float, charge: Charge) -> None:
        """At the first use of these buckets here, by a call that began at `at_s`. Returns at once."""
        if self._kit.spent is None:
            return
        fresh: list[tuple[Pool, float]] = []
        for pool in pools:
            if not pool.begins_s or pool.key in self._seen:
                continue
            if len(self._seen) >= SEEN:
                self._seen.clear()
            self._seen.add(pool.key)
            until_s = self._applied(pool, at_s)
            if pool.begins_s < until_s and not (pool.by == "user" and pool.whose.endswith("\0")):
                fresh.append((pool, until_s))
        if fresh:
            self._kit.tasks.spawn("limits seeded", self._seed(fresh, charge))

    def forget(self, user: str) -> None:
        """Nothing is known of this person any more."""
        for span, table in self._tables.items():
            if span.by == "user":
                for whose in [whose for whose in table if whose.partition("\0")[2] == user]:
                    del table[whose]

    def _applied(self, pool: Pool, at_s: float) -> float:
        """Since when this process applies the limit that the bucket is of."""
        if len(self._begun) >= LIMITS:
            self._begun.clear()
        own = pool.whose if pool.whose.startswith(OWN) else ""
        return self._begun.setdefault((pool.by, own, pool.names, pool.models, pool.measure), at_s)

    async def _seed(self, pools: list[tuple[Pool, float]], charge: Charge) -> None:
        for pool, until_s in pools:
            claim, store = f"{pool.key}:seeded", self._kit.store
            if not await store.put_if(claim, b"1", None, pool.ttl_s):
                continue
            try:
                amount = await self._spent(pool, until_s, charge)
            except BaseException:
                await store.delete(claim)  # for whoever begins next
                raise
            if amount:
                store.settle((pool,), (amount,))

    async def _spent(self, pool: Pool, until_s: float, charge: Charge) -> int:
        by = "own" if pool.whose.startswith(OWN) else pool.by
        table = await self._table(Span(by, bool(pool.models), pool.begins_s, until_s))
        found = [one for one in table.get(pool.whose, ()) if fits(pool.models, one.model)]
        if pool.kind == "requests":
            return sum(one.requests for one in found)
        if pool.kind == "tokens":
            return sum(one.tokens for one in found)
        return sum(one.nano_usd + charge(one.unpriced_tokens) for one in found)

    async def _table(self, span: Span) -> Table:
        async with self._turn:
            table = self._tables.get(span)
            if table is None:
                if len(self._tables) >= TABLES:
                    self._tables.clear()
                table = self._tables[span] = await self._read(span)
            return table

    async def _read(self, span: Span) -> Table:
        spent = self._kit.spent
        assert spent is not None
        table: Table = {}
        for day in _days(span.since_s, span.until_s):
            for one in await spent(span.by, day, span.until_s, models=span.models):
                table.setdefault(_whose(span.by, one), []).append(one)
        return table


def _whose(by: str, one: Spent) -> str:
    """As `pools.applying` names them."""
    if by == "own":
        return OWN + one.name
    if by in ("agent", "user", "key"):
        return f"{one.tenant}\0{one.name}"
    return one.tenant if by == "tenant" else one.name


def _days(since_s: float, until_s: float) -> list[str]:
    """The newest first: it is asked for most."""
    day, days = datetime.fromtimestamp(since_s, UTC), []
    while day.timestamp() < until_s:
        days.append(day.strftime("%Y-%m-%d"))
        day += timedelta(days=1)
    return days[::-1]
