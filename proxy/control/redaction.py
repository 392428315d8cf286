"""Takes personal data and secrets out of texts before they are kept: found by anchors, replaced by presidio-anonymizer.

The plain net under everything that is written down: error messages, model names, paths, and the texts of audit entries
whose mode is `masked`. The recognisers are the specification's (SSN, card, e-mail, US phone) and obvious secrets; no
pattern can run away, and a text without any anchor costs a microsecond.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any

MARKS: Mapping[str, str] = MappingProxyType(
    {
        "SECRET": "[SECRET_REDACTED]",
        "EMAIL": "[EMAIL_REDACTED]",
        "CREDIT_CARD": "[CREDIT_CARD_REDACTED]",
        "SSN": "[SSN_REDACTED]",
        "PHONE": "[PHONE_REDACTED]",
    }
)
ANCHOR = re.compile(r"@|[0-9]{3}[-. )]?[0-9]{2}|[spr]k-|gh[pousr]_|AKIA|xox|eyJ|bearer", re.IGNORECASE)
SECRET = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"(?:sk|pk|rk)-[A-Za-z0-9_-]{12,}"
    r"|gh[pousr]_[A-Za-z0-9]{20,}|AKIA[0-9A-Z]{16}|xox[abprs]-[A-Za-z0-9-]{10,}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*)?)"
    r"|(?<=[Bb]earer )[^\s\"',;]{6,}|(?<=BEARER )[^\s\"',;]{6,}"
)
CARD = re.compile(r"(?<![0-9])[0-9]{4}([ -]?)[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?![0-9])")
SSN = re.compile(r"(?<![0-9-])[0-9]{3}-[0-9]{2}-[0-9]{4}(?![0-9-])")
PHONE = re.compile(
    r"(?<![0-9A-Za-z_-])(?:\+?1[ .-]?)?(?:\([0-9]{3}\) ?|[0-9]{3}[ .-]?)[0-9]{3}[ .-]?[0-9]{4}(?![0-9A-Za-z_-])"
)
LOCAL_CHARS, LOCAL_SIGNS = 64, frozenset("._%+-'")
DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}")
GROUP = 32
"""Findings given to the engine at once: it compares each with each."""
REMEMBERED = 4096
REMEMBERED_CHARS = 256


Span = tuple[str, int, int]
"""Type, start, end."""
Finder = Callable[[str], Iterator[tuple[int, int]]]


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
            end = group[-1][2]
            pieces.append(self._anonymize(text[begin:end], group, begin))
            begin = end
        return Redacted("".join(pieces) + text[begin:], Counter(kind for kind, _, _ in spans))

    def _anonymize(self, piece: str, spans: list[Span], offset: int) -> str:
        engine, entities, operators = _presidio()
        results = [entities.RecognizerResult(kind, start - offset, end - offset, 1.0) for kind, start, end in spans]
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
    """What is to be taken out, in order and without overlaps. The surer a type is, the earlier it is looked for; what
    it takes is blank for the types after it, so that no match begins inside another."""
    if ANCHOR.search(text) is None:
        return []
    found: list[Span] = []
    for kind, look in FINDERS:
        spans = list(look(text))
        if spans:
            found += [(kind, start, end) for start, end in spans]
            text = _blanked(text, spans)
    return sorted(found, key=lambda span: span[1])


def _blanked(text: str, spans: list[tuple[int, int]]) -> str:
    pieces: list[str] = []
    begin = 0
    for start, end in spans:
        pieces += (text[begin:start], "\0" * (end - start))
        begin = end
    return "".join((*pieces, text[begin:]))


def _matches(pattern: re.Pattern[str]) -> Finder:
    return lambda text: (found.span() for found in pattern.finditer(text))


def _emails(text: str) -> Iterator[tuple[int, int]]:
    """From each @ outwards: linear, whatever the text."""
    sign = text.find("@")
    while sign >= 0:
        start = sign
        while (
            start > 0 and sign - start < LOCAL_CHARS and (text[start - 1].isalnum() or text[start - 1] in LOCAL_SIGNS)
        ):
            start -= 1
        domain = DOMAIN.match(text, sign + 1) if start < sign else None
        end = sign + 1
        if domain is not None:
            end = domain.end()
            yield start, end
        sign = text.find("@", end)


FINDERS: tuple[tuple[str, Finder], ...] = (
    ("SECRET", _matches(SECRET)),
    ("EMAIL", _emails),
    ("SSN", _matches(SSN)),
    ("PHONE", _matches(PHONE)),
    ("CREDIT_CARD", _matches(CARD)),
)
