"""Rules that tell orders to the model from other text, read from TOML and matched in linear time: Rules, Hit."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, cast

import re2

from plugins.injection.lexicon import piece
from plugins.injection.literals import ENOUGH, Clause, needed
from proxy.detection.secretrules import sheet
from proxy.errors import ConfigError

Severity = Literal["low", "medium", "high"]
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high")
PLACES = frozenset({"user", "tool", "document", "description", "arguments", "assistant", "system"})
FAMILY_KEYS = frozenset({"name", "severity", "rule"})
RULE_KEYS = frozenset({"id", "weight", "severity", "any", "all", "positions", "classic"})
LONGEST_PATTERN = 4000
"""Characters of one pattern."""
MOST_RULES = 5000
"""Rules in all files together."""
PATTERN_BYTES = 512 << 10
"""Memory that the automaton of one pattern may use, at most: past that it forgets states and makes them anew."""
WORDS_BYTES = 6 << 20
"""The same for the one that looks for the words of all patterns."""


DOTTED = "\u0130"
"""The Turkish capital whose small letter is the plain `i`; folding leaves it as it is."""


class Hit(NamedTuple):
    """One rule that matched."""

    id: str
    family: str
    weight: float
    """What it adds to the score, in log odds."""
    severity: Severity
    classic: bool
    """Whether it is one of the six patterns of the specification."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as it was written: `any` of the patterns, or `all` of them."""

    hit: Hit
    patterns: tuple[str, ...]
    together: bool
    positions: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Family:
    """Rules that look for one thing; of a family the heaviest match counts."""

    name: str
    rules: tuple[Rule, ...]


