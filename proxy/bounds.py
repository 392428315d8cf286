"""How much one call may ask for: choices, tokens of the answer, messages, tools; for all callers, and for one key.

Only what a call names is judged here; what it may cost in sum is a matter of limits and budgets (`ratelimit`).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, NamedTuple

from proxy.errors import BadRequest
from proxy.live import Snapshot
from proxy.ports import Json

NAMED: Final = MappingProxyType(
    {
        "choices": ("n", "best_of"),
        "output_tokens": ("max_tokens", "max_completion_tokens", "max_output_tokens"),
        "messages": ("messages", "input", "prompt"),
        "tools": ("tools", "functions"),
    }
)
"""The fields of a body in which it is said, over all dialects: a number, or a list of that length."""
WORDS: Final = MappingProxyType(
    {
        "choices": "asks for {asked} answers at once, and {most} is the most here",
        "output_tokens": "asks for {asked} tokens in all its answers, and {most} is the most here",
        "messages": "has {asked} items, and {most} is the most here",
        "tools": "names {asked} tools, and {most} is the most here",
    }
)


class Bound(NamedTuple):
    field: str
    most: int
    of: str


Bounds = tuple[Bound, ...]


def bounds_of(snapshot: Snapshot, key: str | None) -> Bounds:
    """What holds for the calls of this key (None: without one); the tighter of what is said for all and for it."""
    own, all_of = snapshot.identity.key(key), snapshot.limits
    found: list[Bound] = []
    for name, fields in NAMED.items():
        said = [most for most in (getattr(all_of, name), getattr(own, name, 0)) if most]
        found += [Bound(field, min(said), name) for field in fields if said]
    return tuple(found)


class Over(NamedTuple):
    """A bound that a body goes over, by how much, and the field that says so."""

    bound: Bound
    asked: int
    field: str


def beyond(bounds: Bounds, doc: Json) -> Over | None:
    """The first of them that this body goes over. Each prompt of a list gets answers of its own (`n` or `best_of` of
    them), and each answer may be as long as the call says: so they multiply."""
    if not bounds:
        return None
    prompts = _prompts(doc.get("prompt"))
    answers = prompts * max(1, _asked(doc.get("n")), _asked(doc.get("best_of")))
    for bound in bounds:
        asked = _asked(doc.get(bound.field))
        if bound.of == "choices":
            asked = max(1, asked) * prompts
        elif bound.of == "output_tokens":
            asked *= answers
        if asked > bound.most:
            return Over(bound, asked, bound.field if bound.field in doc else "prompt")
    return None


def hold(bounds: Bounds, doc: Json) -> None:
    """BadRequest where a body goes over one of them."""
    over = beyond(bounds, doc)
    if over is not None:
        words = WORDS[over.bound.of].format(asked=over.asked, most=over.bound.most)
        raise BadRequest(f"{over.field} {words}", param=over.field, code="over_limit")


def _asked(value: Json) -> int:
    if type(value) is int or type(value) is float:
        return int(min(value, 1e18)) if value == value else 0
    return len(value) if type(value) is list else 0


def _prompts(prompt: Json) -> int:
    """A list of numbers is one, in tokens."""
    return len(prompt) if type(prompt) is list and prompt and type(prompt[0]) in (str, list) else 1
