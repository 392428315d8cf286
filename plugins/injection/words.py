"""Which words are English, by rank: known, plausible, unshuffled, and words that were run together cut apart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from math import log
from types import MappingProxyType

LONGEST = 15
"""Letters of the longest word that is listed."""
UNKNOWN_COST = 12.0
"""For a letter that belongs to no word, in the units of `_costs`: more than the rarest word."""
MEANT = frozenset({"a", "i"})
WORD = re.compile(r"[A-Za-z]+(?:'[a-z]{1,2})?")
PROSE = re.compile(r"[^\W\d_]|[ ,.!?']")


@lru_cache(1)
def ranks() -> Mapping[str, int]:
    """Every listed word and its place; 0 is the most frequent."""
    lines = resources.files("plugins.injection").joinpath("words.txt").read_text("utf-8").splitlines()
    listed = [word for line in lines if not line.startswith("#") for word in line.split()]
    return MappingProxyType({word: rank for rank, word in enumerate(listed)})


@lru_cache(1)
def shuffled() -> Mapping[str, str]:
    """The most frequent word by its shape: first letter, the inner ones in order, last letter."""
    found: dict[str, str] = {}
    for word in ranks():
        if len(word) > 3:
            found.setdefault(shape(word), word)
    return MappingProxyType(found)


@lru_cache(1)
def _costs() -> Mapping[str, float]:
    known = ranks()
    size = log(len(known))
    return MappingProxyType({word: log(rank + 2) + 0.35 * size for word, rank in known.items()})


@lru_cache(1)
def _beginnings() -> frozenset[str]:
    """Of every word, each of its beginnings."""
    return frozenset(word[:size] for word in ranks() for size in range(1, len(word) + 1))


def shape(word: str) -> str:
    """Equal for a word and for what is left of it when its inner letters are shuffled."""
    return word[0] + "".join(sorted(word[1:-1])) + word[-1]


def known_share(text: str) -> float:
    """Of the ASCII words of a text, the share that is listed; 0 where there are none."""
    found = WORD.findall(text)
    if not found:
        return 0.0
    known = ranks()
    return sum(word.partition("'")[0].lower() in known for word in found) / len(found)


def plausible(text: str, *, least: int = 2, share: float = 0.5) -> bool:
    """Whether it reads as English: enough words, and enough of them listed."""
    return len(WORD.findall(text[:4096])) >= least and known_share(text[:4096]) >= share


def readable(text: str) -> bool:
    """Whether it is writing in any language rather than bytes: hardly anything else stands in it."""
    sample = text[:4096]
    return len(sample) >= 8 and len(PROSE.findall(sample)) >= 0.7 * len(sample) and printable(sample)


def printable(text: str) -> bool:
    """Nothing but signs, spaces and line ends."""
    return text.isprintable() or text.translate({9: 32, 10: 32, 13: 32}).isprintable()


def unshuffled(word: str) -> str | None:
    """The word that `word` (four letters or more, lower case) is a shuffling of; None for words, and for no words."""
    if word in ranks():
        return None
    return shuffled().get(shape(word))


def cut(letters: str) -> str:
    """Words that were run together, with spaces between them: the cheapest reading. `letters` is lower case."""
    costs, beginnings = _costs(), _beginnings()
    size = len(letters)
    best = [UNKNOWN_COST * (size + 1)] * (size + 1)
    begins = [0] * (size + 1)
    best[0] = 0.0
    for start in range(size):
        here = best[start]
        if here + UNKNOWN_COST < best[start + 1]:
            best[start + 1], begins[start + 1] = here + UNKNOWN_COST, start
        for end in range(start + 1, min(size, start + LONGEST) + 1):
            word = letters[start:end]
            if word not in beginnings:
                break
            cost = costs.get(word)
            if cost is not None and here + cost < best[end]:
                best[end], begins[end] = here + cost, start
    parts: list[str] = []
    end = len(letters)
    while end:
        parts.append(letters[begins[end] : end])
        end = begins[end]
    return _joined(reversed(parts))


def _joined(parts: reversed[str]) -> str:
    """Letters that belong to no word stay together."""
    out: list[str] = []
    stray = False
    for part in parts:
        lone = len(part) == 1 and part not in MEANT
        out.append(part if not out or (lone and stray) else " " + part)
        stray = lone
    return "".join(out)
