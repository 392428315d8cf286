"""Words of a question and of a text: their stems, which of them say nothing, and which are alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from plugins.compression.meanings import forms, meant

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{2,}")
HEAD = 4
"""Words that begin with the same letters, so many, may be alike."""
HEAD_SHARE = 0.6
"""Where those are at least this share of the longer one."""
DICE = 0.55
"""From so many trigrams in common on, words are alike."""
LEAST_INSIDE = 5
"""Letters that a word must have to count where it is a part of another."""
SAME, BEGUN, SPELT, MEANT = 1.0, 0.7, 0.3, 0.25
"""How surely a word stands for one of the question: itself, begun alike, spelt alike or a part of it, of one sense."""
_ENDINGS = MappingProxyType(
    {
        "s": ("ations", "itions", "ments", "ings", "ness", "ions", "ies", "ers", "ors", "es", "s"),
        "n": ("ation", "ition", "ion"), "t": ("ment",), "g": ("ing",), "y": ("ingly", "edly", "ly", "y"),
        "d": ("ied", "ed"), "r": ("er", "or"), "l": ("al",), "e": ("e",),
    }
)  # fmt: skip
"""By their last letters."""
STOP = frozenset(
    """a about according after all also am an and any anybody anyone anything are as at be because been before being but
    by can could describe did discuss do does doing done each either else ever every explain find for from get give
    given go got had happen happened happens has have having he her here him his how i if in into is it its itself just
    let like list make many may me mention might more most much must my need no not of off on once one only or other our
    out over own per please quite really regarding said same say says shall she should show since so some somebody
    someone something specific still such tell than that the their them themselves then there these they thing things
    this those through to too under until up us use used using very want was way we were what when where whether which
    while who whom whose why will with within without would yet you your""".split()  # noqa: SIM905
)


def words(text: str) -> list[str]:
    """In small letters; what is written without blanks as pairs of its signs."""
    small = text.lower()
    found: list[str] = WORD.findall(small)
    if not small.isascii() and CJK.search(small) is not None:
        found.extend([run[at : at + 2] for run in CJK.findall(small) for at in range(len(run) - 1)])
    return found


def stem(word: str) -> str:
    """Of irregular forms that of the word that they belong to."""
    if word[-2:] in ("'s", "’s"):
        word = word[:-2]
    return forms().get(word) or plain_stem(word)


def plain_stem(word: str) -> str:
    """Without its ending, and without what stands for one letter doubled."""
    if len(word) < 4 or not word.isalpha():
        return word
    for ending in _ENDINGS.get(word[-1], ()):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    if word[-1] in "ey" and len(word) > 3:
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "slz" else word


def asked(question: str) -> list[str]:
    """The stems that the question is about, in order, each once."""
    found = words(question)
    said = [stem(word) for word in found if word not in STOP]
    return list(dict.fromkeys(said))


def alike(terms: Iterable[str], stems: Iterable[str]) -> dict[str, list[tuple[int, float]]]:
    """For each stem of a text which of the terms it stands for (their places), and how surely, 0 to 1."""
    known = set(stems)
    heads: dict[str, list[str]] = {}
    for one in known:
        if len(one) >= HEAD:
            heads.setdefault(one[:HEAD], []).append(one)
    joined = "\n".join(known)
    found: dict[str, list[tuple[int, float]]] = {}
    for at, term in enumerate(terms):
        weights = _like(term, known, heads, joined)
        for other in meant(term):
            if other in known and weights.get(other, 0.0) < MEANT:
                weights[other] = MEANT
        for one, weight in weights.items():
            found.setdefault(one, []).append((at, weight))
    return found


def _like(term: str, known: set[str], heads: Mapping[str, list[str]], joined: str) -> dict[str, float]:
    weights = {term: SAME} if term in known else {}
    if not term.isalpha() or len(term) < HEAD:
        return weights
    for one in heads.get(term[:HEAD], ()):
        if one == term:
            continue
        if _begun(term, one) >= HEAD_SHARE * max(len(term), len(one)):
            weights[one] = BEGUN
        elif one.startswith(term) or term.startswith(one):
            weights[one] = SPELT
    if len(term) >= LEAST_INSIDE and joined.count(term) > len(weights):
        for one in known:
            if term in one and one not in weights:
                weights[one] = SPELT
    if len(term) > LEAST_INSIDE:
        for part in {term[at:] for at in range(2, len(term) - 3)} | {term[:at] for at in range(HEAD, len(term) - 1)}:
            if part in known and part not in weights and part not in STOP:
                weights[part] = SPELT
    if not weights and len(term) >= LEAST_INSIDE:
        grams = _grams(term)
        for one in known:
            if one[0] == term[0] and abs(len(one) - len(term)) < 4 and _dice(grams, _grams(one)) >= DICE:
                weights[one] = SPELT
    return weights


def _begun(one: str, other: str) -> int:
    at = 0
    for first, second in zip(one, other, strict=False):
        if first != second:
            break
        at += 1
    return at


def _grams(word: str) -> set[str]:
    return {word[at : at + 2] for at in range(len(word) - 1)}


def _dice(one: set[str], other: set[str]) -> float:
    return 2 * len(one & other) / (len(one) + len(other) or 1)
