"""Extracts: of a long text the passages that concern a question (BM25), whole and in order, within a budget of tokens.

Passages are paragraphs, long ones in sentences or lines; a fenced block is one. Nothing is cut blindly: without a
question there is no extract. JSON keeps being JSON: there the elements of its longest array are the passages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plugins.compression import table
from plugins.compression.passages import Passage, passages
from plugins.compression.relevance import WEIGHTS, scores
from plugins.compression.words import asked

ABOUT_TOKENS = 22
GAP_TOKENS = 2
LEAST_COST = 8
TITLE_SHARE = 0.5
GAP = "[...]"
LEFT_OUT = "_left_out"


def extract(text: str, question: str, budget: int, tokens: int) -> str | None:
    """At most about `budget` of its `tokens`; None where that is not needed, or not to be had."""
    if tokens <= budget or not text.strip() or not asked(question):
        return None
    if text.lstrip()[:1] in ("{", "["):
        value = table.value_of(text)
        if value is not None:
            return _of_json(value, question, budget, tokens / len(text))
    return _of_text(text, question, budget, tokens)


def _of_text(text: str, question: str, budget: int, tokens: int) -> str | None:
    parts = passages(text)
    if len(parts) < 3:
        return None
    rate = tokens / len(text)
    worth = scores(parts, question)
    kept = _chosen(parts, worth, rate, budget - ABOUT_TOKENS)
    if not kept or len(kept) == len(parts):
        return None
    left = sum(len(part.text) for at, part in enumerate(parts) if at not in kept) * rate
    about = f"[Extract for the question: about {left:,.0f} of {tokens:,} tokens left out at {GAP}]\n"
    return about + _rendered(parts, kept)


def _rendered(parts: Sequence[Passage], kept: set[int]) -> str:
    """What is kept, as it stood; one mark for each gap."""
    out: list[str] = []
    gap = False
    for at, part in enumerate(parts):
        if at not in kept:
            gap = True
            continue
        if gap:
            inside = bool(out) and at > 0 and not out[-1].endswith("\n") and parts[at - 1].block == part.block
            if out:
                out[-1] = out[-1].rstrip()
            out.append(f" {GAP} " if inside else f"\n{GAP}\n" if out else f"{GAP}\n")
            gap = False
        out.append(part.text)
    if out:
        out[-1] = out[-1].rstrip()
    if gap:
        out.append(f"\n{GAP}")
    return "".join(out)


def _chosen(parts: Sequence[Passage], worth: Sequence[float], rate: float, budget: float) -> set[int]:
    """The best that have room, with what names their columns and, where it is short, the heading above."""
    costs = [len(part.text) * rate + GAP_TOKENS for part in parts]
    order = sorted(range(len(parts)), key=lambda at: -worth[at] / max(costs[at], LEAST_COST) ** WEIGHTS.cost)
    kept: set[int] = set()
    spent = 0.0
    for at in order:
        if at in kept:
            continue
        wanted = [at]
        header = parts[at].header
        if header >= 0 and header not in kept:
            wanted.append(header)
        cost = sum([costs[one] for one in wanted])
        if spent + cost > budget:
            continue
        titles = [one for one in parts[at].title[-1:] if one not in kept and costs[one] <= TITLE_SHARE * costs[at]]
        if titles and spent + cost + costs[titles[0]] <= budget:
            wanted += titles
            cost += costs[titles[0]]
        kept.update(wanted)
        spent += cost
    return kept


def _of_json(value: Any, question: str, budget: int, rate: float) -> str | None:
    """The JSON with the elements of its longest array that concern the question."""
    path = _longest(value)
    if path is None:
        return None
    items = _at(value, path)
    told = [table.written(item) for item in items]
    rest = len(table.written(value)) - sum(map(len, told))
    room = budget - rest * rate - 20
    parts = [Passage(one, at) for at, one in enumerate(told)]
    kept = _chosen(parts, scores(parts, question), rate, room)
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
