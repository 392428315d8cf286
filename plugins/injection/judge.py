"""The judgement of one text at one place: rules and classifier over all its readings, as one score: Judge, Verdict."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from types import MappingProxyType
from typing import NamedTuple

from plugins.injection.anchors import PATTERNS, WORDED
from plugins.injection.classifier import SHORT, Model, probability
from plugins.injection.features import tokens
from plugins.injection.lexicon import Lexicon, Reading
from plugins.injection.mention import used
from plugins.injection.position import Position
from plugins.injection.rules import SEVERITIES, Hit, Rules, Severity, weight
from plugins.injection.views import View, views

HEAVIEST = 10.0
"""Weight of rules that counts, at most: past that nothing gets surer."""
DISGUISED = 1.5
"""Added to the log odds of orders that somebody took care to hide."""
ORDERS = 1.5
"""Weight of the rules in a hidden text from which on it counts as orders."""
HOPELESS = -3.0
"""Log odds that no threshold lies below: of a text that cannot reach them less is read."""
DOUBTFUL = -1.0
"""Log odds from which on it is asked whether a text only talks about orders."""
TALKS: frozenset[Position] = frozenset({"user", "assistant", "system"})
"""Where people quote: in data of others, quotation marks prove nothing."""
REASONS = 8
"""Reasons that are told, at most."""
PIECE_CHARS = 4000
"""Of a text that are judged together."""
OVERLAP_CHARS = 400
"""Of a piece that the next one begins with."""
RATES: MappingProxyType[Position, float] = MappingProxyType(
    {
        "user": 0.0025,
        "tool": 0.006,
        "document": 0.006,
        "description": 0.006,
        "arguments": 0.002,
        "assistant": 0.001,
        "system": 0.0,
    }
)
"""Harmless texts that may be taken for attacks, by place: those that others wrote are judged more strictly."""


class Verdict(NamedTuple):
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
    """Rules and classifier as one. Safe in any thread; time is linear in the text."""

    def __init__(self, rules: Rules | None = None, model: Model | None = None) -> None:
        self.rules = rules if rules is not None else Rules.packaged()
        self.model = model if model is not None else Model.packaged()
        self._lexicon = Lexicon(self.model.weigh, {**self.rules.opens, **_worded(self.rules.bits)})
        self._limits = MappingProxyType({place: self.model.threshold(rate) for place, rate in RATES.items()})
        self.fingerprint = _fingerprint(self.rules, self.model)
        """Names rules and model: judgements of judges with the same one are the same."""

    def judge(self, text: str, position: Position = "user") -> Verdict:
        """A text where it stands. Give long texts in slices: the loop should not wait for more than some thousand
        characters at once."""
        first = self._read(text) if text.isascii() else None
        readings = views(text, None if first is None else self._disguises(first))
        highest, worst, told = -40.0, readings[0], list[Hit]()
        classic = False
        for view, piece in [(one, piece) for one in readings for piece in _pieces(one.text)]:
            said = first if first is not None and piece is text else self._read(piece)
            logit, hits = self._weighed(said, position, disguised=view.kind != "plain")
            classic = classic or any(hit.classic for hit in hits)
            if logit > DOUBTFUL and view.kind == "plain":
                logit, hits = self._meant(piece, position, logit, hits)
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

    def _meant(self, text: str, position: Position, logit: float, hits: list[Hit]) -> tuple[float, list[Hit]]:
        """Judged by what the text says itself, where it also talks about what others say."""
        own = used(text, quotes=position in TALKS)
        if own is None:
            return logit, hits
        less, left = self._weighed(self._read(own), position, disguised=False)
        return (less, left) if less < logit else (logit, hits)

    def _read(self, text: str) -> _Read:
        words = tokens(text)
        return _Read(text, words, self._lexicon.read(set(words)) if text.isascii() else None)

    def _disguises(self, read: _Read) -> list[str]:
        marks = read.reading.marks >> self.rules.bits if read.reading is not None else 0
        return [name for at, name in enumerate(WORDED) if marks >> at & 1]

    def _weighed(self, read: _Read, position: Position, *, disguised: bool) -> tuple[float, list[Hit]]:
        """Log odds and the rules behind them. What cannot come near any threshold is not looked at twice: its log odds
        are those of its words alone, with what rules were still found."""
        model, reading = self.model, read.reading
        added = DISGUISED if disguised else 0.0
        if reading is None:
            hits = self.rules.match(read.text, position)
            return self._logit(model.total(read.words), hits, added), hits
        plain = model.plain(reading.weight, reading.number) if len(read.words) <= SHORT else model.plainest(read.words)
        least = (HOPELESS - added - model.logit(plain, 0.0)) / model.rules
        hits = self.rules.match(read.text, position, reading.marks, least)
        if weight(hits) < least:
            return self._logit(plain, hits, added), hits
        return self._logit(model.total(read.words), hits, added), hits

    def _logit(self, total: float, hits: list[Hit], added: float) -> float:
        heavy = min(weight(hits), HEAVIEST)
        logit = self.model.logit(total, heavy)
        return logit + added if heavy >= ORDERS else logit


class _Read(NamedTuple):
    """A text, its words, and what they stand for (of ASCII)."""

    text: str
    words: list[str]
    reading: Reading | None


def _worded(bits: int) -> dict[str, int]:
    """Bits past those of the rules for the disguises that single words tell."""
    return {PATTERNS[name]: 1 << bits + at for at, name in enumerate(WORDED)}


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
