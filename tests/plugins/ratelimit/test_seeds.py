"""What was spent before a process began is taken out of its days and months, once, and nobody waits for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plugins.ratelimit.options import Limit, RateLimitOptions
from plugins.ratelimit.plugin import RateLimit
from proxy.coroutines import at_once
from proxy.errors import Limited, WeirError
from proxy.exchange import Exchange
from proxy.live import CallerKey, Identity
from proxy.plugin import Spent
from tests import kit

MIDDAY_S = 1_700_049_600.0  # 2023-11-15
DAY_S = 86_400.0


class Past:
    """`SpentKit`: what is told of every day, and what was asked."""

    def __init__(self, *spent: Spent, fails: bool = False) -> None:
        self.spent = list(spent)
        self.fails = fails
        self.asked: list[tuple[str, str, float, bool]] = []

    async def __call__(self, by: str, day: str, until_s: float, *, models: bool = False) -> list[Spent]:
        self.asked.append((by, day, until_s, models))
        if self.fails:
            raise WeirError("control is away", code="away")
        return self.spent


class Process:
    """A worker's plugin: what it begins with is in its own store, or in one that it is given."""

    def __init__(self, past: Past, *limits: Limit, store: Any = None, keys: tuple[CallerKey, ...] = ()) -> None:
        made = kit.kit()
        self.tasks: Any = made.tasks
        self.kit = replace(made, spent=past, store=store or made.store)
        self.plugin = RateLimit(self.kit)
        self.given(*limits, keys=keys)

    def given(self, *limits: Limit, keys: tuple[CallerKey, ...] = ()) -> None:
        options = RateLimitOptions(limits=limits)
        made = kit.snapshot(identity=Identity(keys=keys))
        self.snapshot = replace(made, resolve=lambda plugin, agent, variant: options)

    async def out(self, at_s: float = MIDDAY_S, **caller: Any) -> Exchange:
        """A call; then what was begun beside it is done."""
        model = caller.pop("model", "m")
        doc = {"model": model, "max_tokens": 10, "messages": [{"role": "user", "content": "hello there"}]}
        exchange = kit.exchange(self.snapshot, doc, **caller)
        exchange.at_s = at_s
        at_once(self.plugin.request(exchange))
        await self.tasks.settle()
        return exchange

    async def refused(self, at_s: float = MIDDAY_S, **caller: Any) -> None:
        with pytest.raises(Limited):
            await self.out(at_s, **caller)


def spent(name: str, tenant: str = "default", model: str = "", **sums: int) -> Spent:
    told = {"requests": 0, "tokens": 0, "unpriced_tokens": 0, "nano_usd": 0, **sums}
    return Spent(tenant, name, model, *told.values())


async def test_what_was_spent_today_is_spent_after_a_restart() -> None:
    past = Past(spent("a", requests=9, tokens=50_000, nano_usd=10**9), spent("b", tenant="t", requests=9))
    for limit in (Limit(requests_per_day=10), Limit(tokens_per_day=50_020), Limit(usd_per_day=1.0)):
        weir = Process(past, limit)
        await weir.out(agent="a")
        await weir.refused(agent="a")
        await weir.out(agent="b")
        await weir.out(agent="b")
    assert past.asked[0] == ("agent", "2023-11-15", MIDDAY_S, False)


async def test_a_month_is_the_sum_of_its_days() -> None:
    past = Past(spent("a", requests=1, nano_usd=10**8))
    weir = Process(past, Limit(usd_per_month=1.5))
    await weir.out(agent="a")
    await weir.refused(agent="a")
    assert [day for _, day, _, _ in past.asked] == [f"2023-11-{day:02}" for day in range(15, 0, -1)]
    await Process(past, Limit(usd_per_month=1.6)).out(agent="a")


