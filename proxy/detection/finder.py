"""The finder: all recognisers over one text, their findings in order and without overlaps."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import Final, Protocol

import re2

from proxy.detection import accounts, disguises, documents, emails, wallets
from proxy.detection.columns import Columns
from proxy.detection.networks import sixes
from proxy.detection.numbers import Numbers
from proxy.detection.secrets import SECRET, Secrets
from proxy.detection.span import BREATH, RESTS, Span

PIECE_CHARS, BEFORE_CHARS, BEHIND_CHARS = 32_768, 512, 8192
"""How much of a text the secrets' rules see at once: a piece, what comes before it, and how long a secret may be."""

OPENING: Final = frozenset(b" [({<")
ANCHORS = re2.compile("|".join((emails.ANCHOR, accounts.ANCHOR, wallets.ANCHOR, documents.ANCHOR)).encode())
"""Everything that begins in a way of its own, in one pass."""
FIRST: Final = (r"[0-9][0-9 ().\-/_]{5,}[0-9]", ":[0-9A-Fa-f]{0,4}:", ANCHORS.pattern.decode())
"""What there is in every text in which numbers, addresses of networks, or what has an anchor are found."""


class Recogniser(Protocol):
    """Finds what has no form of its own (names, addresses), by a model; loaded by whoever wants it."""

    def find(self, text: str) -> Iterable[Span]: ...


Pass = Callable[[str], Iterator[Span | None]]


class Finder:
    """Finds personal data and secrets. Holds no state of any text: one serves a process, and every thread of it.

    `types`: what is wanted (names as in `Span`); None for all. `classic`: also bare runs of 9, 10 and 16 digits, as the
    specification's patterns had it. `secrets` and `recogniser` add what they find; the recogniser sees the whole text.
    """

    def __init__(
        self,
        types: frozenset[str] | None = None,
        *,
        classic: bool = False,
        secrets: Recogniser | None = None,
        recogniser: Recogniser | None = None,
    ) -> None:
        self._types = types
        self._passes: list[Pass] = [emails.emails, partial(_numbers, classic=classic), sixes, _anchored]
        self._others: list[Pass] = []
        """They read a text as it stands."""
        if secrets is not None:
            self._others.append(partial(_windows, secrets))
        if recogniser is not None:
            self._others.append(partial(_whole, recogniser))
        self._every = (*self._passes, *self._others)
        self._secrets = secrets if isinstance(secrets, Secrets) and recogniser is None else None

    def find(self, text: str) -> list[Span]:
        """In order of place, none touching another's characters: of two that overlap the surer stays."""
        return self._settled([span for span in self._all(text) if span is not None])

    def sliced(self, text: str) -> Generator[None, None, list[Span]]:
        """The same list as its return value, with a rest after every millisecond or two: drive it with `next`."""
        found: list[Span] = []
        for count, span in enumerate(self._all(text)):
            if span is not None:
                found.append(span)
            if not count % BREATH:
                yield
        return self._settled(found)

    def _all(self, text: str) -> Iterator[Span | None]:
        disguised = disguises.read(text)
        if disguised is None:
            if self._secrets is not None and len(text) <= PIECE_CHARS and text.isascii():
                return self._sifted(self._secrets, text)
            return chain.from_iterable([look(text) for look in self._every])
        return chain(self._disguised(disguised), chain.from_iterable([look(text) for look in self._others]))

    def _sifted(self, secrets: Secrets, text: str) -> Iterator[Span | None]:
        """As all passes do, but only those for which there is something: one look tells."""
        data = text.encode()
        automaton, keywords = secrets.together(FIRST)
        named = automaton.Match(data)
        _, *passes = self._passes
        if "@" in text:
            yield from emails.emails(text)
        if not named:
            return
        for number, look in enumerate(passes, keywords):
            if number in named:
                yield from look(text)
        words = [number for number in named if number < keywords]
        if words:
            for one in secrets.of_keywords(text, data, words):
                yield Span(one.start, one.end, SECRET, one.score)

    def _disguised(self, read: disguises.Read) -> Iterator[Span | None]:
        for look in self._passes:
            yield from look(read.plain)
        copy = read.again
        if copy is None:
            return
        for look in self._passes:
            for span in look(copy.text):
                yield copy.placed(span) if span is not None else None

    def _settled(self, found: list[Span]) -> list[Span]:
        types = self._types
        kept: list[Span] = []
        for span in sorted(found):
            if types is not None and span.type not in types:
                continue
            if kept and kept[-1].end > span.start:
                if not _surer(span, kept[-1]):
                    continue
                kept.pop()
            kept.append(span)
        return kept


def _surer(one: Span, other: Span) -> bool:
    return (one.score, one.end - one.start) > (other.score, other.end - other.start)


def _numbers(text: str, *, classic: bool) -> Iterator[Span | None]:
    return iter(Numbers(text, classic=classic))


def _anchored(text: str) -> Iterator[Span | None]:
    """What begins in a way of its own: account numbers and wallets."""
    columns = Columns(text)
    plain = text.encode("ascii", "replace")  # one byte a character, so places stay
    found = ANCHORS.search(plain)
    while found is not None:
        start = found.start()
        if plain[start] in OPENING:
            span = emails.written(text, start)
        else:
            span = accounts.iban(text, start) or wallets.wallet(text, start) or documents.paper(text, start, columns)
        yield span
        found = ANCHORS.search(plain, span.end if span is not None else start + 1)


def _windows(secrets: Recogniser, text: str) -> Iterator[Span | None]:
    """Long texts piece by piece, each with what surrounds it: a secret is found in the piece in which it begins."""
    for begin in range(0, len(text), PIECE_CHARS):
        end = begin + PIECE_CHARS
        first = max(0, begin - BEFORE_CHARS)
        for start, stop, kind, score in secrets.find(text[first : end + BEHIND_CHARS]):
            yield Span(start + first, stop + first, kind, score) if begin <= start + first < end else None
        if end < len(text):
            yield from RESTS


def _whole(recogniser: Recogniser, text: str) -> Iterator[Span | None]:
    return iter(recogniser.find(text))
