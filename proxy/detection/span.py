"""A place in a text where something was found."""

from __future__ import annotations

from typing import Final, NamedTuple

TYPES = frozenset({
    "BANK_ACCOUNT", "CREDIT_CARD", "CRYPTO", "DOB", "DRIVER_LICENSE", "EMAIL", "IBAN", "IP", "NATIONAL_ID", "PASSPORT",
    "PHONE", "SECRET", "SSN",
})  # fmt: skip
"""What is found by its form; a recogniser may find more."""

BREATH: Final = 64
"""Candidates looked at between two rests of `Finder.sliced`."""
RESTS: Final = (None,) * BREATH
"""Of whoever has looked at much text without a candidate."""


class Span(NamedTuple):
    """`text[start:end]` (characters) is a `type`, as sure as `score` (0 to 1) says."""

    start: int
    end: int
    type: str
    score: float = 1.0