class _Pattern:
    """One pattern and when to try it: its automaton is built when it is first needed."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.clauses = needed(pattern)
        self.all = (1 << len(self.clauses)) - 1
        self.loose: list[tuple[int, Mapping[int, tuple[str, ...]], tuple[str, ...]]] = []
        """Of clauses that words do not settle: the bits of their pieces, the strings that have each of these, and those
        that have none."""
        self._automaton: Any = None

    def match(self, text: str) -> bool:
        built = self._automaton
        if built is None:
            # two threads may both build it: the same thing twice
            built = self._automaton = _automaton([self.pattern])
        return bool(built.Match(text))


class Rules:
    """Families of rules behind one search for all the strings that they need. Safe in any thread."""

    def __init__(self, families: Iterable[Family]) -> None:
        self.families = tuple({family.name: family for family in families}.values())
        self._rules = [rule for family in self.families for rule in family.rules]
        self._patterns = [_Pattern(pattern) for rule in self._rules for pattern in rule.patterns]
        self._owner = [number for number, rule in enumerate(self._rules) for _ in rule.patterns]
        self._always = [number for number, pattern in enumerate(self._patterns) if not pattern.clauses]
        words: dict[str, list[tuple[int, int]]] = {}
        for number, pattern in enumerate(self._patterns):
            for at, clause in enumerate(pattern.clauses):
                for word in sorted(clause):
                    words.setdefault(word, []).append((number, 1 << at))
        self._opens = list(words.values())
        self._strings = list(words)
        self._words: Any = None
        self._place()

    @classmethod
    def packaged(cls) -> Rules:
        """The rules that come with the package, `config/injection.toml`."""
        return cls(_packaged())

    @classmethod
    def load(cls, *paths: str | Path) -> Rules:
        """The packaged rules and those of the files; a family of a name that is there already takes its place.
        Raises ConfigError that says what to mend."""
        return cls([*_packaged(), *(family for path in paths for family in _read(Path(path)))])

    @classmethod
    def parse(cls, text: str, where: str = "the rules") -> Rules:
        """Rules from the text of a TOML file alone. Raises ConfigError."""
        return cls(parse(text, where))

    def _place(self) -> None:
        """A bit for each clause of each pattern, the first ones together, then the second ones, ...; and one for each
        string. `opens` has those of every string that stands in a word of ASCII."""
        opens: dict[str, int] = {}
        places: dict[str, int] = {}
        size = len(self._patterns)
        self._given = 0
        self._every = (1 << size) - 1
        for number, pattern in enumerate(self._patterns):
            for rank in range(ENOUGH):
                bit = 1 << rank * size + number
                if rank >= len(pattern.clauses) or not self._open(pattern, pattern.clauses[rank], bit, opens, places):
                    self._given |= bit
        self._pieces = size * ENOUGH
        for one, place in places.items():
            opens[one] |= 1 << self._pieces + place
        self.bits = self._pieces + len(places)
        self.opens: Mapping[str, int] = MappingProxyType(opens)

    def _open(self, pattern: _Pattern, clause: Clause, bit: int, opens: dict[str, int], places: dict[str, int]) -> bool:
        """Whether words tell that a clause may be met."""
        found: dict[str, list[str]] = {}
        for string in sorted(string for string in clause if string.isascii()):
            one = piece(string)
            found.setdefault(one, []).append(string)
        for one in found:
            if one:
                opens[one] = opens.get(one, 0) | bit
        if any(strings != [one] for one, strings in found.items()):
            bits = {1 << places.setdefault(one, len(places)): tuple(said) for one, said in found.items() if one}
            pattern.loose.append((sum(bits), bits, tuple(found.get("", ()))))
        return "" not in found

    def match(self, text: str, position: str = "user", marks: int | None = None, least: float = 0.0) -> list[Hit]:
        """Which rules match a text at a place. Linear in the text; case does not matter. `marks`: what the words of a
        text in ASCII open, as a `Lexicon` with `opens` reads them. `least`: weight that matters; where the rules that
        are left cannot reach it any more, only the classic ones are still tried."""
        text = text if text.isascii() else text.replace(DOTTED, "i")
        lower = text.lower()
        numbers = self._candidates(lower) if marks is None else self._opened(lower, marks)
        tried: dict[int, list[int]] = {}
        for number in numbers:
            tried.setdefault(self._owner[number], []).append(number)
        if least <= 0:
            return [
                self._rules[owner].hit for owner in sorted(tried) if self._matches(owner, tried[owner], text, position)
            ]
        return self._tried(tried, text, position, least)

    def _tried(self, tried: dict[int, list[int]], text: str, position: str, least: float) -> list[Hit]:
        """The rules that may match, the heaviest families first."""
        families: dict[str, list[int]] = {}
        for owner in tried:
            families.setdefault(self._rules[owner].hit.family, []).append(owner)
        heavy = {name: max(self._rules[owner].hit.weight for owner in owners) for name, owners in families.items()}
        possible = sum(heavy.values())
        found = []
        for name in sorted(heavy, key=heavy.__getitem__, reverse=True):
            skipped = possible < least
            reached = 0.0
            for owner in families[name]:
                rule = self._rules[owner]
                if (not skipped or rule.hit.classic) and self._matches(owner, tried[owner], text, position):
                    found.append(owner)
                    reached = max(reached, rule.hit.weight)
            possible += reached - heavy[name]
        return [self._rules[owner].hit for owner in sorted(found)]

    def _opened(self, lower: str, marks: int) -> list[int]:
        """Numbers of the patterns for which a text in ASCII has all that they need, as far as its words tell."""
        size = len(self._patterns)
        met = marks | self._given
        left = met & met >> size & met >> 2 * size & met >> 3 * size & self._every
        pieces = marks >> self._pieces
        found = []
        while left:
            low = left & -left
            left ^= low
            number = low.bit_length() - 1
            if _settled(self._patterns[number], lower, pieces):
                found.append(number)
        return found

    def _matches(self, owner: int, tried: list[int], text: str, position: str) -> bool:
        rule = self._rules[owner]
        if rule.positions is not None and position not in rule.positions:
            return False
        if rule.together:
            return len(tried) == len(rule.patterns) and all(self._patterns[number].match(text) for number in tried)
        return any(self._patterns[number].match(text) for number in tried)

    def _candidates(self, lower: str) -> list[int]:
        """Numbers of the patterns for which the text has all that they need."""
        if not self._strings:
            return self._always
        if self._words is None:
            self._words = _automaton([re2.escape(word) for word in self._strings], case=True)
        found = self._words.Match(lower)
        if not found:
            return self._always
        seen: dict[int, int] = {}
        opens = self._opens
        for index in found:
            for number, bit in opens[index]:
                seen[number] = seen.get(number, 0) | bit
        patterns = self._patterns
        return [*self._always, *(number for number, bits in seen.items() if bits == patterns[number].all)]


def _settled(pattern: _Pattern, lower: str, pieces: int) -> bool:
    """Whether the text has a string of each clause that words do not settle. `pieces`: which of these it has."""
    for mask, strings, others in pattern.loose:
        met = pieces & mask
        while met:
            low = met & -met
            met ^= low
            if any(string in lower for string in strings[low]):
                break
        else:
            if not any(string in lower for string in others):
                return False
    return True


def checked(paths: Iterable[str | Path]) -> None:
    """Raises ValueError that says what is wrong with one of these files."""
    try:
        for path in paths:
            _read(Path(path))
    except ConfigError as error:
        raise ValueError(str(error)) from error


def weight(hits: Iterable[Hit]) -> float:
    """What the hits add up to in log odds: of each family its heaviest."""
    heaviest: dict[str, float] = {}
    for hit in hits:
        heaviest[hit.family] = max(hit.weight, heaviest.get(hit.family, 0.0))
    return sum(heaviest.values())


def parse(text: str, where: str) -> tuple[Family, ...]:
    """The families that a TOML file spells out. Raises ConfigError that names the file, the rule and the mistake."""
    made = _families(text, where)
    for rule in (rule for family in made for rule in family.rules):
        for pattern in rule.patterns:
            _check(pattern, f"{where}, family {rule.hit.family}, rule {rule.hit.id}")
    return made


def _families(text: str, where: str) -> tuple[Family, ...]:
    """As `parse`, patterns untried."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where} is not TOML: {error}; literal strings in single quotes suit patterns") from error
    families = table.get("family", [])
    if set(table) - {"family"} or not isinstance(families, list) or not families:
        raise ConfigError(f"{where}: write tables [[family]] with [[family.rule]] in them, and nothing else at the top")
    made = tuple(_family(family, where) for family in families)
    if sum(len(family.rules) for family in made) > MOST_RULES:
        raise ConfigError(f"{where}: at most {MOST_RULES} rules")
    return made


