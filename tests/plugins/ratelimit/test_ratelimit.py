from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from plugins.ratelimit import words
from plugins.ratelimit.options import Limit, RateLimitOptions
from plugins.ratelimit.plugin import RateLimit
from plugins.ratelimit.pools import Pool
from proxy.coroutines import at_once
from proxy.errors import Limited, Refused
from proxy.exchange import Exchange, Response, Usage
from proxy.live import Agent, CallerKey, Entry, Identity
from proxy.route import Member
from proxy.store.bucket import Taken
from tests import kit

MIDDAY_S = 1_700_049_600.0
MESSAGES = [{"role": "user", "content": "hello there"}]


class Bench:
    """A plugin with its options; calls that go out and come back."""

    def __init__(self, *limits: Limit, keys: tuple[CallerKey, ...] = (), **options: Any) -> None:
        self.clock = kit.FakeClock()
        self.kit = kit.kit(self.clock)
        self.plugin = RateLimit(self.kit)
        made = RateLimitOptions(limits=limits, **options)
        self.snapshot = replace(
            kit.snapshot(identity=Identity(keys=keys)), resolve=lambda plugin, agent, variant: made
        )  # fmt: skip

    def call(self, at_s: float = MIDDAY_S, doc: dict[str, Any] | None = None, **caller: Any) -> Exchange:
        exchange = kit.exchange(self.snapshot, {"model": "m", "messages": MESSAGES, **(doc or {})}, **caller)
        exchange.at_s = at_s
        return exchange

    def out(self, at_s: float = MIDDAY_S, doc: dict[str, Any] | None = None, **caller: Any) -> Exchange:
        exchange = self.call(at_s, doc, **caller)
        at_once(self.plugin.request(exchange))
        exchange.timeline.sent, exchange.attempts = 1.0, 1
        return exchange

    def back(self, exchange: Exchange, usage: Usage | None = None, **response: Any) -> None:
        exchange.response = Response(usage=usage, usage_source="provider" if usage else "none", **response)
        at_once(self.plugin.finish(exchange))

    def refused(self, at_s: float = MIDDAY_S, doc: dict[str, Any] | None = None, **caller: Any) -> Limited:
        with pytest.raises(Limited) as caught:
            self.out(at_s, doc, **caller)
        return caught.value


def headers(error: Limited) -> dict[str, str]:
    return dict(error.headers)


def test_calls_over_a_minutes_limit_wait_for_their_turn() -> None:
    bench = Bench(Limit(by="agent", requests_per_minute=3))
    for _ in range(3):
        bench.back(bench.out(agent="a"))
    error = bench.refused(agent="a")
    assert (error.status, error.code, error.retry_after_s) == (429, "rate_limit_exceeded", 20.0)
    assert headers(error) == {
        "retry-after": "20", "x-ratelimit-limit-requests": "3", "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m0s",
    }  # fmt: skip
    assert "3 requests a minute" in error.message
    bench.out(agent="b")
    bench.clock.jump(20.0)
    bench.out(agent="a")
    bench.refused(agent="a")


def test_each_has_its_own_limit_by_what_is_counted() -> None:
    kinds: tuple[tuple[Any, dict[str, Any], dict[str, Any]], ...] = (
        ("agent", {"agent": "a"}, {"agent": "b"}),
        ("user", {"user": "u"}, {"user": "v"}),
        ("user", {"user": "u"}, {"user": "u", "tenant": "t"}),
        ("tenant", {"tenant": "s"}, {"tenant": "t"}),
        ("key", {"key": "k"}, {"key": "l"}),
        ("key", {"credential": "c"}, {"credential": "d"}),
    )
    for by, mine, other in kinds:
        bench = Bench(Limit(by=by, requests_per_day=1))
        bench.out(**mine)
        bench.out(**other)
        bench.refused(**mine)
    whole = Bench(Limit(by="all", requests_per_day=1))
    whole.out(agent="a", tenant="s")
    whole.refused(agent="b", tenant="t")


