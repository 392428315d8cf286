"""What the classifier reads in a text: words, pairs of them and what they mean, alike in training and in service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from itertools import pairwise
from types import MappingProxyType

LATIN = "".join(
    chr(sign).lower() if chr(sign).isalpha() else "0" if chr(sign).isdigit() else " " for sign in range(128)
)
"""For `str.translate` of ASCII: letters small, digits all one, the rest blank."""
WORD = re.compile(r"[^\W_]+")
DIGIT = re.compile(r"\d")
DOTTED = "\u0130"
"""The Turkish capital whose small letter is the plain `i`."""
UNSPACED = "\u0e00"
"""From here on scripts write words together (Thai, kana, Han, Hangul) or are rare: pairs of characters are read."""
STEM = 5
"""Characters of a word's beginning that are read as a feature of their own."""
REACH = 7
"""Words within which two meanings belong together."""
NEXT = 3
"""Meanings after one that are read with it."""

Pair = tuple[str, str]


def tokens(text: str) -> list[str]:
    """The words of a text, small, with digits as zeros; of scripts that write words together pairs of characters."""
    if text.isascii():
        return text.translate(LATIN).split()
    found = []
    for word in WORD.findall(DIGIT.sub("0", text.replace(DOTTED, "i").lower())):
        if word[0] < UNSPACED or len(word) < 3:
            found.append(word)
        else:
            found += [word[at : at + 2] for at in range(len(word) - 1)]
    return found


def read(words: list[str]) -> tuple[list[str], set[str], set[Pair]]:
    """The features of some words: each word and the beginning of each, what they mean where they stand near each other,
    and each two in a row."""
    unique = set(words)
    return [*unique, *(begun(word) for word in unique if len(word) > STEM)], meant(words), set(pairwise(words))


def begun(word: str) -> str:
    """The feature that a longer word's beginning is: words that begin alike have one each."""
    return word[:STEM] + "*"


@lru_cache(1)
def concepts() -> Mapping[str, str]:
    """By word, or the beginning of one and `*`, the name of what it means."""
    lines = resources.files("plugins.injection").joinpath("concepts.txt").read_text("utf-8").splitlines()
    named = [line.partition(":") for line in lines if not line.startswith("#")]
    return MappingProxyType({word: name for name, _, words in named for word in words.split()})


def meant(words: list[str]) -> set[str]:
    """What the words mean, each by itself and any two near each other, in order."""
    known = concepts()
    places: list[tuple[int, str]] = []
    for at, word in enumerate(words):
        name = known.get(word) or (known.get(begun(word)) if len(word) > STEM else None)
        if name is not None:
            places.append((at, name))
    found = {f"~{name}" for _, name in places}
    for number, (at, name) in enumerate(places):
        for other, second in places[number + 1 : number + 1 + NEXT]:
            if other - at > REACH:
                break
            found.add(f"~{name}~{second}")
    return found
