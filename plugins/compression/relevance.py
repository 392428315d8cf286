"""How much each passage of a text concerns a question: its words, where it stands, and what an answer looks like.

A passage counts for the words of the question that are in it (rare ones more, words that are alike or mean the same
less), for those of its neighbours, its paragraph, its headings and what its paragraph begins with; for what an answer
of that kind has in it; and a little for what stands out of the text, so that among alike lines the odd one comes first.
Words of the question that many better passages have count less and less, so that the room goes to what else it asks.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from plugins.compression.expected import expected
from plugins.compression.passages import Passage
from plugins.compression.words import alike, asked, stem, words

K1, B = 0.3, 0.5
BOTH = 0.07
"""More for each further word of the question that a passage has."""
NAME = 1.2
"""What names and numbers of the question count."""
TITLE, LEAD = 0.9, 0.3
BLOCK = 0.5
"""What a passage has of what its paragraph says of the question."""
WINDOW, FADES = 1.0, (1.0, 0.8, 0.64)
"""What it has of what it and the two on either side say together, each word of the question counted once; what is
further away less."""
NEAR, ACROSS = 0.25, 0.15
"""What it has of the passages beside it, in its paragraph or in another."""
FARTHER = (0.15, 0.15)
"""Of those two and three away, both sides together."""
OUTSIDE = 0.4
"""Of which so much across paragraphs."""
PRONOUN = 0.1
"""More of the one before, where it begins with a pronoun."""
ANSWER = 0.6
"""Of the one before, where that asks."""
KIND = 0.2
"""More for what has in it what an answer has."""
DENSE, RARE = 0.02, 0.85
"""Shares of the best passage's score for figures and names, and for what stands out."""
WORN = 10.0
"""After so many better passages a word of the question counts a half."""
DENSE_CHARS = 240
_SAYING = re.compile(r"\s[\"'(]?[A-Z\d]").findall
_PRONOUN = re.compile(
    r"\W*(?:he|she|it|they|this|that|these|those|such|his|her|its|their|there)\b", re.IGNORECASE
).match
_NAMED = re.compile(r"(?<=\s)[A-Z][\w'’-]+").findall


def scores(parts: Sequence[Passage], question: str) -> list[float]:
    """Not comparable between texts. Zero for all where the question asks nothing."""
    terms = asked(question)
    if not terms or not parts:
        return [0.0] * len(parts)
    judged = _Judged(parts, question, terms)
    first = judged.together(judged.gains)
    return judged.together(judged.worn(first))


