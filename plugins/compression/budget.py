"""A text cut to a budget of tokens: its extract, made shorter in turn, counted, and filled up to the budget."""

from __future__ import annotations

from plugins.compression.pieces import nothing_of
from plugins.compression.selection import asks, selection
from plugins.compression.shrink import Count, Rules, Shrunk, shrunk

TRIES = 4
FULL, FILLED, MOST_ROOM = 0.92, 0.97, 3.0
"""Of the budget: from where on an extract is long enough, what is aimed at, how much more is tried at once."""


def cut(text: str, question: str, budget: int, rules: Rules, count: Count) -> Shrunk | None:
    """The extract, made shorter itself, with as much in it as there is room for; None where there is none, or none that
    is shorter."""
    before = count(text)
    chosen = selection(text, question, before) if before > budget else None
    room, best = float(budget), None
    for _ in range(TRIES):
        made = None if chosen is None else chosen.within(room)
        if made is None:
            break
        found = shrunk(made, rules, count)
        after = found.after if found.techniques else count(made)
        if after < before and (best is None or best.after > budget or best.after < after <= budget):
            best = Shrunk(found.text, ("extract", *found.techniques), before, after)
        if FULL * budget <= after <= budget:
            break
        room *= min(MOST_ROOM, FILLED * budget / max(1, after))  # passages were reckoned by their length
    return best


def within(text: str, question: str, budget: int, rules: Rules, count: Count) -> Shrunk | None:
    """The extract; where not even the best passage has room, a mark that all is left out."""
    found = cut(text, question, budget, rules, count)
    if (found is not None and found.after <= budget) or not asks(question):
        return found
    before, marks = count(text), nothing_of(text)
    mark = next((one for one in marks if count(one) <= budget), marks[-1])
    return Shrunk(mark, ("extract",), before, count(mark))