@pytest.mark.parametrize(
    ("by", "told", "caller"),
    [
        ("agent", spent("a", requests=5), {"agent": "a"}),
        ("user", spent("ada", requests=5), {"user": "ada"}),
        ("tenant", spent("", tenant="t", requests=5), {"tenant": "t"}),
        ("key", spent("k", requests=5), {"key": "k"}),
        ("key", spent("cafe", requests=5), {"credential": "cafe"}),
        ("model", spent("m", tenant="", requests=5), {}),
        ("all", spent("", tenant="", requests=5), {}),
    ],
)
async def test_each_kind_of_limit_finds_its_own(by: Any, told: Spent, caller: dict[str, Any]) -> None:
    weir = Process(Past(told, spent("x", tenant="y", requests=900)), Limit(by=by, requests_per_day=6))
    await weir.out(**caller)
    await weir.refused(**caller)


async def test_a_keys_own_budget_is_asked_for_by_its_name() -> None:
    past = Past(spent("team", tenant="", nano_usd=10**9))
    weir = Process(past, keys=(CallerKey("team", "0" * 64, usd_per_day=1.0),))
    await weir.out(key="team", tenant="t")
    await weir.refused(key="team", tenant="t")
    assert past.asked[0][0] == "own"


async def test_only_calls_of_the_limits_models_count() -> None:
    past = Past(spent("a", model="gpt-4o", requests=3), spent("a", model="small", requests=900))
    weir = Process(past, Limit(models=("gpt-4*",), requests_per_day=4))
    await weir.out(agent="a", model="gpt-4.1")
    await weir.refused(agent="a", model="gpt-4.1")
    assert past.asked[0][3]


async def test_tokens_without_a_price_are_charged_as_calls_are() -> None:
    weir = Process(Past(spent("a", unpriced_tokens=10_000)), Limit(usd_per_day=1.0))  # 100 USD a million
    await weir.out(agent="a")
    await weir.refused(agent="a")


async def test_many_callers_are_one_question() -> None:
    past = Past(*[spent(f"u{number}", requests=1) for number in range(50)])
    weir = Process(past, Limit(by="user", requests_per_day=2), Limit(by="user", tokens_per_day=10_000))
    for number in range(50):
        await weir.out(user=f"u{number}")
        await weir.refused(user=f"u{number}")
    assert len(past.asked) == 1


async def test_the_next_day_begins_with_nothing_spent_and_nothing_is_asked() -> None:
    past = Past(spent("a", requests=9))
    weir = Process(past, Limit(requests_per_day=10))
    await weir.out(agent="a")
    for _ in range(10):
        await weir.out(MIDDAY_S + DAY_S, agent="a")
    await weir.refused(MIDDAY_S + DAY_S, agent="a")
    assert len(past.asked) == 1


async def test_of_processes_that_share_a_store_one_takes_it_out() -> None:
    past = Past(spent("a", requests=3))
    first = Process(past, Limit(requests_per_day=6))
    await first.out(agent="a")
    second = Process(past, Limit(requests_per_day=6), store=first.kit.store)
    await second.out(agent="a")
    await first.out(agent="a")
    await second.refused(agent="a")


async def test_a_limit_that_comes_later_counts_what_was_before_it() -> None:
    past = Past(spent("a", requests=3))
    weir = Process(past, Limit(by="all", tokens_per_minute=10**6))
    await weir.out(agent="a")
    assert not past.asked
    weir.given(Limit(requests_per_day=4))
    await weir.out(MIDDAY_S + 60, agent="a")
    await weir.refused(MIDDAY_S + 60, agent="a")
    assert past.asked == [("agent", "2023-11-15", MIDDAY_S + 60, False)]


async def test_where_nobody_knows_calls_pass_and_the_next_process_asks_again() -> None:
    past = Past(spent("a", requests=3), fails=True)
    weir = Process(past, Limit(requests_per_day=5))
    with pytest.raises(WeirError):
        await weir.out(agent="a")
    await weir.out(agent="a")
    past.fails = False
    again = Process(past, Limit(requests_per_day=5), store=weir.kit.store)
    with pytest.raises(Limited):
        for _ in range(2):
            await again.out(agent="a")


async def test_callers_without_a_user_are_not_asked_for() -> None:
    """Who was forgotten is one of them in the history: their sum is nobody's."""
    past = Past(spent("", requests=9))
    weir = Process(past, Limit(by="user", requests_per_day=2))
    await weir.out()
    await weir.out()
    assert not past.asked
