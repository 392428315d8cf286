"""What the classifier reads in a text: its words and pairs of words, cut the same way in training and in service."""

from __future__ import annotations

import re
from itertools import pairwise

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


def read(words: list[str]) -> tuple[set[str], set[Pair]]:
    """The features of some words: each word and its beginning; each two in a row."""
    singles = set(words)
    singles |= {word[:STEM] + "*" for word in singles if len(word) > STEM}
    return singles, set(pairwise(words))