def test_callers_who_do_not_name_a_user_share_one_limit() -> None:
    bench = Bench(Limit(by="user", requests_per_day=1))
    bench.out(agent="a")
    bench.refused(agent="b")


def test_a_limit_may_be_for_some_names_and_models_alone() -> None:
    bench = Bench(Limit(by="agent", names=("tax-*",), models=("gpt-4*",), requests_per_day=1))
    for _ in range(3):
        bench.out(agent="law", doc={"model": "gpt-4o"})
        bench.out(agent="tax-1", doc={"model": "small"})
    bench.out(agent="tax-1", doc={"model": "gpt-4o"})
    bench.refused(agent="tax-1", doc={"model": "gpt-4.1"})
    models = Bench(Limit(by="model", requests_per_day=1))
    models.out(doc={"model": "x"})
    models.out(doc={"model": "y"})
    models.refused(doc={"model": "x"})


def test_tokens_are_reserved_before_and_settled_after() -> None:
    bench = Bench(Limit(by="agent", tokens_per_minute=1000))
    first = bench.out(doc={"max_tokens": 600})
    assert bench.refused(doc={"max_tokens": 600}).code == "rate_limit_exceeded"
    bench.back(first, Usage(input=5, output=45))
    second = bench.out(doc={"max_tokens": 600})
    bench.back(second, Usage(input=5, output=1195))
    error = bench.refused(doc={"max_tokens": 1})
    assert headers(error)["x-ratelimit-remaining-tokens"] == "0"
    assert error.retry_after_s is not None and 15 < error.retry_after_s < 40


def test_without_a_limit_of_its_own_an_answer_is_taken_to_be_as_long_as_those_before() -> None:
    bench = Bench(Limit(by="agent", tokens_per_minute=10_000_000))
    first = bench.out()
    assert first.state["ratelimit"].took["tokens"] - first.state["ratelimit"].prompt == 1024
    bench.back(first, Usage(input=5, output=90))
    for _ in range(200):
        bench.back(bench.out(), Usage(input=5, output=90))
    hold = bench.out().state["ratelimit"]
    assert 90 <= hold.took["tokens"] - hold.prompt <= 110
    assert bench.out(doc={"max_tokens": 50}).state["ratelimit"].took["tokens"] - hold.prompt <= 60
    assert bench.out(doc={"n": 3}).state["ratelimit"].took["tokens"] > 3 * 90


def test_clamping_writes_the_longest_answer_into_the_call() -> None:
    bench = Bench(Limit(by="agent", tokens_per_minute=100_000), reserve="clamp", clamp_tokens=500)
    assert bench.out().request.edits == {"max_tokens": 500}
    assert bench.out(doc={"model": "gpt-5-mini"}).request.edits == {"max_completion_tokens": 500}
    assert bench.out(doc={"max_tokens": 9}).request.edits == {}


def test_a_call_that_no_provider_has_worked_for_takes_no_tokens() -> None:
    for response in (Response(source="cache"), Response(status=500), None):
        bench = Bench(Limit(by="agent", tokens_per_minute=1000))
        for _ in range(5):
            exchange = bench.out(doc={"max_tokens": 900})
            exchange.response = response
            if response is not None and response.source == "cache":
                exchange.attempts, exchange.timeline.sent = 0, 0.0
            at_once(bench.plugin.finish(exchange))


def test_a_caller_who_leaves_pays_for_what_was_read_and_written() -> None:
    bench = Bench(Limit(by="agent", tokens_per_minute=1000))
    exchange = bench.out(doc={"max_tokens": 900})
    exchange.outcome = "cancelled"
    exchange.response = Response(text_sample=lambda: ("word" * 100, 2.0))
    at_once(bench.plugin.finish(exchange))
    error = bench.refused(doc={"max_tokens": 900})
    assert 700 < int(headers(error)["x-ratelimit-remaining-tokens"]) < 800


