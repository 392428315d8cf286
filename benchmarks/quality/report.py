"""Tables of the quality benchmarks: rates with their n and Wilson interval, as Markdown."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.speed.machine import machine

Z = 1.959964
"""For an interval of 95 %."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table; every row has as many cells as there are columns."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default_factory=tuple)

    def markdown(self) -> str:
        lines = [f"**{self.title}**", "", _line(self.columns), _line(["---", *["---:"] * (len(self.columns) - 1)])]
        return "\n".join([*lines, *map(_line, self.rows), "", *self.notes, ""])


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a rate (E. B. Wilson, 1927)."""
    if not of:
        return 0.0, 1.0
    rate = hits / of
    spread = Z * math.sqrt(rate * (1 - rate) / of + Z * Z / (4 * of * of))
    middle, scale = rate + Z * Z / (2 * of), 1 + Z * Z / of
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def rate(hits: int, of: int) -> str:
    """As `98.1 % [96.9, 98.8] of 1,318`."""
    if not of:
        return "none"
    low, high = wilson(hits, of)
    return f"{100 * hits / of:.1f} % [{100 * low:.1f}, {100 * high:.1f}] of {of:,}"


def held_out(identity: str) -> bool:
    """Whether a row belongs to the half that no threshold is set on: by a hash of what names it, so for good."""
    return hashlib.blake2b(identity.encode(), digest_size=1).digest()[0] % 2 == 1


def page(tables: Iterable[Table]) -> str:
    one = machine()
    about = f"_{one.cpu}, {one.cores} cores, {one.system}, Python {one.python}; commit {one.commit}, {one.date}_"
    return "\n".join([about, "", *(table.markdown() for table in tables)])


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
