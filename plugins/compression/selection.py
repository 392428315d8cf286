"""Extracts: of a long text the passages that concern a question, whole and in order, within a budget of tokens.

Nothing is cut blindly: without a question there is no extract. JSON keeps being JSON, also where it stands in a text:
there members and elements are the passages, and those of texts that are its strings.
"""

from __future__ import annotations

from collections.abc import Sequence

from plugins.compression import table
from plugins.compression.pieces import GAP, Piece, Told, Tree
from plugins.compression.regions import regions
from plugins.compression.relevance import scores
from plugins.compression.words import asked

ABOUT_TOKENS = 18
NOTED = 160
"""From a budget of so many tokens on an extract begins with how much was left out, which takes about 18 of them; JSON
says it in its own way."""
GAP_TOKENS = 2
LEAST_COST = 8
COST = 0.15
"""How much the shorter of two equal passages is preferred."""
TITLE_SHARE = 0.5
"""A heading comes with a passage where it takes at most this share of its tokens."""
LEAST_PARTS = 3


def extract(text: str, question: str, budget: int, tokens: int) -> str | None:
    """At most about `budget` of its `tokens`; None where that is not needed, or not to be had."""
    if tokens <= budget:
        return None
    chosen = selection(text, question, tokens)
    return None if chosen is None else chosen.within(budget)


def selection(text: str, question: str, tokens: int) -> Selection | None:
    """The passages of a text of so many tokens, judged by the question; None where it asks nothing, or there are not
    enough of them."""
    if not text.strip() or not asks(question):
        return None
    found = Selection(_pieces(text), question, tokens, len(text))
    return found if len(found.parts) >= LEAST_PARTS else None


def asks(question: str) -> bool:
    """Whether there is a word in it that passages can be judged by."""
    return bool(asked(question))


class Selection:
    """Passages with what they are worth."""

    def __init__(self, pieces: Sequence[Piece], question: str, tokens: int, chars: int) -> None:
        self._pieces = pieces
        self.parts = [part for piece in pieces for part in piece.parts]
        self._tokens = tokens
        self._rate = tokens / chars
        worth = scores(self.parts, question)
        self._costs = [len(part.text) * self._rate + GAP_TOKENS for part in self.parts]
        value = [-one / max(cost, LEAST_COST) ** COST for one, cost in zip(worth, self._costs, strict=True)]
        self._order = sorted(range(len(self.parts)), key=value.__getitem__)

    def within(self, budget: float) -> str | None:
        """The best of them that have room, by an estimate of their tokens; None where that is none, or all."""
        noted = budget >= NOTED and not (len(self._pieces) == 1 and isinstance(self._pieces[0], Tree))
        kept = self._chosen(budget - ABOUT_TOKENS if noted else budget)
        if not kept or len(kept) == len(self.parts):
            return None
        ordered, place = sorted(kept), 0
        out: list[str] = []
        at = 0
        for piece in self._pieces:
            end = at + len(piece.parts)
            first = place
            while place < len(ordered) and ordered[place] < end:
                place += 1
            if place > first:
                out.append(piece.told({one - at for one in ordered[first:place]}))
            elif piece.parts and (not out or not out[-1].endswith(GAP)):
                out.append(GAP)
            at = end
        told = "\n".join(one.strip("\n") for one in out)
        if not noted:
            return told
        left = sum([len(part.text) for place, part in enumerate(self.parts) if place not in kept]) * self._rate
        return f"[Extract: about {left:,.0f} of {self._tokens:,} tokens left out at {GAP}]\n{told}"

    def _chosen(self, budget: float) -> set[int]:
        """With what names their columns and, where it is short, the heading above."""
        parts, costs = self.parts, self._costs
        kept: set[int] = set()
        spent = 0.0
        for at in self._order:
            if at in kept or spent + costs[at] > budget:
                continue
            header = parts[at].header
            wanted = [at] if header < 0 or header in kept else [at, header]
            cost = sum([costs[one] for one in wanted])
            if spent + cost > budget:
                continue
            titles = parts[at].title[-1:]
            if titles and titles[0] not in kept and costs[titles[0]] <= min(TITLE_SHARE * cost, budget - spent - cost):
                wanted.append(titles[0])
                cost += costs[titles[0]]
            kept.update(wanted)
            spent += cost
        return kept


def _pieces(text: str) -> list[Piece]:
    """The text where it is no JSON, and the JSON in it; passages know their titles by their places among all."""
    found: list[Piece] = []
    at = 0
    for region in regions(text):
        value = table.value_of(region.text) if region.content == "json" else None
        piece: Piece = Told(region.text, at) if value is None else Tree(value, at)
        found.append(piece)
        at += len(piece.parts)
    return found
