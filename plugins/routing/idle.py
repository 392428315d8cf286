"""Rules and pools that no call ever reaches, and what is to be done about it: told before the start."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from plugins.routing.options import ASKED, Condition, Pool, RoutingOptions, Rule
from plugins.routing.rules import within
from proxy.exchange import Dialect
from proxy.plugin import Named

Remark = tuple[tuple[str, ...], str]
Dialects = Callable[[str], frozenset[Dialect]]
MINUTES = range(1440)


def named(options: RoutingOptions) -> Iterator[Named]:
    """All models that options name: where calls are sent, and what callers ask for."""
    pooled = _pooled(options)
    for place, rule in enumerate(options.rules):
        here, asked = ("rules", str(place)), rule.when.models or pooled
        if rule.target != ASKED:
            yield Named((*here, "target"), rule.target, "target", asked=asked)
        for at, name in enumerate(rule.fallbacks):
            if name != ASKED:
                yield Named((*here, "fallbacks", str(at)), name, "target", asked=asked)
        for at, pattern in enumerate(rule.when.models):
            yield Named((*here, "when", "models", str(at)), pattern, "asked")
    for place, pool in enumerate(options.pools):
        for at, pattern in enumerate(pool.asked):
            yield Named(("pools", str(place), "asked", str(at)), pattern, "asked")
        for at, model in enumerate(pool.models):
            yield Named(("pools", str(place), "models", str(at), "target"), model.target, "target", asked=pool.asked)


def _pooled(options: RoutingOptions) -> tuple[str, ...]:
    return tuple(pattern for pool in options.pools for pattern in pool.asked)


def idle(options: RoutingOptions, dialects: Dialects) -> Iterator[Remark]:
    """Each with the sentence that says why. `dialects`: in which a target is served."""
    pooled = _pooled(options)
    for place, rule in enumerate(options.rules):
        if words := _never(rule, pooled) or _after(options.rules, place, pooled, dialects):
            yield ("rules", str(place)), f"{_called(rule, place)} {words}"
    for place, pool in enumerate(options.pools):
        first = _before(options.pools[:place], pool)
        if first:
            yield (
                ("pools", str(place)),
                f"{first} takes all that this pool is for before it; move it up, or take it out",
            )


def covers(broad: Condition, narrow: Condition, pooled: Sequence[str] = ()) -> bool:
    """Whether every call that fits the second fits the first. `pooled`: what is meant where no models are given."""
    return (
        _patterns(broad.agents, narrow.agents)
        and _patterns(broad.models or pooled, narrow.models or pooled)
        and _among(broad.tags, narrow.tags)
        and all(_has(narrow, name, value) for name, value in broad.headers.items())
        and (broad.tokens_from or 0) <= (narrow.tokens_from or 0)
        and (broad.tokens_below is None or (narrow.tokens_below or broad.tokens_below + 1) <= broad.tokens_below)
        and all(
            one is None or one == other
            for one, other in (
                (broad.tools, narrow.tools), (broad.stream, narrow.stream), (broad.images, narrow.images),
            )
        )
        and _among(broad.languages, narrow.languages)
        and _hours(broad.hours, narrow.hours)
        and _among(broad.days, narrow.days)
        and (broad.budget_below is None or (narrow.budget_below or 2.0) <= broad.budget_below)
    )  # fmt: skip


def _never(rule: Rule, pooled: Sequence[str]) -> str:
    """Why a rule fits no call, by itself."""
    when = rule.when
    if not when.models and not pooled:
        return (
            "is for no call: without `when.models` a rule is for the models of the pools, and there is none; write "
            'when: {models: ["*"]} for every model, or name them'
        )
    if when.tokens_below is not None and (when.tokens_from or 0) >= when.tokens_below:
        return f"is for no call: tokens_from {when.tokens_from} is not below tokens_below {when.tokens_below}"
    return ""


def _after(rules: Sequence[Rule], place: int, pooled: Sequence[str], dialects: Dialects) -> str:
    """Why a rule is never reached: one above it takes all its calls."""
    rule = rules[place]
    served = dialects(rule.target) if rule.target != ASKED else None
    for at, above in enumerate(rules[:place]):
        if above.target != ASKED and (served is None or not served <= dialects(above.target)):
            continue  # in a dialect that it is not served in it decides nothing
        if not _never(above, pooled) and covers(above.when, rule.when, pooled):
            but = "" if above.target == ASKED else f", where the caller may use {above.target}"
            return (
                f"is never reached: {_called(above, at)} above it takes all of its calls{but}; move it up, or narrow "
                "the one above"
            )
    return ""


def _called(rule: Rule, place: int) -> str:
    return f"rule {place + 1}{f' ({rule.name})' if rule.name else ''}"


def _before(pools: Sequence[Pool], pool: Pool) -> str:
    for at, above in enumerate(pools):
        if _patterns(above.asked, pool.asked):
            return f"pool {at + 1}{f' ({above.name})' if above.name else ''}"
    return ""


def _patterns(broad: Sequence[str], narrow: Sequence[str]) -> bool:
    """Whether the patterns mean all that the others mean; none mean everything."""
    return not broad or (bool(narrow) and all(any(_within(one, each) for each in broad) for one in narrow))


def _within(one: str, other: str) -> bool:
    return one.startswith(other[:-1]) if other.endswith("*") else one == other


def _among(broad: Iterable[str], narrow: Iterable[str]) -> bool:
    """Of words of which one must hold; none: no matter which."""
    wide, given = set(broad), set(narrow)
    return not wide or (bool(given) and given <= wide)


def _has(narrow: Condition, name: str, value: str) -> bool:
    return any(name.lower() == own.lower() and _within(told, value) for own, told in narrow.headers.items())


def _hours(broad: str, narrow: str) -> bool:
    if not broad or broad == narrow:
        return True
    return all(within(broad, minute) for minute in MINUTES if not narrow or within(narrow, minute))
