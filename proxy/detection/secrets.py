"""Secrets in a text, by rule: API keys, tokens, private keys, passwords that are assigned or stand in addresses.

A text is looked over once for the keywords of all rules (one automaton); only rules whose keyword is there are run, and
what they match must look like a secret and not like a placeholder (`secretchecks`). Everything is RE2 and every
pattern has a bound to what it matches, so no text takes more than linear time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import re2

from proxy.detection import secretrules
from proxy.detection.secretchecks import CHECKS, entropy, placeholder
from proxy.detection.secretrules import Rule, compiled
from proxy.detection.span import Span

SECRET = "SECRET"  # noqa: S105  the name of a type
CAREFULLY = 1024
"""So many matches of one rule in one text are looked at; no honest text has more. Of each further one it is believed
that it is a secret, and what follows it is taken along, so that a text made of matches costs little, too."""
STRIDE_BYTES = 1024


class Found(NamedTuple):
    """`text[start:end]` (characters) is a secret by the rule of that id."""

    start: int
    end: int
    rule: str
    score: float = 1.0


class Secrets:
    """Finds secrets. One object serves any number of texts; it keeps nothing of them."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._ready = tuple(_Ready(rule) for rule in self.rules)
        self._anchors, self._of = _automaton(self.rules)
        self._together: dict[tuple[str, ...], Any] = {}

    @classmethod
    def packaged(cls, *more: Rule) -> Secrets:
        """With the rules of `config/secrets.toml`, and `more`, which replace packaged ones of the same id."""
        if not more:
            return _packaged()
        own = {rule.id for rule in more}
        return cls([rule for rule in secretrules.packaged() if rule.id not in own] + list(more))

    def find(self, text: str) -> list[Span]:
        """In order, without overlaps; of those that overlap, the one that begins first, then the longest."""
        return [Span(one.start, one.end, SECRET, one.score) for one in self.found(text)]

    def found(self, text: str) -> list[Found]:
        """As `find`, with the rule that fired."""
        data = text.encode("utf-8", "surrogatepass")
        named = self._anchors.Match(data)
        return self.of_keywords(text, data, named) if named else []

    def together(self, patterns: tuple[str, ...]) -> tuple[Any, int]:
        """The keywords of all rules and these patterns in one automaton, whose `Match` (of bytes) gives the numbers of
        what is there; and how many numbers are of keywords. Those of the patterns follow."""
        found = self._together.get(patterns)
        if found is None:
            found = self._together[patterns] = _automaton(self.rules, patterns)[0]
        return found, len(self._of)

    def of_keywords(self, text: str, data: bytes, named: Sequence[int]) -> list[Found]:
        """What the rules find whose keywords, by their numbers, are in the text, of which `data` are the bytes."""
        hits: list[Found] = []
        for place in {self._of[number] for number in named}:
            hits.extend(hit for hit in self._ready[place].hits(data) if hit is not None)
        if not hits:
            return []
        hits.sort(key=lambda one: (one.start, -one.end, -one.score))
        return _characters(_apart(hits), data, len(data) != len(text))


@cache
def _packaged() -> Secrets:
    """One for all: it keeps nothing of the texts."""
    return Secrets(secretrules.packaged())


class _Ready:
    """A rule, and its pattern from when it is first needed: most of them never are."""

    __slots__ = ("_check", "_groups", "_name", "_pattern", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._pattern: Any = None
        self._groups: tuple[int, ...] = (0,)
        self._name = -1
        self._check = CHECKS.get(rule.check)

    def _compiled(self) -> Any:
        pattern = compiled(self.rule.pattern, self.rule.id)
        groups = pattern.groupindex
        self._groups = tuple(sorted(place for name, place in groups.items() if name.startswith("secret"))) or (0,)
        self._name = groups.get("name", -1)
        self._pattern = pattern  # last: another thread that sees it finds the rest
        return pattern

    def hits(self, data: bytes) -> Iterator[Found | None]:
        """Secrets, by bytes; None for what matched and is none."""
        at, looked = 0, 0
        search, rule = (self._pattern or self._compiled()).search, self.rule
        while (match := search(data, at)) is not None:
            looked += 1
            if looked > CAREFULLY:
                at = min(match.end() + STRIDE_BYTES, len(data))
                yield Found(match.start(), at, rule.id, rule.score)
                continue
            at = max(match.end(), at + 1)
            yield self._judged(match, data)

    def _judged(self, match: Any, data: bytes) -> Found | None:
        start, end = self._span(match)
        secret = data[start:end].decode("utf-8", "replace")
        if self.rule.check == "password":
            end, secret = _trimmed(end, secret)
        if self._named_otherwise(match) or not self._secret(secret):
            return None
        return Found(start, end, self.rule.id, self.rule.score)

    def _span(self, match: Any) -> tuple[int, int]:
        for place in self._groups:
            start, end = match.span(place)
            if start >= 0:
                return start, end
        return match.span(0)  # type: ignore[no-any-return]

    def _named_otherwise(self, match: Any) -> bool:
        if self._name < 0 or not self.rule.unless:
            return False
        name = (match.group(self._name) or b"").decode("utf-8", "replace").lower()
        return any(word in name for word in self.rule.unless)

    def _secret(self, secret: str) -> bool:
        rule = self.rule
        if not secret or placeholder(secret, rule.stop):
            return False
        if rule.entropy and entropy(secret) < rule.entropy:
            return False
        return self._check is None or self._check(secret)


def _trimmed(end: int, secret: str) -> tuple[int, str]:
    """Without what ends a sentence rather than a password."""
    kept = secret.rstrip(".,;:?)\"'")
    return end - (len(secret) - len(kept)), kept


def _automaton(rules: Sequence[Rule], more: tuple[str, ...] = ()) -> tuple[Any, tuple[int, ...]]:
    """All keywords at once, and which rule each belongs to; behind them `more` patterns."""
    options = re2.Options()
    options.max_mem = 64 << 20
    options.log_errors = False
    automaton, of = re2.Set.SearchSet(options), []
    for place, rule in enumerate(rules):
        for pattern in [rule.anchor] if rule.anchor else [f"(?i:{re2.escape(word)})" for word in rule.keywords]:
            automaton.Add(pattern)
            of.append(place)
    for pattern in more:
        automaton.Add(pattern)
    if of or more:
        automaton.Compile()
    return automaton, tuple(of)


def _apart(hits: list[Found]) -> list[Found]:
    kept: list[Found] = []
    end = -1
    for one in hits:
        if one.start >= end:
            kept.append(one)
            end = one.end
    return kept


def _characters(hits: list[Found], data: bytes, wide: bool) -> list[Found]:
    """From bytes to characters."""
    if not wide:
        return hits
    moved, before, at = [], 0, 0
    for one in hits:
        low, high = _border(data, one.start), _border(data, one.end)
        start = before + len(data[at:low].decode("utf-8", "surrogatepass"))
        before = start + len(data[low:high].decode("utf-8", "surrogatepass"))
        at = high
        moved.append(Found(start, before, one.rule, one.score))
    return moved


def _border(data: bytes, at: int) -> int:
    """The first place from here on that is not inside a character."""
    while at < len(data) and data[at] & 0xC0 == 0x80:
        at += 1
    return at
