"""What `ratelimit` tells of budgets to whoever chooses models below."""

from __future__ import annotations

from dataclasses import replace

from plugins.ratelimit.options import Limit, RateLimitOptions
from plugins.ratelimit.plugin import RateLimit
from proxy.coroutines import at_once
from proxy.exchange import BUDGET_LEFT, Exchange
from tests import kit


def call(*limits: Limit) -> Exchange:
    options = RateLimitOptions(limits=limits)
    snapshot = replace(kit.snapshot(), resolve=lambda plugin, agent, variant: options)
    doc = {"model": "m", "max_tokens": 5000, "messages": [{"role": "user", "content": "hello"}]}
    exchange = kit.exchange(snapshot, doc)
    at_once(RateLimit(kit.kit()).request(exchange))
    return exchange


def test_the_share_that_is_left_of_the_tightest_budget_is_told() -> None:
    left = call(Limit(by="all", usd_per_day=1.0), Limit(by="all", usd_per_day=0.01)).notes.read(BUDGET_LEFT)
    alone = call(Limit(by="all", usd_per_day=1.0)).notes.read(BUDGET_LEFT)
    assert left is not None
    assert alone is not None
    assert 0.5 < left < 0.95 < alone < 1.0


def test_without_a_budget_nothing_is_told() -> None:
    assert BUDGET_LEFT not in call(Limit(by="all", requests_per_minute=5)).notes
