"""A place in a text where something was found."""

from __future__ import annotations

from typing import NamedTuple


class Span(NamedTuple):
    """`text[start:end]` (characters) is a `type`, as sure as `score` (0 to 1) says."""

    start: int
    end: int
    type: str
    score: float = 1.0
