"""One text as the second stage reads it: the words that say something, in one form each, with what is said of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from plugins.cache.semantic import numbers, words
from plugins.cache.semantic.frames import framed
from plugins.cache.semantic.gist import Gist, gist
from plugins.cache.semantic.lexicon import Lexicon, plain
from plugins.cache.semantic.phrases import PHRASES
from plugins.cache.semantic.synonyms import CLASSES
from plugins.cache.semantic.tongues import foreign

MOST_WORDS = 40
MOST_CHARACTERS = 320
"""What is longer is compared letter by letter: who writes that much means every word of it."""
OPENINGS = 4
"""So many times what opens and closes a text is taken off."""
ENGLISH = 0.6
"""Share of its words that must be English before a text is read as English."""
CODE = re.compile(
    r"```|`[^`]*`|[{}<>\\|;=~^]|\w\(|\)\.|::|->|https?://|\b\w+@\w|\b\w+_\w|\b[a-z]+[A-Z]\w*\(|\n\s+\S|/\w+/"
)
QUOTES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u00b4": "'", "`": "'", "\u201c": '"', "\u201d": '"',
                        "\u2013": "-", "\u2014": " , ", "\u2026": " ", "\u00a0": " "})  # fmt: skip
TOKEN = re.compile(r"#[\w.:-]+|[^\W\d_]+(?:'[^\W\d_]+)?[+#]{0,2}|[\w]+(?:[.:'][\w]+)*|[,.!?:()\"]|\S")
QUOTED = re.compile(r"(?<!\w)(?:\"([^\"\n]{1,300})\"|'([^'\n]{1,300})')(?!\w)")
WORDING = words.listed(
    "translate translation spell spelling spelt spelled grammatical pronounce pronunciation rhyme letters syllable"
    " syllables conjugate plural singular synonym synonyms antonym antonyms anagram capitalise capitalize uppercase"
    " lowercase typo typos vowel vowels"
)
"""Who asks for one of these means the very words."""
NAME = re.compile(r"[^\W\d_][\w'+#]*")
BREAKS = frozenset(",.!?:()")
SUFFERS = "passive"
ALIKE_PLACES = frozenset({"in", "at"})
LOC = "loc"
"""in, at: where, alike."""


NOTHING = Gist()


@dataclass(frozen=True, slots=True)
class Word:
    """One word: as written (lower case), and the form that stands for it and all that may stand in its place."""

    said: str
    key: str
    owner: int = 0
    """1: mine or ours, 2: yours."""
    phrase: int = 0
    """Which phrase of the text it is in."""
    name: bool = False
    """Written as a name is: in capitals where nothing else asks for them."""

    @property
    def number(self) -> bool:
        return self.said.startswith("#")


@dataclass(frozen=True, slots=True)
class Reading:
    """`exact`: the text is code, long or of another language: then its words are its letters, and nothing is near."""

    words: tuple[Word, ...]
    exact: str = ""
    quotes: tuple[str, ...] = ()
    """What stands in quotation marks: means itself."""
    text: str = ""
    said: frozenset[str] = frozenset()
    """Every word as written, in lower case."""
    unknown: tuple[str, ...] = ()
    """Those that are no English words."""
    names: frozenset[str] = frozenset()
    worded: bool = False
    """Asks about words as such: another form of one is another question."""
    gist: Gist = NOTHING

    @property
    def keys(self) -> frozenset[str]:
        """What other texts that ask the same have too, nearly all of them."""
        return frozenset((self.exact,)) if self.exact else frozenset(word.key for word in self.words)


def read(text: str, lexicon: Lexicon) -> Reading:
    """Pure; a fraction of a millisecond for a question."""
    text = unicodedata.normalize("NFC", text).strip()
    if len(text) > MOST_CHARACTERS or CODE.search(text):
        return Reading((), exact=f"={text}")
    lower = text.translate(QUOTES).lower()
    for pattern, written in words.TYPOS:
        lower = pattern.sub(written, lower)
    said = re.findall(r"[^\W_]+", lower)
    if len(said) > MOST_WORDS:
        return Reading((), exact="=" + _trimmed(lower))
    elsewhere = foreign(lower, sum(1 for word in said if word in words.FUNCTION))
    if elsewhere is not None or not _english(said, lexicon):
        quotes = tuple(one or other for one, other in QUOTED.findall(text.translate(QUOTES)))
        return Reading((), exact="=" + _trimmed(lower), gist=elsewhere or Gist(), quotes=quotes)
    phrased, names = " ".join(_phrased(lower).split()), _names(text)
    found = tuple(_words(_sifted(phrased), names))
    if not found:
        return Reading((), exact="=" + _trimmed(lower))
    return Reading(
        found,
        quotes=tuple(one or other for one, other in QUOTED.findall(text.translate(QUOTES))),
        text=text,
        said=frozenset(said),
        unknown=tuple(dict.fromkeys(word for word in said if word.isalpha() and word not in lexicon)),
        names=names,
        worded=not WORDING.isdisjoint(said),
        gist=_gist(phrased, names),
    )


def _gist(phrased: str, names: frozenset[str]) -> Gist:
    line = framed(phrased)
    return gist(line, tuple(_words(_sifted(line), names)))


def _trimmed(lower: str) -> str:
    return " ".join(lower.split()).rstrip("?!. ")


def _english(said: list[str], lexicon: Lexicon) -> bool:
    counted = [word for word in said if not word.isdigit()]
    known = sum(1 for word in counted if word.isascii() and (len(word) < 3 or word in lexicon))
    functions = sum(1 for word in counted if word in words.FUNCTION)
    return (
        bool(counted)
        and all(map(str.isascii, counted))
        and known >= ENGLISH * len(counted)
        and (functions > 0 or known == len(counted))
    )


def _names(text: str) -> frozenset[str]:
    """Words with a capital where a sentence does not begin; none in a text that is all in capitals."""
    if not any(map(str.islower, text)):
        return frozenset()
    found = set()
    for match in NAME.finditer(text):
        before = text[: match.start()].rstrip(" \"'(")
        if match[0][0].isupper() and before and before[-1] not in ".!?:\n" and match[0] not in ("I", "I'm", "I've"):
            found.add(match[0].lower().removesuffix("'s"))
        elif len(match[0]) > 1 and match[0].isupper():
            found.add(match[0].lower())
    return frozenset(found)


def _phrased(lower: str) -> str:
    """Contractions written out, numbers in one form, what only opens or closes taken off, phrases in one form."""
    for pattern, written in words.CONTRACTIONS:
        lower = pattern.sub(written, lower)
    lower = re.sub(r"'s\b|(?<=s)'(?=\s)", "", lower)
    lower = re.sub(r"(?<=[a-z])-(?=[a-z])", " ", lower)
    lower = re.sub(r"\s+", " ", lower.replace("\n", " . ")).strip()
    for _ in range(OPENINGS):
        before = lower
        for pattern, written in words.OPENINGS:
            lower = pattern.sub(written, lower, count=1).lstrip(" ,-:")
        lower = words.CLOSINGS.sub("", lower) or lower
        lower = re.sub(r"[ .!?,]+$", "", lower) or lower
        if lower == before:
            break
    lower = numbers.written(lower)
    lower = re.sub(r"\s+", " ", lower)
    for pattern, written in PHRASES:
        lower, times = pattern.subn(written, lower)
        if times:
            lower = re.sub(r" +", " ", lower)
    return lower


def _sifted(line: str) -> str:
    """Determiners and auxiliaries taken out where they say nothing."""
    said = [one for one in TOKEN.findall(line) if one not in "'\"-"]
    kept = []
    for at, one in enumerate(said):
        after = said[at + 1] if at + 1 < len(said) else ""
        if one in words.PASSIVE and (after in words.PARTICIPLES or (after.endswith("ed") and len(after) > 4)):
            kept.append(SUFFERS)
        elif one not in words.LEFT_OUT:
            kept.append(one)
    return " ".join(kept)


def _words(line: str, names: frozenset[str]) -> Iterator[Word]:
    phrase, owner, before, begins = 0, 0, "", False
    tokens = line.split(" ")
    for at, token in enumerate(tokens):
        if token in BREAKS:
            phrase, before = phrase + 1, ""
            continue
        if token in words.OWNERS:
            owner = words.OWNERS[token]
            continue
        after = tokens[at + 1] if at + 1 < len(tokens) else ""
        token = words.DAYS.get(token, token)
        token = _placed(words.ALIKE.get(token, token), before, after)
        if not token:
            begins = True
            continue
        if begins or token in words.HEADS or token == LOC or (token in words.QUESTIONS and before):
            phrase += 1
        name = token in names or token.removesuffix("s") in names
        yield Word(token, _key(token), owner, phrase, name)
        owner, before, begins = 0, token, False


def _placed(token: str, before: str, after: str) -> str:
    """in and at are alike where they tell a place; with on they are nothing before a day or an hour, and else part of
    the verb."""
    if token not in words.PLACES:
        return token
    if before in words.PHRASAL:
        return token
    day = words.DAYS.get(after, after).removesuffix("s")
    if day in words.WEEKDAYS or after.startswith(("#t", "#d")):
        return ""
    return token if token not in ALIKE_PLACES or after.startswith("#") else LOC


@lru_cache(16384)
def _key(token: str) -> str:
    if token.startswith("#") or token in words.FUNCTION:
        return token
    found = plain(token)
    return _CLASSES.get(found, found)


_CLASSES = {plain(word): plain(first) for word, first in CLASSES.items()}
