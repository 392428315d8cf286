"""Extracts: of a long text the passages that concern a question (BM25), whole and in order, within a budget of tokens.

Passages are paragraphs, long ones in sentences or lines; a fenced block is one. Nothing is cut blindly: without a
question there is no extract. JSON keeps being JSON: there the elements of its longest array are the passages.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from plugins.compression import table

LONG_CHARS = 1000
K1, B = 1.2, 0.6
HEAD = 4
"""Words that begin with the same letters, so many, are alike."""
ALIKE_SHARE = 0.5
"""What words that are alike count beside words that are the same."""
DENSE = 0.05
"""What figures and names count where the question says nothing of a passage."""
NEAR = 0.4
"""What a passage has of the score of its neighbours."""
GAP = "[...]"
LEFT_OUT = "_left_out"
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+(?=\S)")
_ENDINGS = ("ations", "ation", "ingly", "ings", "ing", "edly", "ies", "ied", "ed", "es", "ly", "s")
_STOP = frozenset(
    """a an and any are as at be been but by can could did do does for from had has have he her his how i if in into is
    it its me my no not of on or our she so some than that the their them then there these they this those to was we
    were what when where which who whom whose why will with would you your please tell find give show""".split()  # noqa: SIM905
)


def extract(text: str, question: str, budget: int, tokens: int) -> str | None:
    """At most about `budget` of its `tokens`; None where that is not needed, or not to be had."""
    asked = terms(question)
    if not asked or tokens <= budget or not text.strip():
        return None
    if text.lstrip()[:1] in ("{", "["):
        value = table.value_of(text)
        if value is not None:
            return _of_json(value, asked, budget, tokens / len(text))
    return _of_text(text, asked, budget, tokens)


def terms(text: str) -> Counter[str]:
    """The words that say something, without their endings."""
    return Counter([_stem(word) for word in _WORD.findall(text.lower()) if word not in _STOP])


def _stem(word: str) -> str:
    if len(word) < 5 or not word.isascii():
        return word
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def scores(passages: Sequence[str], asked: Counter[str]) -> list[float]:
    """How much each passage concerns what is asked."""
    found = [terms(passage) for passage in passages]
    lengths = [sum(one.values()) or 1 for one in found]
    mean = sum(lengths) / len(lengths)
    heads = [{word[:HEAD] for word in one} for one in found]
    own: list[float] = [0.0] * len(passages)
    for term in asked:
        holding = [at for at, one in enumerate(found) if term in one]
        alike = (
            []
            if len(term) < HEAD
            else [at for at, one in enumerate(heads) if term[:HEAD] in one and term not in found[at]]
        )
        for places, share in ((holding, 1.0), (alike, ALIKE_SHARE)):
            weight = share * math.log(1 + (len(passages) - len(places) + 0.5) / (len(places) + 0.5))
            for at in places:
                count = found[at].get(term, 1)
                own[at] += weight * count * (K1 + 1) / (count + K1 * (1 - B + B * lengths[at] / mean))
    top = max(own) or 1.0
    out = []
    for at, score in enumerate(own):
        beside = max(own[at - 1] if at else 0.0, own[at + 1] if at + 1 < len(own) else 0.0)
        out.append(score + NEAR * beside + DENSE * top * _density(passages[at]))
    return out


def _density(passage: str) -> float:
    """The share of words that are figures or names, 0 to 1."""
    words = passage.split()
    if not words:
        return 0.0
    said = sum([word[0].isupper() or any(map(str.isdigit, word)) for word in words[1:40]])
    return said / len(words[:40])


def passages(text: str) -> list[str]:
    """The parts of a text; joined they are the text."""
    found: list[str] = []
    fenced: list[str] = []
    for block in re.split(r"(?<=\n)(?=[^\S\n]*\n)|(?<=\n\n)", text):
        fences = block.count("```")
        if fenced or fences % 2:
            fenced.append(block)
            if fences % 2 and len(fenced) > 1:
                found.append("".join(fenced))
                fenced = []
            continue
        found.extend(_cut(block) if len(block) > LONG_CHARS else [block])
    found.extend(fenced)
    return [one for one in found if one]


def _cut(block: str) -> list[str]:
    """A long paragraph by lines, or by sentences, a few hundred characters at a time."""
    if "```" in block:
        return [block]
    pieces = block.splitlines(keepends=True)
    if len(pieces) < 3:
        ends = [found.end() for found in _SENTENCE.finditer(block)]
        pieces = [block[start:end] for start, end in zip([0, *ends], [*ends, len(block)], strict=True)]
    found: list[str] = []
    room = 0
    for piece in pieces:
        if found and room + len(piece) <= LONG_CHARS // 2:
            found[-1] += piece
            room += len(piece)
        else:
            found.append(piece)
            room = len(piece)
    return found


def _of_text(text: str, asked: Counter[str], budget: int, tokens: int) -> str | None:
    parts = passages(text)
    if len(parts) < 3:
        return None
    rate = tokens / len(text)
    costs = [len(part) * rate + 3 for part in parts]
    kept = _chosen(scores(parts, asked), costs, budget - 40, parts)
    if not kept or len(kept) == len(parts):
        return None
    left = sum(len(part) for at, part in enumerate(parts) if at not in kept) * rate
    about = (
        f"[Extract for the question: {len(parts) - len(kept)} of {len(parts)} passages "
        f"(about {left:,.0f} of {tokens:,} tokens) left out at {GAP}]"
    )
    out, gap = [about], False
    for at, part in enumerate(parts):
        if at in kept:
            out.append(part.strip("\n"))
            gap = False
        elif not gap and part.strip():
            out.append(GAP)
            gap = True
    return "\n".join(out)


def _chosen(worth: list[float], costs: list[float], budget: float, parts: Sequence[str]) -> set[int]:
    """The best that have room; the heading above one that was chosen comes with it, where there is room."""
    kept: set[int] = set()
    spent = 0.0
    for at in sorted(range(len(worth)), key=lambda at: -worth[at]):
        if spent + costs[at] > budget:
            continue
        kept.add(at)
        spent += costs[at]
        above = at - 1
        while above >= 0 and not parts[above].strip():
            above -= 1
        if (
            above >= 0
            and above not in kept
            and parts[above].lstrip().startswith("#")
            and spent + costs[above] <= budget
        ):
            kept.add(above)
            spent += costs[above]
    return kept


def _of_json(value: Any, asked: Counter[str], budget: int, rate: float) -> str | None:
    """The JSON with the elements of its longest array that concern the question."""
    path = _longest(value)
    if path is None:
        return None
    items = _at(value, path)
    told = [table.written(item) for item in items]
    rest = len(table.written(value)) - sum(map(len, told))
    room = budget - rest * rate - 20
    kept = _chosen(scores(told, asked), [len(one) * rate + 1 for one in told], room, told)
    if not kept or len(kept) == len(items):
        return None
    note = {LEFT_OUT: f"{len(items) - len(kept)} of {len(items)} items that do not concern the question"}
    shorter = [items[at] for at in sorted(kept)]
    shorter.append(note if all(type(item) is dict for item in items) else f"[{note[LEFT_OUT]} left out]")
    return table.written(_with(value, path, shorter))


def _longest(value: Any) -> tuple[str, ...] | None:
    """Where the longest array of at least four elements stands, at the top or under keys of objects."""
    best: tuple[int, tuple[str, ...]] | None = None
    waiting: list[tuple[tuple[str, ...], Any]] = [((), value)]
    while waiting:
        path, inner = waiting.pop()
        if type(inner) is dict and len(path) < 5:
            waiting.extend(((*path, key), one) for key, one in inner.items())
        elif type(inner) is list and len(inner) >= 4 and (best is None or len(inner) > best[0]):
            best = (len(inner), path)
    return None if best is None else best[1]


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _with(value: Any, path: tuple[str, ...], inner: Any) -> Any:
    return inner if not path else {**value, path[0]: _with(value[path[0]], path[1:], inner)}
