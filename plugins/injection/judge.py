"""The judgement of one text at one place: rules and classifier over all its readings, as one score: Judge, Verdict."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType

from plugins.injection.classifier import Model, probability
from plugins.injection.position import Position
from plugins.injection.rules import SEVERITIES, Hit, Rules, Severity, weight
from plugins.injection.views import View, views

HEAVIEST = 10.0
"""Weight of rules that counts, at most: past that nothing gets surer."""
DISGUISED = 1.5
"""Added to the log odds of orders that somebody took care to hide."""
ORDERS = 1.5
"""Weight of the rules in a hidden text from which on it counts as orders."""
REASONS = 8
"""Reasons that are told, at most."""
PIECE_CHARS = 4000
"""Of a text that are judged together."""
OVERLAP_CHARS = 400
"""Of a piece that the next one begins with."""
RATES: MappingProxyType[Position, float] = MappingProxyType(
    {
        "user": 0.005,
        "tool": 0.01,
        "document": 0.01,
        "description": 0.01,
        "arguments": 0.002,
        "assistant": 0.001,
        "system": 0.0,
    }
)
"""Harmless texts that may be taken for attacks, by place: those that others wrote are judged more strictly."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge says of a text; nothing of the text itself."""

    score: float
    """How probable an attack is, 0 to 1."""
    reasons: tuple[str, ...]
    """Rules that matched, heaviest first, `words` for the classifier, and how the text was hidden (`in base64`)."""
    flagged: bool
    """Whether the score reaches the threshold of the place."""
    classic: bool
    """Whether one of the six classic patterns matched, in any reading."""
    severity: Severity


class Judge:
    """Rules and classifier as one. Immutable, safe in any thread; time is linear in the text."""

    def __init__(self, rules: Rules | None = None, model: Model | None = None) -> None:
        self.rules = rules if rules is not None else Rules.packaged()
        self.model = model if model is not None else Model.packaged()
        self._limits = MappingProxyType({place: self.model.threshold(rate) for place, rate in RATES.items()})
        self.fingerprint = _fingerprint(self.rules, self.model)
        """Names rules and model: judgements of judges with the same one are the same."""

    def judge(self, text: str, position: Position = "user") -> Verdict:
        """A text where it stands. Give long texts in slices: the loop should not wait for more than some thousand
        characters at once."""
        readings = views(text)
        highest, worst, told = -40.0, readings[0], list[Hit]()
        classic = False
        for view, piece in [(one, piece) for one in readings for piece in _pieces(one.text)]:
            hits = self.rules.match(piece, position)
            logit = self._logit(piece, hits, disguised=view.kind != "plain")
            classic = classic or any(hit.classic for hit in hits)
            if logit > highest:
                highest, worst, told = logit, view, hits
        score = probability(highest)
        flagged = score >= self._limits[position]
        return Verdict(
            score, _reasons(worst, told, flagged, classic), flagged, classic, _severity(told, flagged, classic)
        )

    def threshold(self, position: Position, false_positives: float) -> float:
        """The score from which on harmless texts are taken for attacks at this rate."""
        return self.model.threshold(false_positives)

    def usual(self, position: Position) -> float:
        """The threshold of a place where nothing else is asked for."""
        return self._limits[position]

    def _logit(self, text: str, hits: list[Hit], *, disguised: bool) -> float:
        heavy = min(weight(hits), HEAVIEST)
        logit = self.model.logit(text, heavy)
        return logit + DISGUISED if disguised and heavy >= ORDERS else logit


def _pieces(text: str) -> Iterator[str]:
    """A long text in overlapping pieces, so that rules do not add up over pages."""
    if len(text) <= PIECE_CHARS:
        yield text
        return
    for start in range(0, len(text) - OVERLAP_CHARS, PIECE_CHARS - OVERLAP_CHARS):
        yield text[start : start + PIECE_CHARS]


def _reasons(view: View, hits: list[Hit], flagged: bool, classic: bool) -> tuple[str, ...]:
    found = [hit.id for hit in sorted(hits, key=lambda hit: (-hit.weight, hit.id))]
    if flagged and not any(hit.weight >= 1 for hit in hits):
        found.insert(0, "words")
    if classic and not any(hit.classic for hit in hits):
        found.append("classic")
    if view.kind != "plain" and found:
        found.insert(0, f"in {view.kind}")
    return tuple(found[:REASONS])


def _severity(hits: list[Hit], flagged: bool, classic: bool) -> Severity:
    if classic:
        return "high"
    if not flagged:
        return "low"
    return max((hit.severity for hit in hits), key=SEVERITIES.index, default="medium")


def _fingerprint(rules: Rules, model: Model) -> str:
    said = repr([(family.name, family.rules) for family in rules.families])
    return hashlib.blake2b(f"{model.digest} {said}".encode(), digest_size=16).hexdigest()