def test_a_call_that_can_never_fit_is_told_so_and_not_to_come_back() -> None:
    bench = Bench(Limit(by="agent", tokens_per_minute=1000))
    error = bench.refused(doc={"max_tokens": 5000, "messages": [{"role": "user", "content": "w" * 8000}]})
    assert "make it shorter" in error.message
    assert headers(error)["x-should-retry"] == "false" and "retry-after" not in headers(error)


def test_a_slot_is_held_to_the_end_of_the_call() -> None:
    bench = Bench(Limit(by="agent", concurrent=2))
    first, second = bench.out(), bench.out()
    error = bench.refused()
    assert "2 under way" in error.message and headers(error) == {"retry-after": "1"}
    bench.back(first)
    third = bench.out()
    bench.refused()
    for exchange in (second, third):
        exchange.outcome = "cancelled"
        at_once(bench.plugin.finish(exchange))
        at_once(bench.plugin.finish(exchange))  # (never given back twice)
    bench.out()
    bench.out()
    bench.refused()


def test_a_budget_is_kept_in_integers_and_renewed_at_midnight_utc() -> None:
    bench = Bench(Limit(by="agent", usd_per_day=0.002))  # a thousand nano-dollars a token: two thousand tokens
    bench.back(bench.out(doc={"max_tokens": 100}), Usage(input=1000, output=800))
    error = bench.refused(doc={"max_tokens": 400})
    assert (error.code, error.retry_after_s) == ("insufficient_quota", 43_200.0)
    assert headers(error)["x-should-retry"] == "false"
    assert "today's 0.00 USD" in error.message
    bench.out(at_s=MIDDAY_S + 43_200, doc={"max_tokens": 400})


def test_a_months_budget_ends_with_the_month() -> None:
    bench = Bench(Limit(by="agent", usd_per_month=0.001))
    bench.back(bench.out(doc={"max_tokens": 10}), Usage(input=1000, output=800))
    bench.refused(at_s=MIDDAY_S + 10 * 86_400, doc={"max_tokens": 10})
    bench.out(at_s=MIDDAY_S + 16 * 86_400, doc={"max_tokens": 10})


def test_a_larger_budget_leaves_what_was_spent_spent() -> None:
    bench = Bench(Limit(by="agent", usd_per_day=0.001))
    bench.back(bench.out(doc={"max_tokens": 10}), Usage(input=900))
    bench.refused(doc={"max_tokens": 400})
    larger = RateLimitOptions(limits=(Limit(by="agent", usd_per_day=0.002),))
    bench.snapshot = replace(bench.snapshot, resolve=lambda plugin, agent, variant: larger)
    bench.back(bench.out(doc={"max_tokens": 400}), Usage(input=900))
    bench.refused(doc={"max_tokens": 400})


def test_a_model_without_a_price_is_charged_an_upper_bound_refused_or_nothing() -> None:
    doc = {"model": "unpriced", "max_tokens": 100}
    bounded = Bench(Limit(by="agent", usd_per_day=0.05))
    bounded.back(bounded.out(doc=doc), Usage(input=300, output=100))
    bounded.refused(doc=doc)
    refusing = Bench(Limit(by="agent", usd_per_day=0.05), unknown_price="refuse")
    with pytest.raises(Refused) as caught:
        refusing.out(doc=doc)
    assert caught.value.code == "price_unknown"
    ignoring = Bench(Limit(by="agent", usd_per_day=0.05), unknown_price="ignore")
    for _ in range(20):
        ignoring.back(ignoring.out(doc=doc), Usage(input=300, output=100))


def test_all_limits_of_a_call_are_taken_or_none() -> None:
    bench = Bench(Limit(by="agent", requests_per_day=100), Limit(by="user", requests_per_day=1))
    bench.out(user="u")
    for _ in range(5):
        bench.refused(user="u")
    error = bench.refused(user="u")
    assert "this user" in error.message
    assert headers(error)["x-ratelimit-limit-requests"] == "1"
    taken = bench.kit.store.reserve(bench.plugin._plan(bench.call(), bench.call().options(bench.plugin)).pools[:1], [0])
    assert isinstance(taken, Taken) and taken.left == (99,)


