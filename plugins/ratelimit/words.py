"""What a caller is told about its limits: the sentence of a 429, OpenAI's headers, and Weir's own on other answers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from plugins.ratelimit.pools import NANO_USD, Pool
from proxy.errors import Limited
from proxy.ports import Taken

SOON_S = 1.0
"""When a slot may be free again: nobody knows."""
PATIENT_S = 60.0
"""Clients that are told to come back later than this try at once instead, so they are told not to."""
OWN = "x-weir-ratelimit"
WARNING = "x-weir-limit-warning"

Left = Sequence[int]


def limited(pools: Sequence[Pool], amounts: Sequence[int], taken: Taken, at_s: float) -> Limited:
    """The answer to a call that would be over a limit: the one that it would have to wait for longest."""
    left = taken.left
    waits = [_wait_s(pool, amount, rest, at_s) for pool, amount, rest in zip(pools, amounts, left, strict=True)]
    place = max(range(len(pools)), key=lambda index: (waits[index], amounts[index] > left[index]))
    pool, wait_s = pools[place], waits[place]
    if math.isfinite(taken.wait_s):  # (it knows of debts)
        wait_s = max(wait_s, taken.wait_s)
    never = amounts[place] > pool.capacity
    error = Limited(_sentence(pool, amounts[place], never, wait_s), retry_after_s=None if never else wait_s)
    error.code = "insufficient_quota" if pool.kind == "money" else "rate_limit_exceeded"
    error.headers += tuple(headers(pools, left, at_s, "x-ratelimit"))
    if never or wait_s > PATIENT_S:
        error.headers += (("x-should-retry", "false"),)
    return error


def headers(pools: Sequence[Pool], left: Left, at_s: float, prefix: str) -> list[tuple[str, str]]:
    """Of calls and of tokens: the tightest limit, what is left of it, and when all of it will be there again."""
    found: list[tuple[str, str]] = []
    for kind in ("requests", "tokens"):
        mine = [(rest / pool.capacity, pool, rest) for pool, rest in zip(pools, left, strict=True) if pool.kind == kind]
        if mine:
            _, pool, rest = min(mine, key=lambda one: one[0])
            rest = min(rest, pool.capacity)
            found += [
                (f"{prefix}-limit-{kind}", str(pool.capacity)),
                (f"{prefix}-remaining-{kind}", str(rest)),
                (f"{prefix}-reset-{kind}", span(_full_s(pool, rest, at_s))),
            ]
    return found


def span(seconds: float) -> str:
    """As OpenAI writes it: 120ms, 1s, 6m0s, 2h3m0s."""
    if seconds < 1:
        return f"{math.ceil(max(0.0, seconds) * 1000)}ms"
    whole = math.ceil(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def named(pool: Pool) -> str:
    return f"{pool.measure} of {'all calls' if pool.by == 'all' else f'this {pool.by}'}"


def _wait_s(pool: Pool, amount: int, left: int, at_s: float) -> float:
    if amount <= left:
        return 0.0
    if pool.slots:
        return SOON_S
    if pool.refill_per_s <= 0:
        return max(1.0, pool.ends_s - at_s)
    return (amount - left) / pool.refill_per_s


def _full_s(pool: Pool, left: int, at_s: float) -> float:
    if pool.refill_per_s <= 0:
        return max(0.0, pool.ends_s - at_s)
    return (pool.capacity - left) / pool.refill_per_s


def _sentence(pool: Pool, amount: int, never: bool, wait_s: float) -> str:
    whose = "all calls together" if pool.by == "all" else f"this {pool.by}"
    if pool.kind == "money":
        period = "today's" if pool.measure.endswith("_day") else "this month's"
        need = "this call alone may cost more than" if never else "this call may cost more than is left of"
        return f"Over budget: {need} {period} {pool.capacity / NANO_USD:,.2f} USD of {whose}."
    if pool.kind == "calls":
        return f"Too many calls at once: {whose} may have {pool.capacity:,} under way."
    period = "minute" if pool.measure.endswith("_minute") else "day"
    if never:
        return (
            f"This call needs about {amount:,} {pool.kind}, and {whose} may use {pool.capacity:,} a {period}: "
            "make it shorter, or allow it a shorter answer."
        )
    return f"Rate limit reached: {whose} may use {pool.capacity:,} {pool.kind} a {period}. Try again in {span(wait_s)}."
