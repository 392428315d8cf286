"""What an operator writes about routing: rules, and pools of models to choose from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType
from typing import ClassVar, Literal

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Check = Literal["length", "empty", "refusal", "unsure", "json"]
HOURS = re.compile(r"([01]\d|2[0-4]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
LANGUAGES: Mapping[str, str] = MappingProxyType({
    "ar": "arabic", "de": "german", "el": "greek", "en": "english", "es": "spanish", "fr": "french", "he": "hebrew",
    "hi": "hindi", "it": "italian", "ja": "japanese", "ko": "korean", "nl": "dutch", "pt": "portuguese",
    "ru": "russian", "th": "thai", "zh": "chinese",
})  # fmt: skip
"""Those that are told apart, by their codes."""
ASKED = "asked"
"""As a rule's target: the model that was asked."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Which calls a rule is for: everything given must hold, what is not given holds."""

    example: ClassVar[str] = "{models: [gpt-4o], tokens_below: 500}"
    agents: tuple[str, ...] = ()
    """Agents, exact or ending in *."""
    models: tuple[str, ...] = ()
    """Models as callers ask for them, exact or ending in *; empty: those that some pool is for."""
    tags: tuple[str, ...] = ()
    """One of these is in the header x-weir-tags (comma between them) or in the body's metadata.tags."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of the call with these values, exact or ending in *."""
    tokens_from: int | None = None
    """The prompt has at least so many tokens, by its length (four characters each)."""
    tokens_below: int | None = None
    """The prompt has fewer tokens, by its length."""
    tools: bool | None = None
    """Whether the call describes tools."""
    stream: bool | None = None
    """Whether the caller wants a stream."""
    images: bool | None = None
    """Whether the call has images."""
    languages: tuple[str, ...] = ()
    """The newest text of the user is in one of: de, en, es, fr, it, nl, pt, ar, el, he, hi, ja, ko, ru, th, zh."""
    hours: str = ""
    """Time of day in UTC, such as 22:00-06:00; the end is not in it."""
    days: tuple[Day, ...] = ()
    """Days of the week, UTC."""
    budget_below: float | None = None
    """Less than this share (0 to 1) is left of a budget in USD that the plugin ratelimit counts for the call."""

    def __post_init__(self) -> None:
        if self.hours and not HOURS.fullmatch(self.hours):
            raise ValueError(f"hours is {self.hours!r}; write two times of day in UTC, such as 22:00-06:00")
        for code in self.languages:
            if code not in LANGUAGES:
                raise ValueError(f"languages has {code!r}, which is none; {_meant(code)}")
        if self.budget_below is not None and not 0 < self.budget_below <= 1:
            raise ValueError("budget_below is a share: above 0 and at most 1")
        if (self.tokens_from or 0) < 0 or (self.tokens_below is not None and self.tokens_below < 1):
            raise ValueError("tokens_from must not be below 0, and tokens_below must be above 0")


@dataclass(frozen=True, slots=True)
class Rule:
    """Calls that go to one model, whatever the pools say, also in the middle of a conversation."""

    target: str = ""
    """upstream/model, an alias, or a model that one upstream lists; asked: as the caller asked."""
    when: Condition = field(default_factory=Condition)
    """Which calls; empty: every call of a model that some pool is for."""
    fallbacks: tuple[str, ...] = ()
    """What is tried after it; the model that was asked comes last by itself."""
    name: str = ""
    """What the rule is called in traces; empty: its number."""

    def __post_init__(self) -> None:
        if not self.target:
            raise ValueError("a rule needs a target: upstream/model, a model, or asked")


@dataclass(frozen=True, slots=True)
class Model:
    """One model of a pool, and what it can do where that is not known by its name."""

    target: str = ""
    """upstream/model, an alias, or a model that one upstream lists."""
    quality: float | None = None
    """Share of the calls (0 to 1) for which it is as good as the last of the pool; empty: by its place in the list."""
    context_tokens: int | None = None
    """The longest call, answer included."""
    tools: bool | None = None
    """Whether it calls tools."""
    images: bool | None = None
    """Whether it reads images."""
    json_schema: bool | None = None
    """Whether it keeps to a JSON schema that a call gives."""

    def __post_init__(self) -> None:
        if not self.target:
            raise ValueError("a model of a pool needs a target: upstream/model, or a model that one upstream lists")
        if self.quality is not None and not 0 < self.quality <= 1:
            raise ValueError(f"quality of {self.target} must be above 0 and at most 1")