def test_a_key_may_have_limits_of_its_own() -> None:
    key = CallerKey("team", "0" * 64, requests_per_minute=1, usd_per_day=0.0)
    bench = Bench(keys=(key, CallerKey("free", "1" * 64)))
    for _ in range(3):
        bench.out(key="free")
    assert bench.refused(key="team").code == "insufficient_quota"


def test_a_limit_that_warns_lets_pass_with_a_finding_and_a_header() -> None:
    bench = Bench(Limit(by="agent", requests_per_minute=1, mode="warn"))
    assert not bench.out().findings
    over = bench.out()
    (found,) = over.findings
    assert (found.type, found.action, found.reasons) == (
        "requests_per_minute", "warn", ("requests_per_minute of this agent",),
    )  # fmt: skip
    over.response = Response()
    at_once(bench.plugin.response(over))
    assert over.response.headers == [("x-weir-limit-warning", "over requests_per_minute of this agent")]


def test_a_limit_in_shadow_says_what_it_would_have_done_and_no_more() -> None:
    bench = Bench(Limit(by="agent", concurrent=1, mode="shadow"))
    bench.out()
    over = bench.out()
    assert [found.action for found in over.findings] == ["would limit"]
    bench.back(over)
    assert over.response is not None
    at_once(bench.plugin.response(over))
    assert over.response.headers == []


def test_a_refusal_is_a_finding() -> None:
    bench = Bench(Limit(by="agent", requests_per_minute=1))
    bench.out()
    call = bench.call()
    with pytest.raises(Limited):
        at_once(bench.plugin.request(call))
    assert [(found.type, found.action, found.severity) for found in call.findings] == [
        ("requests_per_minute", "limit", "medium")
    ]


def test_callers_hear_early_that_a_limit_comes_near() -> None:
    bench = Bench(Limit(by="agent", requests_per_minute=10), warn_at=0.8, headers=True)
    calls = [bench.out() for _ in range(10)]
    assert [len(call.findings) for call in calls] == [0] * 8 + [1, 1]
    last = calls[-1]
    last.response = Response()
    at_once(bench.plugin.response(last))
    assert last.response.headers == [
        ("x-weir-limit-warning", "100% of requests_per_minute of this agent"),
        ("x-weir-ratelimit-limit-requests", "10"),
        ("x-weir-ratelimit-remaining-requests", "0"),
        ("x-weir-ratelimit-reset-requests", "1m0s"),
    ]


def test_without_limits_there_is_nothing_to_do() -> None:
    plugin = Bench().plugin
    limits = {"limits": [{"by": "agent", "requests_per_minute": 1}]}
    bare = kit.snapshot(Entry("ratelimit", "ratelimit"))
    given = kit.snapshot(Entry("ratelimit", "ratelimit", options=limits))
    keyed = kit.snapshot(Entry("ratelimit", "x"), identity=Identity(keys=(CallerKey("k", "0" * 64, concurrent=1),)))
    own = Agent(plugins={"ratelimit": {"options": limits}})
    for hook in ("request", "finish"):
        needed = [plugin.needed(hook, one, None) for one in (bare, given, keyed)]
        assert needed == [False, True, True]
        assert plugin.needed(hook, bare, own)
    assert not plugin.needed("response", given, None)
    warning = kit.snapshot(Entry("ratelimit", "x", options={"limits": [{"requests_per_minute": 1, "mode": "warn"}]}))
    assert plugin.needed("response", warning, None)


def test_limits_keep_no_call_from_the_short_way() -> None:
    member = Member(Bench().plugin, Entry("ratelimit", "x"), 0, frozenset({"request", "response", "finish"}))
    assert member.short


