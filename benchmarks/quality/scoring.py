"""What counts as found, missed and flagged for nothing when personal data is looked for in labelled documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

STRUCTURED = ("EMAIL", "PHONE", "SSN", "CREDIT_CARD", "IBAN", "IP", "CRYPTO", "SECRET")
NEUTRAL = frozenset(
    (
        "LOCATION",
        "DATE",
        "URL",
        "ORG",
        "NRP",
        "UUID",
        "HANDLE",
        "MAC",
        "MEDICAL_LICENSE",
        "DOMAIN",
        "ORGANIZATION",
        "TWITTER",
    )
)
"""What some detectors report besides: never wrong here, but it counts as masked."""
ALSO = {("DOB", "DATE"), ("ADDRESS", "LOCATION")}
"""A place of the first type counts as found by a finding of the second."""
NEEDED = {"PERSON": 0.8, "SECRET": 0.8, "ADDRESS": 0.6}
"""Share of the characters that must be covered; of other types, 90 %."""


@dataclass(frozen=True, slots=True)
class Place:
    """`text[start:end]` is of that type. An optional one need not be found, and finding anything there is not wrong."""

    start: int
    end: int
    type: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    id: str
    text: str
    places: tuple[Place, ...]
    category: str
    lang: str


@dataclass(slots=True)
class Score:
    """Counts over documents."""

    true: Counter[str] = field(default_factory=Counter)
    gold: Counter[str] = field(default_factory=Counter)
    false: Counter[str] = field(default_factory=Counter)
    clean: int = 0
    touched: int = 0
    plain_chars: int = 0
    masked_chars: int = 0
    missed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def add(self, document: Document, found: Sequence[Place]) -> None:
        for place in document.places:
            if not place.optional:
                self._look(document, place, found)
        wrong = [one for one in found if not _granted(one, document.places)]
        self.false.update(one.type for one in wrong)
        self.wrong += (f"{one.type} in {document.category}: {_shown(document.text, one)}" for one in wrong)
        if not document.places:
            self.clean += 1
            self.touched += bool(wrong)
        self._mask(document, found)

    def _look(self, document: Document, place: Place, found: Sequence[Place]) -> None:
        kind = place.type
        own = (one for one in found if one.type == kind or (kind, one.type) in ALSO)
        hit = _covered(place, own) >= NEEDED.get(kind, 0.9) * (place.end - place.start)
        self.gold[kind] += 1
        self.true[kind] += hit
        if not hit:
            self.missed.append(f"{kind} in {document.category}: {_shown(document.text, place)}")

    def _mask(self, document: Document, found: Sequence[Place]) -> None:
        masked, meant = bytearray(len(document.text)), bytearray(len(document.text))
        for marks, places in ((masked, found), (meant, document.places)):
            for place in places:
                marks[place.start : place.end] = b"\1" * (place.end - place.start)
        self.plain_chars += len(meant) - sum(meant)
        self.masked_chars += sum(one > other for one, other in zip(masked, meant, strict=True))

    def f1(self, kinds: Iterable[str] = STRUCTURED) -> float:
        """Over all places of these types together."""
        kinds = tuple(kinds)
        true, gold, false = (sum(counts[kind] for kind in kinds) for counts in (self.true, self.gold, self.false))
        return 2 * true / (gold + true + false) if true else 0.0


def _covered(place: Place, found: Iterable[Place]) -> int:
    seen = bytearray(place.end - place.start)
    for one in found:
        start, end = max(one.start, place.start) - place.start, min(one.end, place.end) - place.start
        if start < end:
            seen[start:end] = b"\1" * (end - start)
    return sum(seen)


def _granted(found: Place, places: Sequence[Place]) -> bool:
    if found.type in NEUTRAL:
        return True
    near = (place for place in places if found.start < place.end and found.end > place.start)
    return any(place.optional or place.type == found.type for place in near)


def _shown(text: str, place: Place) -> str:
    before, behind = text[max(0, place.start - 40) : place.start], text[place.end : place.end + 20]
    return f"{before}⟦{text[place.start : place.end]}⟧{behind}".replace("\n", "⏎")


def score(documents: Iterable[tuple[Document, Sequence[Place]]]) -> Score:
    total = Score()
    for document, found in documents:
        total.add(document, found)
    return total


def kinds_of(total: Score) -> Iterator[str]:
    """Types to tell of, the structured ones first."""
    yield from (kind for kind in STRUCTURED if total.gold[kind] or total.false[kind])
    yield from sorted(kind for kind in total.gold if kind not in STRUCTURED)
