"""The options as one kind of call meets them: the rules that may fit, and the models that may answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from plugins.routing.capabilities import Able, able
from plugins.routing.options import ASKED, Cascade, Model, Pool, RoutingOptions, Rule, fits
from plugins.routing.quality import logit
from plugins.routing.rules import Matcher
from plugins.routing.targets import DIALECTS, Resolve, barred
from proxy.exchange import Exchange, Target, Usage
from proxy.ports import Prices

REFERENCE = 0.99
"""What the best of a pool is taken for at first: feedback will tell."""
TYPICAL = Usage(input=1000, output=300)
"""What models are compared by."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model of a pool."""

    name: str
    """As the options have it."""
    target: Target
    able: Able
    log_odds: float
    """That it is as good as the best of the pool, on the usual text."""
    lean: float
    """How much it depends on the text: 1 for the cheapest of the list, 0 for the best."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A rule for calls of this kind."""

    name: str
    matcher: Matcher
    target: Target | None
    """None: as asked."""
    fallbacks: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What may become of a call."""

    rules: tuple[Ready, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    """Of those that the caller may use, from the cheapest to the dearest."""
    barred: tuple[str, ...] = ()
    """The others of the pool, each with the reason why the caller may not."""
    context_tokens: int = 0
    """What all of them take."""
    pool: str = ""
    bar: float = 1.0
    explore: float = 0.0
    cascade: Cascade | None = None
    sticky_s: float = 0.0
    learn: bool = False

    def candidate(self, target: Target | None) -> Candidate | None:
        return None if target is None else at(self.candidates, target)


def at(able: Sequence[Candidate], target: Target) -> Candidate | None:
    """The model that this is. Mostly it is the same object."""
    for one in able:
        if one.target is target:
            return one
    return next((one for one in able if one.target == target), None)


def plan(options: RoutingOptions, exchange: Exchange, base: float, prices: Prices, resolve: Resolve) -> Plan | None:
    """None: this kind of call is none of our business. `base`: the share of the calls for which a cheap model does."""
    request, asked = exchange.request, exchange.target
    if request.dialect not in DIALECTS or asked is None:
        return None
    number, pool = next(
        ((at, one) for at, one in enumerate(options.pools, 1) if fits(one.asked, request.model)), (0, None)
    )
    rules = tuple(
        ready
        for at, rule in enumerate(options.rules, 1)
        if _concerns(rule, exchange, pooled=pool is not None) and (ready := _ready(rule, at, resolve)) is not None
    )
    found = Plan(rules, sticky_s=options.sticky_s, learn=options.learn)
    if pool is not None:
        priced = _by_price(candidates(pool, base, resolve), prices, exchange.at_s)
        why = [barred(exchange, one.target, asked.upstream) for one in priced]
        able = tuple(
            replace(one, target=asked) if one.target == asked else one  # the same object is sooner known to be the same
            for one, words in zip(priced, why, strict=True)
            if not words
        )
        found = replace(
            found,
            candidates=able,
            barred=tuple(f"{one.name} ({words})" for one, words in zip(priced, why, strict=True) if words),
            context_tokens=min((one.able.context_tokens for one in able), default=0),
            pool=pool.name or f"pool {number}",
            bar=options.bar if pool.bar is None else pool.bar,
            explore=options.explore if pool.explore is None else pool.explore,
            cascade=pool.cascade,
        )
    return found if found.rules or found.candidates or found.barred else None


def candidates(pool: Pool, base: float, resolve: Resolve) -> list[Candidate]:
    """The models of a pool that some upstream serves."""
    found = []
    for at, model in enumerate(pool.models):
        target = resolve(model.target)
        if target is not None:
            found.append(_candidate(model, target, at, len(pool.models), base))
    return found


def _candidate(model: Model, target: Target, at: int, of: int, base: float) -> Candidate:
    place = at / (of - 1) if of > 1 else 1.0
    last = at == of - 1
    quality = model.quality if model.quality is not None else base + (1.0 - base) * place
    return Candidate(
        model.target, target, able(target.model, model), logit(REFERENCE if last else quality), 1.0 - place
    )


def _by_price(found: list[Candidate], prices: Prices, at_s: float) -> tuple[Candidate, ...]:
    costs = [prices.cost_nano_usd(one.target.upstream, one.target.model, TYPICAL, at_s)[0] for one in found]
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs):
        return tuple(found)
    return tuple(one for _, one in sorted(zip(known, found, strict=True), key=lambda pair: pair[0]))


def _concerns(rule: Rule, exchange: Exchange, *, pooled: bool) -> bool:
    when = rule.when
    if when.agents and not fits(when.agents, exchange.caller.agent):
        return False
    return fits(when.models, exchange.request.model) if when.models else pooled


def _ready(rule: Rule, number: int, resolve: Resolve) -> Ready | None:
    target = None if rule.target == ASKED else resolve(rule.target)
    if target is None and rule.target != ASKED:
        return None
    resolved: Sequence[Target | None] = [resolve(one) for one in rule.fallbacks]
    fallbacks = tuple(one for one in resolved if one is not None)
    return Ready(rule.name or f"rule {number}", Matcher.of(rule.when), target, fallbacks)