@cache
def _packaged() -> tuple[Family, ...]:
    """Their patterns are tried by the tests, not at every start."""
    return _families(sheet("injection.toml"), "config/injection.toml")


def _read(path: Path) -> tuple[Family, ...]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no UTF-8"
        raise ConfigError(f"the rules in {path} cannot be read ({why}): name a TOML file") from error
    return parse(text, str(path))


def _family(table: Any, where: str) -> Family:
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: each family is a table [[family]]")
    name = table.get("name")
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{where}: each [[family]] needs a name")
    place = f"{where}, family {name}"
    _known(table, FAMILY_KEYS, place)
    severity = _severity(table.get("severity", "medium"), place)
    rules = table.get("rule", [])
    if not isinstance(rules, list) or not rules:
        raise ConfigError(f"{place}: write at least one [[family.rule]]")
    return Family(name, tuple(_rule(rule, name, severity, place) for rule in rules))


def _rule(table: Any, family: str, severity: Severity, where: str) -> Rule:
    if not isinstance(table, dict) or not isinstance(table.get("id"), str) or not table["id"]:
        raise ConfigError(f"{where}: each [[family.rule]] needs an id")
    place = f"{where}, rule {table['id']}"
    _known(table, RULE_KEYS, place)
    if ("any" in table) == ("all" in table):
        raise ConfigError(f"{place}: write either any = [...] or all = [...]")
    together = "all" in table
    patterns = _texts(table["all" if together else "any"], f"{place}: patterns")
    heavy = table.get("weight", 1.0)
    if isinstance(heavy, bool) or not isinstance(heavy, int | float) or not 0 <= heavy <= 10:
        raise ConfigError(f"{place}: weight is a number from 0 to 10 (log odds)")
    grave = _severity(table.get("severity", severity), place)
    hit = Hit(table["id"], family, float(heavy), grave, table.get("classic") is True)
    return Rule(hit, patterns, together, _positions(table, place))


def _positions(table: Mapping[str, Any], where: str) -> frozenset[str] | None:
    if "positions" not in table:
        return None
    positions = frozenset(_texts(table["positions"], f"{where}: positions"))
    if strange := positions - PLACES:
        raise ConfigError(f"{where}: no position {sorted(strange)[0]!r}; there are {', '.join(sorted(PLACES))}")
    return positions


def _severity(value: Any, where: str) -> Severity:
    if value not in SEVERITIES:
        raise ConfigError(f"{where}: severity is one of {', '.join(SEVERITIES)}")
    return cast(Severity, value)


def _known(table: Mapping[str, Any], keys: frozenset[str], where: str) -> None:
    if strange := sorted(set(table) - keys):
        raise ConfigError(f"{where}: no key {strange[0]!r}; there are {', '.join(sorted(keys))}")


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(item, str) and item for item in value):
        raise ConfigError(f"{where}: a list of at least one non-empty text")
    return tuple(value)


def _check(pattern: str, where: str) -> None:
    """A pattern that the linear-time engine takes and that does not match everything."""
    if len(pattern) > LONGEST_PATTERN:
        raise ConfigError(f"{where}: a pattern of {len(pattern)} characters; at most {LONGEST_PATTERN}")
    try:
        compiled = re2.compile(pattern, _options())
    except re2.error as error:
        said = error.args[0] if error.args else "not a pattern"
        said = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        raise ConfigError(f"{where}: {said}; google-re2 knows no look-around and no back references") from error
    if compiled.search("") is not None:
        raise ConfigError(f"{where}: the pattern matches the empty text, so it would match everything")


def _options(*, case: bool = False) -> re2.Options:
    options = re2.Options()
    options.case_sensitive = case
    options.dot_nl = True
    options.log_errors = False
    options.max_mem = WORDS_BYTES if case else PATTERN_BYTES
    return options


def _automaton(patterns: Iterable[str], *, case: bool = False) -> Any:
    built = re2.Set.SearchSet(_options(case=case))
    for pattern in patterns:
        built.Add(pattern)
    built.Compile()
    return built