@dataclass(frozen=True, slots=True)
class Cascade:
    """A cheap model first; where its answer fails a check, the next of the pool. Not for streams."""

    checks: tuple[Check, ...] = ("length", "empty", "refusal", "json")
    """length: cut off, with no limit of the caller; empty; refusal; unsure: says it does not know; json: is not."""
    bar: float = 0.5
    """The chance of being good enough from which a model is worth a try."""
    most: int = 1
    """How often a call may move on to a better model."""
    must_contain: tuple[str, ...] = ()
    """Each of these has to be in the answer, in any case."""
    must_not_contain: tuple[str, ...] = ()
    """None of these may be in the answer, in any case."""

    def __post_init__(self) -> None:
        if not 0 <= self.bar <= 1 or not 1 <= self.most <= 3:
            raise ValueError("of a cascade, bar must be between 0 and 1, and most between 1 and 3")


@dataclass(frozen=True, slots=True)
class Pool:
    """Models of which one answers: the cheapest that is likely good enough."""

    example: ClassVar[str] = "{asked: [gpt-4o], models: [{target: openai/gpt-4o-mini}, {target: openai/gpt-4o}]}"
    asked: tuple[str, ...] = ()
    """The models that callers ask for and this pool stands in for, exact or ending in *. No other call is touched."""
    models: tuple[Model, ...] = ()
    """From the cheapest to the best; the last is what the others are measured by. Known prices go before this order."""
    name: str = ""
    """What it is called in traces; empty: its number."""
    bar: float | None = None
    """As the plugin's `bar`, for this pool."""
    explore: float | None = None
    """As the plugin's `explore`, for this pool."""
    cascade: Cascade | None = None
    """Try a cheap model first and check its answer; empty: no."""

    def __post_init__(self) -> None:
        if not self.asked or not self.models:
            raise ValueError("a pool needs `asked` (the models it stands in for) and `models` (to choose from)")
        if len(self.models) > 16:
            raise ValueError("a pool has at most 16 models")
        _shares(self.bar, self.explore)


@dataclass(frozen=True, slots=True)
class RoutingOptions:
    """Which model answers: rules first, then the pool of the model that was asked. A caller who sends x-weir-route: off
    gets what it asked for; so does every call for a model that neither a rule nor a pool names."""

    rules: tuple[Rule, ...] = ()
    """The first that fits decides."""
    pools: tuple[Pool, ...] = ()
    """The first that is for the model asked chooses, where no rule did."""
    bar: float = 0.83
    """Share (0 to 1) of the best model's chance of a good answer from which a cheaper one is taken."""
    explore: float = 0.0
    """Share of the conversations (0 to 1) that go to any able model of the pool, to learn how good it is."""
    sticky_s: float = 3600.0
    """A conversation stays with its model until it has been silent for so long; 0: each call is judged for itself."""
    learn: bool = True
    """Whether outcomes and feedback change what models are taken to be able to."""

    def __post_init__(self) -> None:
        _shares(self.bar, self.explore)
        if self.sticky_s < 0:
            raise ValueError("sticky_s must not be below 0")


def _shares(bar: float | None, explore: float | None) -> None:
    if not 0 <= (bar or 0) <= 1 or not 0 <= (explore or 0) <= 1:
        raise ValueError("bar and explore are shares: between 0 and 1")


def _meant(word: str) -> str:
    """The code of a language that somebody wrote in another way."""
    low = word.strip().lower()
    short = low.replace("_", "-").partition("-")[0]
    named = next((code for code, name in LANGUAGES.items() if name == low), short if short in LANGUAGES else "")
    near = get_close_matches(low, LANGUAGES.values(), 1, 0.75) if not named else []
    named = named or next((code for code, name in LANGUAGES.items() if name in near), "")
    return f"write {named}" if named else f"there are {', '.join(LANGUAGES)}"


def fits(patterns: tuple[str, ...], value: str) -> bool:
    """Whether one of the patterns is the value, or ends in * and begins it."""
    return any(value.startswith(one[:-1]) if one.endswith("*") else value == one for one in patterns)
