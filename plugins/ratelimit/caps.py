"""What a single call may ask for: how long an answer, how many of them, how many messages and tools."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import NamedTuple

from plugins.ratelimit.options import CAPS, By, Limit, Mode
from plugins.ratelimit.reckoning import allowed, choices
from proxy.exchange import Request

WORDS = {
    "answer_tokens": "tokens for its answers",
    "choices": "answers",
    "messages": "messages",
    "tools": "tools",
}


NAMED = MappingProxyType({"messages": ("messages", "input", "prompt"), "tools": ("tools", "functions")})
"""The lists of a body in which they stand, over all dialects."""


class Cap(NamedTuple):
    """One bound of one limit."""

    mode: Mode
    by: By
    measure: str
    most: int

    @property
    def sentence(self) -> str:
        whose = "a call" if self.by == "all" else f"a call of this {self.by}"
        return f"This call asks for too much: {whose} may have {self.most:,} {WORDS[self.measure]}."


def caps(limit: Limit) -> Iterator[Cap]:
    for measure in CAPS:
        most = getattr(limit, measure)
        if most is not None:
            yield Cap(limit.mode, limit.by, measure, most)


def asked(request: Request, measure: str) -> int:
    """How much of it the call asks for; 0 where it does not say."""
    if measure == "answer_tokens":
        return allowed(request) or 0
    if measure == "choices":
        return choices(request)
    listed = [request.get(name) for name in NAMED[measure]]
    return max(len(one) if isinstance(one, list) else 0 for one in listed)
