"""Which model of a pool answers a call: the cheapest that is likely good enough, or what a conversation is with."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from plugins.routing.learner import Traits
from plugins.routing.ledger import Account
from plugins.routing.plans import Candidate, Plan
from plugins.routing.quality import Judged, chance
from plugins.routing.sticky import Stay
from proxy.exchange import Target

NOTHING: Mapping[str, Traits] = MappingProxyType({})
Correct = Callable[[Candidate, Traits], float]
"""What was learnt of a model on such calls, to be added to the log odds."""
HANGS_ON = ("length", "numbers", "options", "code", "builds")
SIZE = len(HANGS_ON) + 3
"""Numbers that a correction hangs on."""


@dataclass(slots=True)
class Decision:
    """What became of a call, kept to its end."""

    account: Account
    plan: Plan
    why: str
    """rule NAME, stays, good enough, best, explores, tries."""
    traits: Mapping[str, Traits]
    """Of the models that were weighed, by name."""
    candidate: Candidate | None = None
    """That was chosen, where none of the rules did."""
    stay: Stay | None = None
    """Where the conversation was before."""
    moves: int = 0
    """How often a check sent it on."""

    def served(self, target: Target | None) -> Candidate | None:
        """The model of the pool that this is."""
        if self.candidate is not None and target is self.account.chosen:
            return self.candidate
        return self.plan.candidate(target)


class Choice(NamedTuple):
    candidate: Candidate
    chance: float
    """That it is good enough."""
    why: str


def traits(candidate: Candidate, judged: Judged, *, tools: bool) -> Traits:
    """Of a call, for this model."""
    _, shift, (length, _, numbers, options, _, _, code, builds), _ = judged
    return (
        candidate.log_odds + candidate.lean * shift,
        1.0, shift, 1.0 if tools else 0.0, length, numbers, options, code, builds,
    )  # fmt: skip


def choose(able: Sequence[Candidate], found: Sequence[Traits], bar: float, correct: Correct | None) -> Choice:
    """Of the models that are able to serve the call, cheapest first: the first that is as likely good enough as the bar
    demands of the likeliest. (Where all fail often, as hard calls have it, that is no reason to take the dearest.)"""
    if correct is None:
        likely = [chance(one[0]) for one in found]
    else:
        likely = [chance(one[0] + correct(candidate, one)) for candidate, one in zip(able, found, strict=True)]
    best = max(likely)
    for candidate, one in zip(able, likely, strict=True):
        if one >= bar * best:
            return Choice(candidate, one, "best" if one == best else "good enough")
    raise AssertionError("the likeliest is as likely as itself")


def explored(unit: str, share: float, able: Sequence[Candidate]) -> Candidate | None:
    """Any of the models, for so large a share of the units (conversations); the same one for the same unit."""
    if share <= 0.0 or not unit:
        return None
    drawn = zlib.crc32(unit.encode())
    return able[zlib.crc32(b"which" + unit.encode()) % len(able)] if drawn < share * 2**32 else None


def ladder(plan: Plan, chosen: Target, asked: Sequence[Target]) -> list[Target]:
    """What is tried after the chosen one, in this order: the dearer ones of its pool, then what was asked."""
    names = [one.target for one in plan.candidates]
    above = names[names.index(chosen) + 1 :] if chosen in names else []
    return unlike(chosen, [*above, *asked])


def unlike(chosen: Target, targets: Sequence[Target]) -> list[Target]:
    """The others, each once. They are few, and mostly the same objects: not worth their hashes."""
    found: list[Target] = []
    for one in targets:
        if one != chosen and one not in found:
            found.append(one)
    return found
