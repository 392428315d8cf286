"""What an operator writes about limits: a list of them, and how calls are reckoned before they are known."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal

By = Literal["key", "agent", "user", "tenant", "model", "all"]
Mode = Literal["enforce", "warn", "shadow"]


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit for each caller of a kind, or for all of them together."""

    by: By = "agent"
    """For each what it counts: key (or credential), agent, user, tenant or model; all: every call together."""
    names: tuple[str, ...] = ()
    """Only for these (of what `by` says), exact or ending in *; empty: for each."""
    models: tuple[str, ...] = ()
    """Only calls of these models count, exact or ending in *; empty: all."""
    requests_per_minute: int | None = None
    """Calls: so many at once, and so many more evenly in each minute."""
    requests_per_day: int | None = None
    """Calls in a day (UTC)."""
    tokens_per_minute: int | None = None
    """Tokens, in and out: so many at once, and so many more evenly in each minute."""
    tokens_per_day: int | None = None
    """Tokens in a day (UTC), in and out."""
    concurrent: int | None = None
    """Calls under way at the same time; a stream is one to its end."""
    usd_per_day: float | None = None
    """Budget in USD for a day (UTC)."""
    usd_per_month: float | None = None
    """Budget in USD for a month (UTC)."""
    answer_tokens: int | None = None
    """The longest answer that one call may ask for, all its choices together; written in where it does not say."""
    choices: int | None = None
    """How many answers one call may ask for (n)."""
    messages: int | None = None
    """How many messages or items one call may have."""
    tools: int | None = None
    """How many tools one call may describe."""
    mode: Mode = "enforce"
    """enforce: 429, or 400 where one call asks for too much; warn: a finding and a header; shadow: a finding only."""

    def __post_init__(self) -> None:
        given = [getattr(self, name) for name in MEASURES + CAPS]
        if all(value is None for value in given):
            raise ValueError(f"limits nothing: give one of {', '.join(MEASURES + CAPS)}")
        if any(value is not None and not 0 < value <= 10**12 for value in given):
            raise ValueError("a limit must be above 0, and at most 1,000,000,000,000; leave it out where there is none")


MEASURES = (
    "requests_per_minute", "requests_per_day", "tokens_per_minute", "tokens_per_day", "concurrent", "usd_per_day",
    "usd_per_month",
)  # fmt: skip
CAPS = ("answer_tokens", "choices", "messages", "tools")
"""Bounds of a single call."""


@dataclass(frozen=True, slots=True)
class RateLimitOptions:
    """Limits of requests, tokens, calls at once and money."""

    limits: tuple[Limit, ...] = ()
    """The limits; a call must be within all that apply to it. Keys may have limits of their own beside these."""
    reserve: Literal["estimate", "clamp"] = "estimate"
    """What an answer is taken to need: what 99 of 100 took so far, or what the call allows (written in if missing)."""
    clamp_tokens: int = 4096
    """With `reserve: clamp`: the longest answer where the call does not say."""
    unknown_price: Literal["refuse", "upper_bound", "ignore"] = "upper_bound"
    """A budget and a model without a known price: refuse the call, charge upper_bound_usd, or charge nothing."""
    upper_bound_usd: float = 100.0
    """USD for a million tokens of a model without a known price."""
    warn_at: float = 0.0
    """Share of a limit from which calls pass with a warning (finding and header), 0 to 1; 0: none."""
    headers: bool = False
    """Whether every answer tells what is left, as x-weir-ratelimit-*; a 429 always does, in OpenAI's headers."""

    def __post_init__(self) -> None:
        if self.clamp_tokens < 1:
            raise ValueError("clamp_tokens must be above 0: the longest answer of a call that does not say")
        if not 0 <= self.upper_bound_usd < inf:
            raise ValueError("upper_bound_usd must not be below 0, and a number: USD for a million tokens")
        if not 0 <= self.warn_at <= 1:
            raise ValueError(f"warn_at is a share from 0 to 1, such as 0.8, not {self.warn_at:g}")
