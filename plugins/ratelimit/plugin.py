"""RateLimit: reserves before a call what it may take, settles after it what it took, and gives back what it did not.

All buckets of a call are reserved at once, all or none (`ports.Store.reserve`). What is reserved of tokens and money is
an estimate: the prompt by its length, the answer by what 99 of 100 answers took so far, or the most that the call
allows (`reserve: clamp`: nothing can then cost more than was reserved, but for a prompt of unusual tokens). What a call
took beyond that is owed by its buckets, so the next calls wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from plugins.ratelimit import words
from plugins.ratelimit.caps import Cap, asked
from plugins.ratelimit.options import Mode, RateLimitOptions
from plugins.ratelimit.pools import OF_KEYS, Kind, Plan, Pool, applying, model_of, pools_of
from plugins.ratelimit.reckoning import Reckoning, allowed, choices, clamp
from plugins.ratelimit.seeds import Seeds
from proxy.errors import Refused
from proxy.exchange import BUDGET_LEFT, Exchange, Finding, Response, Target, Usage
from proxy.plugin import Kit, Plugin
from proxy.ports import Taken

PLANS = 4096
NANO_PER_USD_OF_A_MILLION = 1000
"""Nano-USD for a token, where a million of them cost a dollar."""
CHARACTERS_PER_TOKEN = 4
NO_USAGE = Usage()

Amounts = dict[Kind, int]


@dataclass(slots=True)
class Hold:
    """What a call has reserved."""

    pools: list[Pool]
    took: Amounts
    reckoned: bool = False
    """Tokens, and what they cost, are among it."""
    prompt: int = 0
    left: Sequence[int] = ()
    counted: int = 0
    """How many of `left` there are: of the pools that must have enough, the first ones."""
    warnings: list[str] = field(default_factory=list)


class RateLimit(Plugin[RateLimitOptions]):
    name = "ratelimit"
    Options = RateLimitOptions
    seldom = frozenset({"request"})
    again = frozenset({"request", "response", "finish"})

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self._secret = kit.secret("limits")
        self._plans: dict[tuple[Any, ...], Plan] = {}
        self._plans_of: Any = None
        self._reckoning = Reckoning()
        self._seeds = Seeds(kit)

    def needed(self, hook: str, snapshot: Any, agent: Any) -> bool:
        options = self.given(snapshot, agent)
        limits = options.get("limits") or ()
        if hook == "response":
            return bool(options.get("headers") or options.get("warn_at") or any(map(_warns, limits)))
        of_keys = any(getattr(key, name, None) is not None for key in snapshot.identity.keys for name in OF_KEYS)
        return bool(limits) or of_keys

    async def request(self, exchange: Exchange) -> Response | None:
        options = exchange.options(self)
        plan = self._plan(exchange, options)
        if plan.caps:
            self._cap(exchange, plan.caps)
        if not plan.pools and not plan.soft:
            return None
        hold = self._reckoned(exchange, options, plan)
        if plan.pools:
            amounts = [hold.took[pool.kind] for pool in plan.pools]
            taken = self.kit.store.reserve(plan.pools, amounts)
            if isinstance(taken, asyncio.Future):
                taken = await self._told(taken, plan.pools, amounts)
            if not taken.ok:
                raise self._refused(exchange, plan, amounts, taken)
            hold.pools, hold.left, hold.counted = list(plan.pools), taken.left, len(plan.pools)
            if plan.money:
                _tell_budget(exchange, plan.pools, taken.left)
            if options.warn_at:
                self._warn(exchange, hold, options.warn_at)
        exchange.state[self.name] = hold
        for mode, pool in plan.soft:
            one = (hold.took[pool.kind],)
            taken = self.kit.store.reserve((pool,), one)
            if isinstance(taken, asyncio.Future):
                taken = await self._told(taken, (pool,), one)
            self._soften(exchange, hold, mode, pool, taken)
        return None

    async def response(self, exchange: Exchange) -> None:
        hold, response = exchange.state.get(self.name), exchange.response
        if hold is None or response is None:
            return
        if hold.warnings:
            response.headers.append((words.WARNING, "; ".join(hold.warnings)))
        if exchange.options(self).headers:
            pools = hold.pools[: hold.counted]
            response.headers.extend(words.headers(pools, hold.left, exchange.at_s, words.OWN))

    async def finish(self, exchange: Exchange) -> None:
        hold: Hold | None = exchange.state.pop(self.name, None)
        if hold is None:
            return
        took = hold.took
        tokens, money = self._came_to(exchange, hold) if hold.reckoned else (0, 0)
        more: Amounts = {"requests": 0, "calls": -1, "tokens": tokens - took["tokens"], "money": money - took["money"]}
        pools, amounts = [], []
        for pool in hold.pools:
            if amount := more[pool.kind]:
                pools.append(pool)
                amounts.append(amount)
        if pools:
            self.kit.store.settle(pools, amounts)

    async def forget(self, user: str) -> int:
        """Deletes the buckets that count this user: of the calls that were seen here, and of every tenant that the
        settings name. (Their keys are keyed hashes; slots come back by themselves.)"""
        self._seeds.forget(user)
        keys = {pool.key for pool in self._counting(user) if not pool.slots}
        self._plans = {kind: plan for kind, plan in self._plans.items() if kind[2] != user}
        told = [await self.kit.store.delete(name) for key in sorted(keys) for name in (key, f"{key}:seeded")]
        return sum(told[::2])

    def _counting(self, user: str) -> Iterator[Pool]:
        for kind, plan in self._plans.items():
            if kind[2] == user:
                yield from [pool for pool in (*plan.pools, *[soft for _, soft in plan.soft]) if pool.by == "user"]
        current = self.kit.live.current
        tenants = {"default", *[key.tenant for key in current.identity.keys]}
        for agent in ("", *current.agents):
            options = current.options(self.name, agent, "")
            for limit in getattr(options, "limits", ()):
                if limit.by == "user":
                    for tenant in tenants:
                        yield from pools_of(limit, f"{tenant}\0{user}", self._secret, self.kit.clock.wall_s())

    # Before the call

    def _plan(self, exchange: Exchange, options: RateLimitOptions) -> Plan:
        caller, snapshot = exchange.caller, exchange.snapshot
        if self._plans_of is not snapshot or len(self._plans) >= PLANS:
            self._plans_of = snapshot
            self._plans.clear()
        model = model_of(exchange)
        kind = (caller.tenant, caller.agent, caller.user, caller.key or caller.credential, model, exchange.variant)
        plan = self._plans.get(kind)
        if plan is None or exchange.at_s >= plan.until_s:
            limits = tuple(applying(options.limits, exchange))
            plan = self._plans[kind] = Plan.of(limits, self._secret, exchange.at_s)
            every = (*plan.pools, *[pool for _, pool in plan.soft])
            self._seeds.sow(every, exchange.at_s, lambda tokens: _bounded(None, tokens, options))
        return plan

    def _reckoned(self, exchange: Exchange, options: RateLimitOptions, plan: Plan) -> Hold:
        """What the call may take. Raises Refused where nobody can say what it costs."""
        hold = Hold([], {"requests": 1, "calls": 1, "tokens": 0, "money": 0})
        if not plan.tokens:
            return hold
        hold.reckoned = True
        request, model = exchange.request, model_of(exchange)
        hold.prompt = self._reckoning.prompt(request, model)
        answer = self._answer(exchange, options, model)
        hold.took["tokens"] = hold.prompt + answer
        if plan.money:
            cost = self._price(exchange, Usage(input=hold.prompt, output=answer), exchange.target)
            if cost is None and options.unknown_price == "refuse" and any(one.kind == "money" for one in plan.pools):
                sentence = "There is a budget, and the price of this model is not known."
                raise Refused(self.name, sentence, code="price_unknown")
            hold.took["money"] = _bounded(cost, hold.prompt + answer, options)
        return hold

    def _cap(self, exchange: Exchange, caps: Sequence[Cap]) -> None:
        """Raises Refused where the call asks for more than a single one may."""
        request = exchange.request
        for cap in caps:
            wants = asked(request, cap.measure)
            if cap.measure == "answer_tokens" and cap.mode == "enforce" and allowed(request) is None:
                clamp(request, model_of(exchange), max(1, cap.most // choices(request)))
            if wants <= cap.most:
                continue
            action = {"enforce": "refuse", "warn": "warn", "shadow": "would refuse"}[cap.mode]
            exchange.find(Finding(self.name, cap.measure, "low", action, reasons=(f"{cap.measure} of a call",)))
            if cap.mode == "enforce":
                raise Refused(self.name, cap.sentence, code="call_over_limit")

    def _answer(self, exchange: Exchange, options: RateLimitOptions, model: str) -> int:
        request = exchange.request
        if request.dialect == "embeddings":
            return 0
        count = choices(request)
        most = allowed(request, count)
        if options.reserve == "clamp":
            if most is None:
                clamp(request, model, options.clamp_tokens)
                most = options.clamp_tokens * count
            return most
        likely = self._reckoning.answer(exchange.caller.agent, model) * count
        return likely if most is None else min(most, likely)

    def _price(self, exchange: Exchange, usage: Usage, target: Target | None) -> int | None:
        upstream, model = ("", exchange.request.model) if target is None else (target.upstream, target.model)
        return self.kit.prices.cost_nano_usd(upstream, model, usage, exchange.at_s)[0]

    def _refused(self, exchange: Exchange, plan: Plan, amounts: Sequence[int], taken: Taken) -> Exception:
        error = words.limited(plan.pools, amounts, taken, exchange.at_s)
        over = [
            pool for pool, amount, left in zip(plan.pools, amounts, taken.left, strict=True) if amount > left
        ] or plan.pools
        for pool in over:
            exchange.find(Finding(self.name, pool.measure, "medium", "limit", reasons=(words.named(pool),)))
        return error

    async def _told(self, reserved: asyncio.Future[Taken], pools: Sequence[Pool], amounts: Sequence[int]) -> Taken:
        """What a shared store says. Who goes away while it waits may be served in the same moment."""
        try:
            return await reserved
        except asyncio.CancelledError:
            if reserved.done() and not reserved.cancelled() and reserved.result().ok:
                self.kit.store.settle(pools, [-amount for amount in amounts])
            raise

    # Limits that only tell

    def _soften(self, exchange: Exchange, hold: Hold, mode: Mode, pool: Pool, taken: Taken) -> None:
        hold.pools.append(pool)
        if taken.ok:
            return
        self.kit.store.settle((pool,), (hold.took[pool.kind],))
        action = "warn" if mode == "warn" else "would limit"
        exchange.find(Finding(self.name, pool.measure, "low", action, reasons=(words.named(pool),)))
        if mode == "warn":
            hold.warnings.append(f"over {words.named(pool)}")

    def _warn(self, exchange: Exchange, hold: Hold, share: float) -> None:
        for pool, left in zip(hold.pools, hold.left, strict=True):
            if left < pool.capacity * (1.0 - share):
                exchange.find(Finding(self.name, pool.measure, "low", "warn", reasons=(words.named(pool),)))
                hold.warnings.append(f"{1 - left / pool.capacity:.0%} of {words.named(pool)}")

    # After the call

    def _came_to(self, exchange: Exchange, hold: Hold) -> tuple[int, int]:
        """Tokens and nano-USD that the call took in the end."""
        options = exchange.options(self)
        if not exchange.timeline.sent or not exchange.attempts:
            return 0, 0
        used = [(exchange.target, self._used(exchange, hold))]
        for one in exchange.discarded:
            used.append((one.target, one.response.usage or self._guess(exchange, hold, one.response)))
        used = [(target, usage) for target, usage in used if usage.total]
        total = sum(usage.total for _, usage in used)
        if exchange.price_source != "none":
            return total, _bounded(exchange.cost_nano_usd, total, options) if total else 0
        return total, sum(
            _bounded(self._price(exchange, usage, target), usage.total, options) for target, usage in used
        )

    def _used(self, exchange: Exchange, hold: Hold) -> Usage:
        """By the answer that the call came to."""
        response = exchange.response
        if response is not None and response.usage_source == "cached":  # (what a provider counted another time)
            return NO_USAGE
        usage = response.usage if response is not None else None
        if usage is None or not usage.total:
            return self._guess(exchange, hold, response)
        if response is not None and response.usage_source == "provider":
            prompt = usage.input + usage.cache_read + usage.cache_write
            self._reckoning.learn(exchange, model_of(exchange), prompt, usage.output)
        return usage

    def _guess(self, exchange: Exchange, hold: Hold, response: Response | None) -> Usage:
        """Of an answer whose provider did not say: what it read, and what it was seen to write."""
        if response is None:
            return Usage(input=hold.prompt if exchange.outcome == "cancelled" else 0)
        if response.status >= 400 or response.source != "upstream":
            return Usage(input=hold.prompt if exchange.outcome == "refused" else 0)
        if response.text_sample is not None:
            text, scale = response.text_sample()
            written = len(text) * scale
        else:
            written = float(sum(len(segment.text) for segment in response.segments))
        return Usage(input=hold.prompt, output=round(written / CHARACTERS_PER_TOKEN))


def _tell_budget(exchange: Exchange, pools: Sequence[Pool], left: Sequence[int]) -> None:
    """For who chooses models below: how much of the tightest budget is left."""
    shares = [have / pool.capacity for pool, have in zip(pools, left, strict=True) if pool.kind == "money"]
    if shares:
        exchange.notes[BUDGET_LEFT] = max(0.0, min(shares))


def _bounded(cost: int | None, tokens: int, options: RateLimitOptions) -> int:
    """A price that is not known is the upper bound, or nothing where that is asked for."""
    if cost is not None:
        return cost
    if options.unknown_price == "ignore":
        return 0
    return round(tokens * options.upper_bound_usd * NANO_PER_USD_OF_A_MILLION)


def _warns(limit: Any) -> bool:
    mode = limit.get("mode") if isinstance(limit, dict) else getattr(limit, "mode", "enforce")
    return bool(mode == "warn")