async def test_who_goes_away_while_it_waits_leaves_nothing_reserved() -> None:
    bench = Bench(Limit(by="agent", requests_per_minute=5))
    told: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()
    settled: list[list[int]] = []

    class Slow:
        def reserve(self, pools: Any, amounts: Any) -> asyncio.Future[Taken]:
            return told

        def settle(self, pools: Any, amounts: list[int]) -> None:
            settled.append(amounts)

    bench.plugin.kit = replace(bench.kit, store=Slow())  # type: ignore[arg-type]
    call = asyncio.ensure_future(bench.plugin.request(bench.call()))
    await asyncio.sleep(0)
    told.set_result(Taken(True, 0.0, (4,)))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert settled == [[-1]]


def test_no_name_of_a_caller_is_in_a_key() -> None:
    bench = Bench(Limit(by="user", requests_per_minute=5))
    exchange = bench.out(user="ada@example.org")
    assert "ada" not in exchange.state["ratelimit"].pools[0].key


def test_a_user_who_is_forgotten_has_no_buckets() -> None:
    bench = Bench(Limit(by="user", requests_per_day=1, mode="enforce"), Limit(by="agent", requests_per_day=100))
    bench.plugin.kit = replace(bench.kit, live=kit.FixedLive(bench.snapshot))
    for user in ("ada", "bob"):
        bench.out(at_s=bench.clock.wall_s(), user=user, tenant="t")
        bench.refused(at_s=bench.clock.wall_s(), user=user, tenant="t")
    bench.out(at_s=bench.clock.wall_s(), user="ada")
    other = RateLimit(bench.plugin.kit)  # a process that has seen no call of theirs
    assert at_once(other.forget("ada")) == 1
    bench.refused(at_s=bench.clock.wall_s(), user="ada", tenant="t")
    assert at_once(bench.plugin.forget("ada")) == 1
    assert at_once(bench.plugin.forget("ada")) == 0
    bench.refused(at_s=bench.clock.wall_s(), user="bob", tenant="t")
    bench.out(at_s=bench.clock.wall_s(), user="ada", tenant="t")


@pytest.mark.parametrize(
    "wrong", [{}, {"requests_per_minute": 0}, {"usd_per_day": -1.0}, {"concurrent": 10**13}, {"by": "agent"}]
)
def test_a_limit_that_limits_nothing_or_everything_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Limit(**wrong)


@pytest.mark.parametrize(
    ("cap", "doc"),
    [
        ({"answer_tokens": 100}, {"max_tokens": 60, "n": 2}),
        ({"answer_tokens": 100}, {"max_completion_tokens": 5, "max_tokens": 101}),
        ({"choices": 3}, {"n": 4}),
        ({"messages": 2}, {"messages": MESSAGES * 3}),
        ({"tools": 1}, {"tools": [{"type": "function"}] * 2}),
        ({"tools": 1}, {"functions": [{"name": "f"}] * 2}),
    ],
)
def test_a_single_call_may_not_ask_for_too_much(cap: dict[str, Any], doc: dict[str, Any]) -> None:
    bench = Bench(Limit(by="key", **cap))
    bench.out(key="k")
    with pytest.raises(Refused) as caught:
        bench.out(doc=doc, key="k")
    assert (caught.value.status, caught.value.code) == (400, "call_over_limit")
    warning = Bench(Limit(by="key", mode="warn", **cap))
    assert [found.action for found in warning.out(doc=doc, key="k").findings] == ["warn"]


def test_a_bound_for_answers_is_written_into_calls_that_do_not_say() -> None:
    assert Bench(Limit(by="all", answer_tokens=100)).out(doc={"n": 2}).request.edits == {"max_tokens": 50}


def test_no_more_is_said_to_remain_than_there_is() -> None:
    """A shared store's level may be an older one, with what this process holds counted on top."""
    pool = Pool("k", 10, 10 / 60, 0.0, False, "requests", "agent", "requests_per_minute")
    told = dict(words.headers((pool,), (13,), MIDDAY_S, "x-ratelimit"))
    assert told == {
        "x-ratelimit-limit-requests": "10", "x-ratelimit-remaining-requests": "10",
        "x-ratelimit-reset-requests": "0ms",
    }  # fmt: skip
