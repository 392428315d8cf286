"""Words that were disguised letter by letter, read again: leet, spaced, shuffled, rotated, reversed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from string import ascii_lowercase, ascii_uppercase
from types import MappingProxyType

from plugins.injection.decode import Piece
from plugins.injection.words import WORD, cut, plausible, ranks, unshuffled

LEET_WORD = re.compile(r"[A-Za-z\u00c0-\u024f]*[0-9@$!|][A-Za-z0-9@$!|\u00c0-\u024f]*")
LEET = str.maketrans("03457896@$2", "oeastbggasz")
MIXED = re.compile(r"[A-Za-z\u00c0-\u024f][0-9@$!|]|[0-9@$|][A-Za-z\u00c0-\u024f]")
NUMBERS = MappingProxyType(
    {"4": "a", "1": "I", "45": "as", "15": "is", "17": "it", "70": "to", "47": "at", "50": "so", "1f": "if", "1n": "in"}
)
"""Short words that are numbers in a text that is leet throughout."""
HEXED = re.compile(r"[0-9a-f]+|[0-9A-F]+")
ONES = (str.maketrans("1!|", "iii"), str.maketrans("1!|", "lll"))
SPACED = re.compile(
    r"(?<![A-Za-z0-9])[^\s._*|~-](?:[ .,_*|~/\t\n-]{1,7}[^\s._*|~-]){5,}(?![A-Za-z0-9])",
)
GAP = re.compile(r"([^ .,_*|~/\t\n-])([ .,_*|~/\t\n-]*)")
ROT13 = str.maketrans(
    ascii_lowercase + ascii_uppercase,
    ascii_lowercase[13:] + ascii_lowercase[:13] + ascii_uppercase[13:] + ascii_uppercase[:13],
)
FREQUENT = frozenset(
    {"the", "and", "you", "that", "this", "with", "for", "are", "not", "all", "from", "your", "have", "will", "can",
     "what", "any", "must", "instructions", "previous", "ignore", "prompt", "system"}
)  # fmt: skip
FEW_VOWELS = 0.33
"""Share of a, e, i, o, u among the Latin letters: below it no language is written that Weir knows."""
GAP_WORDS = 2
"""Words between read ones that are none when they are turned."""
EDGE_CHARS = 80
"""Around words that could be read: others that could not belong to them."""
LONG, ENOUGH = 6, 10
"""Letters of a word that count, and of all words of a run."""
CUT_LETTERS = 3072
"""Of a spaced run that is cut into words; the rest is left in one piece."""


def leet(text: str) -> Iterator[Piece]:
    """Letters written as digits and signs: the whole text, with each word that becomes one. Where most words are
    written so, all of them, whatever the language."""
    words = [word for word in LEET_WORD.findall(text) if MIXED.search(word) and not HEXED.fullmatch(word)]
    everywhere = len(words) >= 4 and len(words) * 8 >= text.count(" ") + 1
    read = {word: said for word in set(words) if (said := _unleet(word, everywhere)) is not None}
    if sum(word in read for word in words) < 2:
        return
    if everywhere:
        read = {**NUMBERS, **read}
    yield Piece(LEET_WORD.sub(lambda match: read.get(match.group(), match.group()), text), "leet", 0, len(text))


def _unleet(word: str, trusted: bool) -> str | None:
    known = ranks()
    ways = [word.lower().rstrip("!").translate(one).translate(LEET) for one in ONES]
    for plain in ways:
        if plain in known and len(plain) > 1:
            return plain
    lettered = sum(map(str.isalpha, word)) * 5 >= len(word) * 2
    return ways[0] if trusted and lettered and ways[0].isalpha() else None


def spaced(text: str) -> Iterator[Piece]:
    """Letters set apart by spaces, dots and the like: from the first such run to the last, with what stands between."""
    start = end = 0

    def read(match: re.Match[str]) -> str:
        nonlocal start, end
        said = _closed(match.group())
        if said is None:
            return match.group()
        start, end = start if end else match.start(), match.end()
        return said

    said = SPACED.sub(read, text)
    if end:
        yield Piece(said[start : len(said) - (len(text) - end)], "spaced", start, end)


def _closed(run: str) -> str | None:
    parts = GAP.findall(run)
    widths = sorted({len(gap) for _, gap in parts[:-1]})
    if len(widths) > 1:
        said = "".join(letter + (" " if len(gap) > widths[0] else "") for letter, gap in parts)
        if plausible(said, least=1, share=0.5):
            return said
    letters = "".join(letter for letter, _ in parts)
    if sum(map(str.isalpha, letters)) * 10 < len(letters) * 7:
        return None
    said = cut(letters[:CUT_LETTERS].lower()).strip() + letters[CUT_LETTERS:]
    return said if plausible(said, least=1, share=0.6) else None


def scrambled(text: str) -> Iterator[Piece]:
    """Words whose inner letters were shuffled: the whole text, with each word that becomes one."""
    found = 0

    def read(match: re.Match[str]) -> str:
        nonlocal found
        word = match.group()
        plain = unshuffled(word.lower()) if len(word) > 3 else None
        if plain is None:
            return word
        found += 1
        return plain if word[0].islower() else plain.capitalize()

    said = WORD.sub(read, text)
    if found >= 2:
        yield Piece(said, "scrambled", 0, len(text))


def rotated(text: str) -> Iterator[Piece]:
    """Every letter moved by thirteen."""
    turned = text.translate(ROT13)
    for start, end in _region(text, lambda word: word.translate(ROT13)):
        yield Piece(turned[start:end], "rot13", start, end)


def reversed_(text: str) -> Iterator[Piece]:
    """Written from right to left, or each word for itself."""
    for start, end in _region(text, lambda word: word[::-1]):
        run = text[start:end]
        yield Piece(run[::-1], "reversed", start, end)
        yield Piece(WORD.sub(lambda match: match.group()[::-1], run), "reversed", start, end)


def _region(text: str, turn: Callable[[str], str]) -> Iterator[tuple[int, int]]:
    """From the first run to the last, and on to the ends of their lines, where these are near."""
    runs = list(_runs(text, turn))
    if runs:
        start, end = runs[0][0], runs[-1][1]
        before = text.rfind("\n", max(0, start - EDGE_CHARS), start) + 1
        after = text.find("\n", end, end + EDGE_CHARS)
        yield before or max(0, start - EDGE_CHARS), after if after >= 0 else min(len(text), end + EDGE_CHARS)


def _runs(text: str, turn: Callable[[str], str]) -> Iterator[tuple[int, int]]:
    """Where words stand that are none until they are turned, with few others between."""
    known = ranks()
    start = end = weight = others = 0
    for match in WORD.finditer(text):
        word = match.group().partition("'")[0].lower()
        turned = turn(word) in known
        if turned and word not in known:
            start = start if weight else match.start()
            end = match.end()
            weight += min(len(word), LONG)
            others = 0
            continue
        if weight and not turned:
            others += 1
            if others > GAP_WORDS:
                if weight >= ENOUGH:
                    yield start, end
                weight = others = 0
    if weight >= ENOUGH:
        yield start, end


def shifted(text: str) -> Iterator[Piece]:
    """Every letter moved by the same number of places, or the alphabet turned round: of a whole text without English
    words. In other languages only the vowels tell a text that was moved by thirteen."""
    sample = text[:400]
    vowels = _vowels(sample.lower())
    if vowels is None or vowels > FEW_VOWELS or plausible(sample, share=0.25):
        return
    turns = {by: sample.translate(_moved(by)) for by in range(1, 27)}
    best = max(turns, key=lambda by: _score(turns[by]))
    if best != 13 and plausible(turns[best], share=0.7):
        yield Piece(text.translate(_moved(best)), "caesar" if best < 26 else "atbash", 0, len(text))
    elif (_vowels(turns[13].lower()) or 0.0) > FEW_VOWELS + 0.01:
        yield Piece(text.translate(ROT13), "rot13", 0, len(text))


def _vowels(text: str) -> float | None:
    """Their share among the Latin letters of a lower-case text; None where these are few."""
    letters = sum(map(text.count, ascii_lowercase))
    return sum(map(text.count, "aeiou")) / letters if letters >= 16 else None


def _score(text: str) -> int:
    return sum(word.lower() in FREQUENT for word in WORD.findall(text))


def _moved(by: int) -> dict[int, int]:
    low, high = ascii_lowercase, ascii_uppercase
    if by == 26:
        return str.maketrans(low + high, low[::-1] + high[::-1])
    return str.maketrans(low + high, low[by:] + low[:by] + high[by:] + high[:by])