class _Judged:
    """The passages of a text with what they say of a question."""

    def __init__(self, parts: Sequence[Passage], question: str, terms: Sequence[str]) -> None:
        self._parts = parts
        self._stems: dict[str, str] = {}
        said = [self._said(part.text) for part in parts]
        found = [Counter(one) for one in said]
        holding: Counter[str] = Counter()
        for one in found:
            holding.update(one.keys())
        count = len(parts)
        self._idf = {word: math.log(1 + (count - n + 0.5) / (n + 0.5)) for word, n in holding.items()}
        self._like = alike(terms, holding)
        names = {stem(word.lower()) for word in _NAMED(question)}
        self._factors = [NAME if term in names or not term.isalpha() else 1.0 for term in terms]
        mean = sum(map(len, said)) / count or 1.0
        self.gains = [self._gain(one, len(text) / mean) for one, text in zip(found, said, strict=True)]
        """For each passage, by the place of a term, what it says of it."""
        rare = self._rarity(found)
        self._apart = [DENSE * _density(part.text) + RARE * one for part, one in zip(parts, rare, strict=True)]
        kinds = expected(question)
        share = KIND / len(kinds) if kinds else 0.0
        self._kinds = [1 + share * sum([1 for search in kinds if search(part.text)]) for part in parts]
        self._blocks = self._of_blocks()
        self._leads = [self._of_lead(part.lead) for part in parts]

    def together(self, gains: Sequence[Mapping[int, float]]) -> list[float]:
        """The scores, with these gains of the passages."""
        own = [sum(one.values()) * (1 + BOTH * (len(one) - 1)) if one else 0.0 for one in gains]
        top = max(own) or 1.0
        out = []
        for at, part in enumerate(self._parts):
            score = own[at] + BLOCK * self._blocks[part.block] + self._beside(own, at) + self._leads[at]
            for depth, head in enumerate(reversed(part.title)):
                score += TITLE * own[head] / (1 + depth)
            score += (self._kinds[at] - 1) * min(score, top) + WINDOW * self._window(gains, at)
            out.append(score + top * self._apart[at])
        return out

    def worn(self, scored: Sequence[float]) -> list[dict[int, float]]:
        """The gains, less for terms that better passages have."""
        seen = [0] * len(self._factors)
        made: list[dict[int, float]] = [{} for _ in scored]
        for at in sorted(range(len(scored)), key=lambda at: -scored[at]):
            gains = self.gains[at]
            if gains:
                made[at] = {term: gain / (1 + seen[term] / WORN) for term, gain in gains.items()}
                for term in gains:
                    seen[term] += 1
        return made

    def _said(self, text: str) -> list[str]:
        known, out = self._stems, []
        for word in words(text):
            found = known.get(word)
            if found is None:
                found = known[word] = stem(word)
            out.append(found)
        return out

    def _gain(self, found: Counter[str], length: float) -> dict[int, float]:
        best: dict[int, float] = {}
        norm = K1 * (1 - B + B * length)
        for word in found.keys() & self._like.keys():
            count = found[word]
            gain = self._idf[word] * count * (K1 + 1) / (count + norm)
            for term, share in self._like[word]:
                best[term] = max(best.get(term, 0.0), gain * share * self._factors[term])
        return best

    def _of_blocks(self) -> dict[int, float]:
        """What each paragraph says of the terms, each counted once."""
        best: dict[int, dict[int, float]] = {}
        for part, gains in zip(self._parts, self.gains, strict=True):
            known = best.setdefault(part.block, {})
            for term, gain in gains.items():
                known[term] = max(known.get(term, 0.0), gain)
        return {block: sum(one.values()) for block, one in best.items()}

    def _of_lead(self, lead: str) -> float:
        if not lead:
            return 0.0
        found = set(self._said(lead)) & self._like.keys()
        return LEAD * sum([self._idf.get(word, 0.0) * max([share for _, share in self._like[word]]) for word in found])

    def _beside(self, own: Sequence[float], at: int) -> float:
        parts, here, score = self._parts, self._parts[at].block, 0.0
        if at:
            before = parts[at - 1]
            share = NEAR if before.block == here else ACROSS
            if _PRONOUN(parts[at].text) is not None:
                share += PRONOUN
            if before.text.rstrip()[-1:] == "?":
                share = ANSWER
            score = share * own[at - 1]
        if at + 1 < len(own):
            score += (NEAR if parts[at + 1].block == here else ACROSS) * own[at + 1]
        for away, share in enumerate(FARTHER, 2):
            for other in (at - away, at + away):
                if 0 <= other < len(own) and own[other]:
                    score += share * own[other] * (1.0 if parts[other].block == here else OUTSIDE)
        return score

    def _window(self, gains: Sequence[Mapping[int, float]], at: int) -> float:
        best = dict(gains[at])
        parts, here = self._parts, self._parts[at].block
        for away in (1, 2):
            for other in (at - away, at + away):
                if 0 <= other < len(parts) and gains[other]:
                    share = FADES[away] * (1.0 if parts[other].block == here else OUTSIDE)
                    for term, gain in gains[other].items():
                        if gain * share > best.get(term, 0.0):
                            best[term] = gain * share
        return sum(best.values())

    def _rarity(self, found: Sequence[Counter[str]]) -> list[float]:
        """How unlike the others each passage is, 0 to 1."""
        idf, out = self._idf, []
        most = math.log(1 + (len(found) - 0.5) / 1.5) or 1.0
        for one in found:
            plain = [idf[word] for word in one if word.isalpha()]
            out.append(sum(plain) / len(plain) / most if plain else 0.0)
        return out


def _density(passage: str) -> float:
    """The share of words that are figures or names, about 0 to 1."""
    said = passage[:DENSE_CHARS]
    return len(_SAYING(said)) / (said.count(" ") + 1)
