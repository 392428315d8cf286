"""A text as a reader sees it: normal (NFKC, nothing invisible, look-alikes as Latin), what is hidden in it, offsets."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from operator import itemgetter

from plugins.injection.lookalikes import LATIN, LETTERS

INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff"
    "\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
"""What takes no room: zero-width and bidirectional controls, fillers, soft hyphens, selectors, tags."""
SURROGATES = re.compile("[\ud800-\udfff]")
MARKS = re.compile("[\u0300-\u036f\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20f0]+")
PILED = re.compile(f"(?<=[A-Za-z\u00c0-\u024f\u1e00-\u1eff]){MARKS.pattern}")
PILES = 3
"""Letters that carry such marks, before all marks go."""
RUN = re.compile(r"[\x00-\x7f]?[^\x00-\x7f]+")
WORD = re.compile(r"[^\W\d_]+")
LATIN_LETTER = re.compile("[A-Za-z]")
SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\x0b\x0c\x85]")

TAGS = re.compile("(?<![\U0001f3f4\U000e0020-\U000e007e])[\U000e0020-\U000e007e]{4,}")
"""Letters in the block of tags (those of a flag's region apart)."""
SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{4,}")
"""Each variation selector may carry a byte."""
BITS = re.compile("[\u200b\u200c\u200d\u2060\ufeff]{32,}")
"""Zero-width characters in rows: bits."""


def normal(text: str) -> str:
    """The text as it is read. Pure ASCII comes back as it is."""
    if text.isascii():
        return text
    text = SURROGATES.sub("\ufffd", text)
    text = SPACES.sub(" ", INVISIBLE.sub("", text))
    text = unicodedata.normalize("NFKC", text)
    if text.isascii():
        return text
    text = _bared(text)
    return text if text.isascii() else _latin(text)


def _bared(text: str) -> str:
    """Letters without the marks that are piled on them: what no spelling has as a character of its own."""
    if len(PILED.findall(text)) < PILES:
        return text
    return MARKS.sub("", unicodedata.normalize("NFD", text))


def _latin(text: str) -> str:
    """Look-alikes from other scripts as the Latin letters they stand for: in words that mix scripts, and in any word
    made of nothing else where the rest of the text is Latin."""
    text = text.translate(LETTERS)
    if text.isascii():
        return text
    folded = text.translate(LATIN)
    if folded == text:
        return text
    if folded.isascii() and LATIN_LETTER.search(text):
        return folded
    letters = WORD.findall(folded)
    latin = len(LATIN_LETTER.findall(folded)) > 0.9 * sum(map(len, letters))
    return WORD.sub(_any_word if latin else _mixed_word, text)


def _any_word(found: re.Match[str]) -> str:
    word = found.group()
    folded = word.translate(LATIN)
    return folded if folded.isascii() else word


def _mixed_word(found: re.Match[str]) -> str:
    return _any_word(found) if LATIN_LETTER.search(found.group()) else found.group()


def hidden(text: str) -> list[tuple[str, str, int, int]]:
    """Texts that nobody sees, by (text, kind, start, end): tag characters, selectors as bytes, zero-width bits."""
    if text.isascii():
        return []
    found = [("".join(chr(ord(one) - 0xE0000) for one in m.group()), "hidden", *m.span()) for m in TAGS.finditer(text)]
    for match in SELECTORS.finditer(text):
        found += _read(bytes(map(_byte, match.group())), match)
    for match in BITS.finditer(text):
        for zero in sorted(set(match.group()))[:2]:
            digits = "".join("0" if one == zero else "1" for one in match.group())
            whole = len(digits) // 8 * 8
            found += _read(int(digits[:whole], 2).to_bytes(whole // 8), match)
    return found


def _byte(selector: str) -> int:
    code = ord(selector)
    return code - 0xFE00 if code < 0xE0100 else code - 0xE0100 + 16


def _read(data: bytes, match: re.Match[str]) -> list[tuple[str, str, int, int]]:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return []
    return [(text, "hidden", *match.span())] if text.isprintable() else []


class Origins:
    """From places in a normal text back to the original: exact in ASCII, around the run of other characters else."""

    def __init__(self, original: str, made: str) -> None:
        self._runs: list[tuple[int, int, int, int]] = []
        """Of characters that may have changed: start and end in the normal text, start and end in the original."""
        self._moved: list[int] = [0]
        shift = 0
        for match in () if original.isascii() else RUN.finditer(original):
            start, length = match.start() + shift, len(normal(match.group()))
            self._runs.append((start, start + length, *match.span()))
            shift = start + length - match.end()
            self._moved.append(-shift)
        self._exact = len(made) - len(original) == shift
        self._scale = len(original) / len(made) if made else 1.0

    def back(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original behind a span of the normal text."""
        if not self._exact:  # letters melted together across a run: about there
            return int(start * self._scale), min(int(end * self._scale) + 1, int(self._scale * end) + end)
        return self._place(start, ending=False), self._place(end, ending=True)

    def _place(self, at: int, *, ending: bool) -> int:
        number = bisect_right(self._runs, at, key=itemgetter(0))
        if number:
            _, stop, first, last = self._runs[number - 1]
            if at < stop or (ending and at == stop):
                return last if ending else first
        return at + self._moved[number]
