"""Takes personal data and secrets out of texts before they are kept: the finder finds, presidio-anonymizer replaces.

The plain net under everything that is written down: error messages, model names, paths, and the texts of audit entries
whose mode is `masked`. It looks for what the guards look for, bare runs of digits of the specification's lengths too,
and for secrets by their plainest forms. A text without any anchor costs a microsecond; what finds and what replaces is
loaded with the first text that has one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from proxy.detection.span import Span

if TYPE_CHECKING:
    from proxy.detection.finder import Finder

TYPES = (
    *("SECRET", "EMAIL", "CREDIT_CARD", "SSN", "PHONE", "IBAN", "IP", "CRYPTO", "NATIONAL_ID", "PASSPORT"),
    *("DRIVER_LICENSE", "BANK_ACCOUNT", "DOB"),
)
MARKS: Mapping[str, str] = MappingProxyType({kind: f"[{kind}_REDACTED]" for kind in TYPES})
ANCHOR = re.compile(
    r"@|[0-9]{3}[-. )]?[0-9]{2}|[0-9][0-9 ().\-/_]{5,}[0-9]|:[0-9A-Fa-f]{0,4}:|[A-Za-z]{2}[0-9]{2}|[A-Z][0-9]{3}"
    r"|0x[0-9a-f]|[\[({<] ?at|[a-z] at [a-z]|bc1|[spr]k-|gh[pousr]_|AKIA|xox|eyJ|bearer",
    re.IGNORECASE,
)
"""Something of which all that is found has one."""
SECRET = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"(?:sk|pk|rk)-[A-Za-z0-9_-]{12,}"
    r"|gh[pousr]_[A-Za-z0-9]{20,}|AKIA[0-9A-Z]{16}|xox[abprs]-[A-Za-z0-9-]{10,}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*)?)"
    r"|(?<=[Bb]earer )[^\s\"',;]{6,}|(?<=BEARER )[^\s\"',;]{6,}"
)
"""Also what no rule would call a secret: here nothing is lost by taking out too much. (All of the rules take 16 MB.)"""
GROUP = 32
"""Findings given to the engine at once: it compares each with each."""
REMEMBERED = 4096
REMEMBERED_CHARS = 256


@dataclass(frozen=True, slots=True)
class Redacted:
    """The text as it may be kept, and how many of each type were taken out."""

    text: str
    counts: Mapping[str, int]


class Redactor:
    """One per process; call it with a text."""

    def __init__(self) -> None:
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._clean)

    def __call__(self, text: str) -> str:
        """Short texts repeat (models, paths, messages) and are remembered."""
        if len(text) <= REMEMBERED_CHARS:
            return self._remembered(text)
        return self._clean(text)

    def redact(self, text: str) -> Redacted:
        spans = find(text)
        if not spans:
            return Redacted(text, {})
        pieces: list[str] = []
        begin = 0
        for place in range(0, len(spans), GROUP):
            group = spans[place : place + GROUP]
            end = group[-1].end
            pieces.append(self._anonymize(text[begin:end], group, begin))
            begin = end
        return Redacted("".join(pieces) + text[begin:], Counter(span.type for span in spans))

    def _anonymize(self, piece: str, spans: list[Span], offset: int) -> str:
        engine, entities, operators = _presidio()
        results = [entities.RecognizerResult(kind, start - offset, end - offset, 1.0) for start, end, kind, _ in spans]
        made: str = engine.anonymize(piece, results, operators, merge_entities_with_spaces=False).text
        return made

    def _clean(self, text: str) -> str:
        return self.redact(text).text


@cache
def _presidio() -> tuple[Any, Any, Any]:
    """The engine, what it is spoken to in, and what it is to do. Loaded at the first finding: it takes 8 MB."""
    from presidio_anonymizer import AnonymizerEngine, entities  # noqa: PLC0415

    operators = {kind: entities.OperatorConfig("replace", {"new_value": mark}) for kind, mark in MARKS.items()}
    return AnonymizerEngine(), entities, operators  # type: ignore[no-untyped-call]


def find(text: str) -> list[Span]:
    """What is to be taken out, in order and without overlaps."""
    return _finder().find(text) if ANCHOR.search(text) is not None else []


class _Plain:
    """Secrets by their plainest forms."""

    def find(self, text: str) -> Iterator[Span]:
        return (Span(*found.span(), "SECRET", 1.0) for found in SECRET.finditer(text))


@cache
def _finder() -> Finder:
    """Loaded at the first anchor: it takes 3 MB."""
    from proxy.detection.finder import Finder  # noqa: PLC0415

    return Finder(frozenset(TYPES), classic=True, secrets=_Plain())
