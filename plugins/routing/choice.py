"""Which model of a pool answers a call: the cheapest that is likely good enough, or what a conversation is with."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from plugins.routing.features import NAMES
from plugins.routing.learner import Traits
from plugins.routing.ledger import Account
from plugins.routing.plans import Candidate, Plan
from plugins.routing.quality import Judged, chance
from proxy.exchange import Target

Correct = Callable[[Candidate, Traits], float]
"""What was learnt of a model on such calls, to be added to the log odds."""
_HANGS_ON = tuple(NAMES.index(name) for name in ("length", "digits", "options", "questions", "code"))
SIZE = len(_HANGS_ON) + 3
"""Numbers that a correction hangs on."""


@dataclass(slots=True)
class Decision:
    """What became of a call, kept to its end."""

    account: Account
    plan: Plan
    why: str
    """rule NAME, stays, good enough, best, explores, tries."""
    traits: dict[str, Traits] = field(default_factory=dict)
    """Of the models that were weighed, by name."""
    likely: float = 1.0
    """The chance that the chosen one is good enough."""
    moves: int = 0
    """How often a check sent it on."""


@dataclass(frozen=True, slots=True)
class Choice:
    candidate: Candidate
    chance: float
    """That it is good enough."""
    why: str


def traits(candidate: Candidate, judged: Judged, *, tools: bool) -> Traits:
    """Of a call, for this model."""
    shift = candidate.lean * judged.shift
    shape = judged.shape
    return (candidate.log_odds + shift, 1.0, judged.shift, 1.0 if tools else 0.0, *[shape[at] for at in _HANGS_ON])


def choose(able: Sequence[Candidate], found: Sequence[Traits], bar: float, correct: Correct) -> Choice:
    """Of the models that are able to serve the call, cheapest first: the first that is as likely good enough as the bar
    demands of the likeliest. (Where all fail often, as hard calls have it, that is no reason to take the dearest.)"""
    likely = [chance(one[0] + correct(candidate, one)) for candidate, one in zip(able, found, strict=True)]
    best = max(likely)
    at = next(at for at, one in enumerate(likely) if one >= bar * best)
    return Choice(able[at], likely[at], "best" if likely[at] == best else "good enough")


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
    return [one for one in dict.fromkeys([*above, *asked]) if one != chosen]
