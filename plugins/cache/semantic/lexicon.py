"""English words as such: whether there is one, its plain form, and whether one is another misspelt.

`words.bin` is a Bloom filter over SCOWL's word lists: it knows every word of them, and takes about one of two hundred
others for a word. That errs to the safe side: a misspelt word must be none.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from types import MappingProxyType

from plugins.cache.semantic.words import DAYS, FUNCTION, NEGATIONS, listed

PACKAGED = "words.bin"
HASHES = 7
LONGEST = 24
SHORTEST_MISSPELT = 5
LONG = 8
"""From this length on two letters may be wrong."""
AS_THEY_ARE = listed(
    "news means customs goods series species always perhaps physics mathematics economics politics ethics gas bus plus"
    " lens this yes us his its as is was has thus status bonus virus basis analysis business address access process"
    " success class pass less unless across express windows savings saving settings setting building meeting housing"
    " clothing training accounting marketing engineering evening morning wedding during nothing something anything"
    " everything string bring thing king ring sing spring sting wing swing being going using feeling rating wedding"
    " ceiling shilling sterling banking being glass glasses terms arms works times customs pants jeans trousers need"
    " feed seed speed indeed bleed breed exceed proceed succeed bed red shed wed led fed sled hundred sacred planning"
    " learning reading writing spelling meaning lightning king offspring inning outing pudding shopping boxing"
    " painting drawing recording warning living earnings"
)
IRREGULAR: Mapping[str, str] = MappingProxyType(
    {
        "children": "child", "men": "man", "women": "woman", "people": "person", "feet": "foot", "teeth": "tooth",
        "mice": "mouse", "lives": "life", "wives": "wife", "knives": "knife", "leaves": "leaf", "shelves": "shelf",
        "halves": "half", "loaves": "loaf", "using": "use", "goes": "go", "going": "go", "dying": "die",
        "lying": "lie", "tying": "tie", "data": "data", "criteria": "criterion", "makes": "make", "paying": "pay",
        "staying": "stay", "buying": "buy", "saying": "say", "cookies": "cookie", "movies": "movie",
        "calories": "calorie", "ties": "tie", "dies": "die", "lies": "lie", "pies": "pie", "shoes": "shoe",
        "diagnoses": "diagnosis", "analyses": "analysis", "adding": "add", "tomatoes": "tomato", "potatoes": "potato",
        "heroes": "hero", "echoes": "echo", "vetoes": "veto", "puppies": "puppy", "indices": "index",
        "indexes": "index", "vertices": "vertex", "matrices": "matrix", "appendices": "appendix", "wolves": "wolf",
        "thieves": "thief", "geese": "goose", "comparing": "compare", "billing": "billing", "branches": "branch",
    }
)  # fmt: skip
SHORT = re.compile(r"[^aeiou]*[aeiou][^aeiouwxy]$")
ISE = re.compile(
    r"(?:a?ris|rais|advis|exercis|promis|surpris|nois|wis|precis|revis|disguis|supervis|franchis|enterpris|premis"
    r"|compromis|devis|bruis|cruis|prais|concis|televis|improvis|excis|likewis|otherwis|paradis|expertis)(?:e|es|ed|ing)$"
)
"""Are written so everywhere."""
SPELLINGS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), other)
    for pattern, other in (
        (r"(?<=\w\w)our(?=(?:s|ed|ing|ite|ites|able)?$)", "or"),
        (r"is(e|es|ed|ing|er|ers|ation|ations)$", r"iz\1"),
        (r"ys(e|ed|es|ing)$", r"yz\1"),
        (r"(?<=\w[bcdfgkpt])re(s?)$", r"er\1"),
        (r"ogue(s?)$", r"og\1"),
        (r"(?<=\wf|\wp|\wc)ence(s?)$", r"ense\1"),
        (r"(?<=[aeiou]\w[aeiou])ll(?=(?:ed|ing|er|ers|ation|ations|ment|ments)$)", "l"),
        (r"(?<=[aeiou]\w\w[aeiou])ll(?=(?:ed|ing|er|ers|ation|ations|ment|ments)$)", "l"),
        (r"^programme", "program"),
        (r"^grey", "gray"),
        (r"^(?:judge|acknowledge)ment", "judgment"),
        (r"^enrol(?!l)", "enroll"),
        (r"^(fulfil|instal)(?!l)", r"\1l"),
        (r"ae(?=[mst]\w)", "e"),
    )
)
"""British spellings as American ones. What becomes no word stands for itself all the same: both texts are read so."""


class Lexicon:
    """Which words there are."""

    def __init__(self, bits: bytes) -> None:
        self._bits = bits
        self._size = 8 * len(bits)

    def __contains__(self, word: str) -> bool:
        """Whether it is an English word, a plural or a plain form of one."""
        if word in FUNCTION or word in DAYS:
            return True
        return any(map(self._has, {word, word[:-1] if word.endswith("s") else word, IRREGULAR.get(word, word)}))

    def _has(self, word: str) -> bool:
        return all(self._bits[place >> 3] & 1 << (place & 7) for place in places(word, self._size))


def places(word: str, size: int) -> list[int]:
    """The bits of a word in a filter of so many."""
    digest = hashlib.blake2b(word.encode(), digest_size=16).digest()
    one, other = int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little") | 1
    return [(one + at * other) % size for at in range(HASHES)]


@lru_cache(1)
def packaged() -> Lexicon:
    return Lexicon(resources.files("plugins.cache.semantic").joinpath(PACKAGED).read_bytes())


@lru_cache(16384)
def plain(word: str) -> str:
    """The form that stands for a word: singular, without -ing, in one spelling. Participles in -ed stay apart: who is
    charged does not charge."""
    found = IRREGULAR.get(word)
    if found is not None:
        return found
    if len(word) < 4 or word in AS_THEY_ARE or not word.isascii():
        return word
    if not ISE.match(word):
        for pattern, other in SPELLINGS:
            word = pattern.sub(other, word)
    return _singular(word) if word.endswith("s") else _infinitive(word) if word.endswith("ing") else word


def _singular(word: str) -> str:
    if word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith("uses") and word[:-2] in AS_THEY_ARE:
        return word[:-2]
    if word.endswith(("sses", "xes", "ches", "shes", "zzes")) and word[:-2] in packaged():
        return word[:-2]
    return word[:-1]


def _infinitive(word: str) -> str:
    """Without -ing: `run` of running, `file` of filing, `open` of opening."""
    stem = word[:-3]
    if len(stem) < 3 or not re.search("[aeiouy]", stem):
        return word
    if stem[-1] == stem[-2] and stem[-1] not in "lsfz":
        return stem[:-1]
    known, with_e = stem in packaged(), f"{stem}e" in packaged()
    soft = stem.endswith(("s", "c", "v", "z", "u")) and not stem.endswith("ss")
    return f"{stem}e" if with_e and (not known or soft or SHORT.match(stem)) else stem


def misspelt(one: str, other: str, lexicon: Lexicon) -> bool:
    """Whether exactly one of the two is a word, and the other it with a letter or two wrong."""
    if min(len(one), len(other)) < SHORTEST_MISSPELT - 1 or max(len(one), len(other)) > LONGEST:
        return False
    if not (one.isascii() and other.isascii() and one.isalpha() and other.isalpha()):
        return False
    if one in NEGATIONS or other in NEGATIONS or (one in lexicon) == (other in lexicon):
        return False
    known = one if one in lexicon else other
    if len(known) == len(one) == len(other) == SHORTEST_MISSPELT - 1:
        return sorted(one) == sorted(other) and distance(one, other, 1) == 1
    if len(known) < SHORTEST_MISSPELT or (one[0] != other[0] and one[:2] != other[1::-1]):
        return False
    allowed = 2 if len(known) >= LONG else 1
    return abs(len(one) - len(other)) <= allowed and distance(one, other, allowed) <= allowed


def distance(one: str, other: str, most: int) -> int:
    """Letters left out, put in, exchanged, or swapped with the next (optimal string alignment); `most` + 1 beyond."""
    before: list[int] = []
    above = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        line = [row]
        for column, facing in enumerate(other, 1):
            cost = min(above[column] + 1, line[-1] + 1, above[column - 1] + (letter != facing))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == facing:
                cost = min(cost, before[column - 2] + 1)
            line.append(cost)
        if min(line) > most:
            return most + 1
        before, above = above, line
    return above[-1]
