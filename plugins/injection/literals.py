"""What a text must hold for a pattern to have a chance: the plain strings that it cannot do without."""

from __future__ import annotations

from dataclasses import dataclass, field

from plugins.injection.words import ranks

Clause = frozenset[str]
"""Lower-case strings of which one must occur."""

MOST = 64
"""Strings that alternatives are spelt out into, at most; past that they are looked for piece by piece."""
SHORTEST = 3
"""Length of a string that is worth looking for."""
ENOUGH = 4
"""Clauses of a pattern that are looked for: those that tell most."""
NOTHING = frozenset({""})
WIDTHLESS = frozenset("bBAzZ")
CLASSES = frozenset("dDsSwWpPC")
CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}


def needed(pattern: str) -> tuple[Clause, ...]:
    """Of each clause one string (lower case) is in every text that the pattern matches, whatever the case.
    Empty if nothing is certain. Knows google-re2's syntax as far as rules use it; the rest promises nothing."""
    reader = _Reader(pattern)
    known = reader.alternatives()
    if reader.at < len(pattern):
        return ()
    clauses = [*known.clauses, *([known.texts] if known.texts is not None else [])]
    good = sorted((clause for clause in dict.fromkeys(clauses) if _worth(clause)), key=_telling, reverse=True)
    return tuple(_shortest(clause) for clause in good[:ENOUGH])


@dataclass(slots=True)
class _Known:
    """Of a part of a pattern: all it can match (None: too much to list), and what every match of it holds."""

    texts: Clause | None
    clauses: list[Clause] = field(default_factory=list)


class _Reader:
    """Walks a pattern once, left to right."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0

    def alternatives(self) -> _Known:
        branches = [self._sequence()]
        while self._peek() == "|":
            self.at += 1
            branches.append(self._sequence())
        if len(branches) == 1:
            return branches[0]
        texts: Clause | None = frozenset()
        for branch in branches:
            texts = None if texts is None or branch.texts is None else texts | branch.texts
        if texts is not None and len(texts) <= MOST:
            return _Known(texts)
        best = [_best(branch) for branch in branches]
        found = [clause for clause in best if clause is not None]
        return _Known(None, [frozenset().union(*found)] if len(found) == len(best) else [])

    def _sequence(self) -> _Known:
        clauses: list[Clause] = []
        run: Clause = NOTHING
        whole = True
        while (sign := self._peek()) and sign not in "|)":
            part = self._repeated(self._atom())
            joined = None if part.texts is None else frozenset(a + b for a in run for b in part.texts)
            if joined is not None and len(joined) <= MOST:
                run = joined
                continue
            clauses += [run, *part.clauses]
            run = part.texts or NOTHING
            whole = False
        return _Known(run) if whole else _Known(None, [clause for clause in [*clauses, run] if _worth(clause)])

    def _atom(self) -> _Known:
        sign = self.pattern[self.at]
        self.at += 1
        if sign == "(":
            return self._group()
        if sign == "[":
            return self._class()
        if sign == "\\":
            return self._escape()
        if sign in "^$":
            return _Known(NOTHING)
        return _Known(None) if sign == "." else _Known(frozenset({sign.lower()}))

    def _group(self) -> _Known:
        if self._peek() == "?":
            end = self.at + 1
            while end < len(self.pattern) and self.pattern[end] not in ":)>":
                end += 1
            self.at = end + 1
            if self.pattern[end : end + 1] == ")":
                return _Known(NOTHING)
        inner = self.alternatives()
        self.at += 1
        return inner

    def _class(self) -> _Known:
        start = self.at
        if self._peek() == "^":
            self.at += 1
        if self._peek() == "]":
            self.at += 1
        while self.at < len(self.pattern) and self.pattern[self.at] != "]":
            self.at += 2 if self.pattern[self.at] == "\\" else 1
        inside = self.pattern[start : self.at]
        self.at += 1
        plain = len(inside) <= 4 and not set(inside) & set("\\^-[:")
        return _Known(frozenset(inside.lower())) if plain else _Known(None)

    def _escape(self) -> _Known:
        sign = self._peek()
        self.at += 1
        if sign in WIDTHLESS:
            return _Known(NOTHING)
        if sign == "x":
            digits = self.pattern[self.at : self.at + 2]
            if digits.startswith("{"):
                return _Known(None)
            self.at += 2
            return _Known(frozenset({chr(int(digits, 16)).lower()}))
        if sign in "pP" and self._peek() == "{":
            self.at = self.pattern.index("}", self.at) + 1
            return _Known(None)
        if sign in "pP":
            self.at += 1
        return _Known(None) if sign in CLASSES else _Known(frozenset({CONTROLS.get(sign, sign.lower())}))

    def _repeated(self, part: _Known) -> _Known:
        sign = self._peek()
        if sign not in ("?", "*", "+", "{"):
            return part
        least, most = self._times()
        if self._peek() == "?":
            self.at += 1
        if least == 0 and most == 1 and part.texts is not None:
            return _Known(part.texts | NOTHING)
        if least == 0:
            return _Known(None)
        if most == 1:
            return part
        return _Known(None, [*part.clauses, *([part.texts] if part.texts is not None else [])])

    def _times(self) -> tuple[int, int | None]:
        sign = self.pattern[self.at]
        self.at += 1
        if sign != "{":
            return (1 if sign == "+" else 0), (1 if sign == "?" else None)
        end = self.pattern.index("}", self.at)
        least, _, most = self.pattern[self.at : end].partition(",")
        self.at = end + 1
        return int(least), 1 if most == "1" and least in "01" else None

    def _peek(self) -> str:
        return self.pattern[self.at : self.at + 1]


def _worth(clause: Clause) -> bool:
    return bool(clause) and all(_length(text) >= SHORTEST for text in clause)


def _length(text: str) -> int:
    """Characters, those outside ASCII counted twice and pictures three times: they are rarer."""
    return len(text) if text.isascii() else sum(1 + (sign > "\x7f") + (sign > "\uffff") for sign in text)


def _best(known: _Known) -> Clause | None:
    """The clause of a branch that tells most: whose shortest string is longest."""
    own = [known.texts] if known.texts is not None else known.clauses
    good = [clause for clause in own if _worth(clause)]
    return max(good, key=_telling) if good else None


def _telling(clause: Clause) -> tuple[float, int, str]:
    """Greater for a clause that fewer texts meet: its words are rarer, or its shortest string is longer."""
    return -sum(map(_chance, clause)), min(map(_length, clause)), min(clause)


def _chance(text: str) -> float:
    """How often a string is met, roughly: by the place of its rarest word in the list of English words."""
    known = ranks()
    places = [known.get(word, len(known)) for word in text.split()]
    return 1 / (10 + max(places, default=0))


def _shortest(clause: Clause) -> Clause:
    """The clause without the strings that hold another one of it."""
    return frozenset(text for text in clause if not any(other in text for other in clause if other != text))
