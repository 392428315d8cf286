"""How much each passage of a text concerns a question."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plugins.compression.passages import Passage
from plugins.compression.words import alike, asked, stem, words

MEANT: Mapping[str, frozenset[str]] = {}


@dataclass(frozen=True, slots=True)
class Weights:
    k1: float = 1.2
    b: float = 0.3
    title: float = 0.3
    lead: float = 0.3
    near: float = 0.35
    far: float = 0.15
    across: float = 0.2
    farther: float = 0.08
    outside: float = 0.4
    answered: float = 0.6
    pronoun: float = 0.2
    kind: float = 0.25
    dense: float = 0.05
    rare: float = 0.1
    block: float = 0.15
    both: float = 0.15
    cost: float = 0.2
    name: float = 1.2
    kappa: float = 0.0
    power: float = 1.0
    begun: float = 0.5
    spelt: float = 0.4
    meant: float = 0.35


WEIGHTS = Weights(k1=0.3, b=0.5, title=0.9, lead=0.2, near=0.35, far=0.15, across=0.15, farther=0.2, outside=0.4, answered=0.4, pronoun=0.1, kind=0.125, dense=0.02, rare=0.4, kappa=10.0, block=0.6, both=0.07, cost=0.1, name=1.2, begun=0.7, spelt=0.3, meant=0.25)
_NUMBER = re.compile(r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|hundred|thousand|million|half|twice|once|third|quarter)\b", re.I)
_DATE = re.compile(
    r"\b(?:1\d|20)\d\d\b|\b\d{1,2}[:.]\d\d\b|\b\d{4}-\d\d|\b(?:January|February|March|April|May|June|July|August|September|"
    r"October|November|December|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|today|tomorrow|yesterday|noon|midnight|morning|evening|week|month|year|day|hour|minute|until|since|before|after|during|century)s?\b", re.I)
_NAME = re.compile(r"(?<=[^.!?:\s])\s+[\"“'(]?[A-Z][\w.-]+")
_PLACE = re.compile(r"\b(?:in|at|on|under|near|behind|above|below|to|from|between|beside)\b|/|://", re.I)
_REASON = re.compile(r"\b(?:because|since|due|reason|so that|therefore|thus|as|cause[sd]?|led|owing|in order|why|prevent\w*|error|fail\w*|fatal|refused|denied|rejected|cannot|could not|unable|invalid|expired|exceeded|exhausted|missing|broken)\b", re.I)
_MANNER = re.compile(r"\b(?:by|via|use[sd]?|using|run|set|click|choose|press|open|hold|push|type|select|enter|call|with|through|must|should|can)\b|`", re.I)
_ASKS: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = (
    (re.compile(r"\bhow (?:many|much|long|often|far|high|large|big|old|fast|quickly|tall|wide|deep|soon)\b|\b(?:amount|number|percentage|percent|price|cost|fee|size|limit|maximum|minimum|rate|total|version|port)\b", re.I), _NUMBER),
    (re.compile(r"\bwhen\b|\b(?:date|year|time|day|month|how long|how soon|deadline)\b", re.I), _DATE),
    (re.compile(r"\bwho(?:m|se)?\b|\b(?:person|name|author|company)\b", re.I), _NAME),
    (re.compile(r"\bwhere\b|\b(?:location|place|folder|file|path|city|country|url)\b", re.I), _PLACE),
    (re.compile(r"\bwhy\b|\b(?:reason|cause)", re.I), _REASON),
    (re.compile(r"\bhow (?:do|can|should|to|does|did|is|was|are)\b", re.I), _MANNER),
)
_SAYING = re.compile(r"\s[\"'(]?[A-Z\d]").findall
DENSE_CHARS = 240
_PRONOUN = re.compile(r"\W*(?:he|she|it|they|this|that|these|those|such|his|her|its|their|there)\b", re.I)


def scores(parts: Sequence[Passage], question: str, weights: Weights = WEIGHTS) -> list[float]:
    terms = asked(question)
    if not terms or not parts:
        return [0.0] * len(parts)
    stems: dict[str, str] = {}
    said = [_stems(part.text, stems) for part in parts]
    found = [Counter(one) for one in said]
    holding: Counter[str] = Counter()
    for one in found:
        holding.update(one.keys())
    like = alike(terms, holding, MEANT)
    count = len(parts)
    names = {stem(word.lower()) for word in re.findall(r"(?<=\s)[A-Z][\w'’-]+", question)}
    factor = [weights.name if term in names or not term.isalpha() else 1.0 for term in terms]
    idf = {word: math.log(1 + (count - n + 0.5) / (n + 0.5)) ** weights.power for word, n in holding.items()}
    mean = sum(map(len, said)) / count or 1.0
    own: list[float] = []
    cover: list[dict[int, float]] = []
    for one, text in zip(found, said, strict=True):
        best: dict[int, float] = {}
        norm = weights.k1 * (1 - weights.b + weights.b * len(text) / mean)
        for word in one.keys() & like.keys():
            tf = one[word]
            gain = idf[word] * tf * (weights.k1 + 1) / (tf + norm)
            for at, share in like[word]:
                best[at] = max(best.get(at, 0.0), gain * share * factor[at])
        cover.append(best)
        own.append(sum(best.values()) * (1 + weights.both * max(0, len(best) - 1)))
    top = max(own) or 1.0
    kinds = [wanted.search for asks, wanted in _ASKS if asks.search(question)]
    whole = _blocks(parts, cover)
    base = _around(parts, own, cover, whole, stems, like, idf, kinds, weights)
    rare = _rarity(found, idf, count)
    out = [score + top * (weights.dense * _density(part.text) + weights.rare * one) for score, part, one in zip(base, parts, rare, strict=True)]
    if weights.kappa:
        worn = _worn(cover, out, weights)
        own = [sum(best.values()) * (1 + weights.both * max(0, len(best) - 1)) for best in worn]
        base = _around(parts, own, worn, whole, stems, like, idf, kinds, weights)
        out = [score + top * (weights.dense * _density(part.text) + weights.rare * one) for score, part, one in zip(base, parts, rare, strict=True)]
    return out


def _worn(cover, out, weights):
    seen: Counter[int] = Counter()
    made: list[dict[int, float]] = [{}] * len(out)
    for at in sorted(range(len(out)), key=lambda at: -out[at]):
        one = cover[at]
        if one:
            made[at] = {term: gain / (1 + seen[term] / weights.kappa) for term, gain in one.items()}
            seen.update(one.keys())
    return made


def _around(parts, own, cover, whole, stems, like, idf, kinds, weights):
    out = []
    top = max(own) or 1.0
    for at, part in enumerate(parts):
        score = own[at] + weights.block * whole[part.block]
        score += _beside(parts, own, at, weights)
        extra = 0.0
        for depth, head in enumerate(reversed(part.title)):
            extra += weights.title * own[head] / (1 + depth)
        if part.lead:
            extra += weights.lead * sum(idf.get(word, 0.0) * max([s for _, s in like[word]]) for word in set(_stems(part.lead, stems)) & like.keys())
        score += extra
        if kinds:
            score += weights.kind * min(score, top) * sum([1 for search in kinds if search(part.text)]) / len(kinds)
        out.append(score)
    return out


def _blocks(parts: Sequence[Passage], cover: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """What each paragraph says of the terms, each counted once."""
    best: dict[int, dict[int, float]] = {}
    for part, one in zip(parts, cover, strict=True):
        known = best.setdefault(part.block, {})
        for term, gain in one.items():
            known[term] = max(known.get(term, 0.0), gain)
    return {block: sum(one.values()) for block, one in best.items()}


def _beside(parts: Sequence[Passage], own: Sequence[float], at: int, weights: Weights) -> float:
    here = parts[at].block
    before, after = 0.0, 0.0
    if at:
        share = weights.near if parts[at - 1].block == here else weights.across
        if _PRONOUN.match(parts[at].text):
            share += weights.pronoun
        if parts[at - 1].text.rstrip()[-1:] == "?":
            share = max(share, weights.answered)
        before = share * own[at - 1]
    if at + 1 < len(own):
        after = (weights.near if parts[at + 1].block == here else weights.across) * own[at + 1]
    score = before + after
    for other, share in ((at - 2, weights.far), (at + 2, weights.far), (at - 3, weights.farther), (at + 3, weights.farther)):
        if 0 <= other < len(own):
            score += share * own[other] * (1.0 if parts[other].block == here else weights.outside)
    return score


def _rarity(found: Sequence[Counter[str]], idf: Mapping[str, float], count: int) -> list[float]:
    """How unlike the others a passage is, 0 to 1: of alike lines those that stand out."""
    most = math.log(1 + (count - 0.5) / 1.5) or 1.0
    out = []
    for one in found:
        plain = [idf[word] for word in one if word.isalpha()]
        out.append(sum(plain) / len(plain) / most if plain else 0.0)
    return out


def _stems(text: str, known: dict[str, str]) -> list[str]:
    out = []
    for word in words(text):
        found = known.get(word)
        if found is None:
            found = known[word] = stem(word)
        out.append(found)
    return out


def _density(passage: str) -> float:
    """The share of words that are figures or names, 0 to 1."""
    said = passage[:DENSE_CHARS]
    return len(_SAYING(said)) / (said.count(" ") + 1)
