"""Rows for people: columns under heads, as wide as they must be, and nothing in them that a terminal would act on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

CELL_CHARS = 100
"""More than that makes lines that nobody reads."""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lines, each with its end. Empty cells are `-`."""
    shown = [tuple(heads), *(tuple(short(cell) or "-" for cell in row) for row in rows)]
    widths = [max(len(row[place]) for row in shown) for place in range(len(heads))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown)
    return "\n".join(lines) + "\n"


def short(text: str, most: int = CELL_CHARS) -> str:
    """A text as it may stand in a cell."""
    plain = printable(text)
    return plain if len(plain) <= most else plain[: most - 3] + "..."


def printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
