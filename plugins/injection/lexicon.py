"""What words of ASCII texts stand for, remembered word by word: their weight, and what they open: Lexicon, Reading."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

import re2

from plugins.injection.features import tokens
from plugins.injection.words import ranks

MOST_WORDS = 16_000
"""That are remembered; then it begins anew."""
MOST_CHARS = 400_000
"""Of all words that are remembered."""
COUNT = 1 << 24
"""A word's weight and the number of its features in one number: the weight, and this many times the number."""
OPENS_BYTES = 4 << 20
"""Memory of the automaton that looks for patterns in words."""


LEAST = 3
"""Letters of a string that words are searched for."""


class Reading(NamedTuple):
    """Different words of a text, taken together."""

    weight: int
    number: int
    """Of features that have a weight."""
    marks: int
    """What the words open, as bits."""


class _Memo:
    """One generation of remembered words."""

    __slots__ = ("chars", "marked", "weights")

    def __init__(self) -> None:
        self.chars = 0
        self.weights: dict[str, int] = {}
        self.marked: dict[str, int] = {}


class Lexicon:
    """`weigh` gives weight and count of a word's features; `opens` has the bits of every pattern that may be met in a
    word. Safe in any thread: what two of them do is done twice."""

    def __init__(self, weigh: Callable[[str], tuple[int, int]], opens: Mapping[str, int]) -> None:
        self._weigh = weigh
        self._bits = list(opens.values())
        self._strings = _searched(opens)
        self._memo = _Memo()

    def read(self, unique: set[str]) -> Reading:
        """`unique`: the words of a text as `tokens` cuts them, each once."""
        memo = self._memo
        if len(memo.weights) > MOST_WORDS or memo.chars > MOST_CHARS:
            memo = self._memo = _Memo()
        try:
            packed = sum(map(memo.weights.__getitem__, unique))
        except KeyError:
            self._learn(memo, unique.difference(memo.weights))
            packed = sum(map(memo.weights.__getitem__, unique))
        number = (packed + COUNT // 2) // COUNT
        marks = reduce(or_, map(memo.marked.__getitem__, memo.marked.keys() & unique), 0)
        return Reading(packed - number * COUNT, number, marks)

    @property
    def remembered(self) -> int:
        """Words, at this time."""
        return len(self._memo.weights)

    def _learn(self, memo: _Memo, new: Iterable[str]) -> None:
        """What these words stand for. Most open nothing: all are searched in one go first."""
        opening = self._strings is not None and self._strings.Match(" ".join(new))
        for word in new:
            if opening:
                found = self._strings.Match(word)
                if found:
                    memo.marked[word] = reduce(or_, map(self._bits.__getitem__, found))
            weight, count = self._weigh(word)
            memo.chars += len(word)
            memo.weights[word] = weight + count * COUNT


def piece(string: str) -> str:
    """The rarest word, or part of one, that a text with this string has; empty where there is none to tell."""
    known = ranks()
    found = [word for word in tokens(string) if len(word) >= LEAST] if string.isascii() else []
    return max(found, key=lambda word: (known.get(word, len(known)), len(word)), default="")


def _searched(opens: Mapping[str, int]) -> Any:
    if not opens:
        return None
    options = re2.Options()
    options.max_mem = OPENS_BYTES
    options.log_errors = False
    built = re2.Set.SearchSet(options)
    for string in opens:
        built.Add(string)
    built.Compile()
    return built
