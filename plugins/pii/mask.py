"""What was found in a text, and the text without it: placeholders numbered over a call, and what they stand for."""

from __future__ import annotations

import base64
import hmac
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice, takewhile
from typing import Final, NamedTuple, Protocol

from plugins.pii.shapes import HOLD_CHARS, TOKEN_CHARS, reserved, written
from proxy.detection.span import Span

Place = tuple[int, int, str]
"""Start, end, type: all that is remembered of what was found."""
Operate = Callable[[str, str], str]
"""What stands for a value of a type."""


class Found(NamedTuple):
    """What a text has in it: personal data, and placeholders of the caller's own. Nothing of the text itself."""

    places: tuple[Place, ...] = ()
    reserved: tuple[str, ...] = ()


NOTHING: Final = Found()
SLICE: Final = 256
"""Places that are masked without a rest: about a millisecond."""
WINDOW_CHARS: Final = 16_384
"""In which placeholders are looked for without a rest."""
SURE_CHARS: Final = 7
"""What is as long as this and the same is the same thing."""
SEARCHED_CHARS: Final = 10_000_000
"""Beyond so many, values times characters, nothing is looked for once more."""


class Finds(Protocol):
    def find(self, text: str) -> list[Span]: ...

    def sliced(self, text: str) -> Generator[None, None, list[Span]]:
        """As `find`, resting now and then."""
        ...


def look(finder: Finds, off: frozenset[str], text: str) -> Found:
    """About 10 ms for 50 KB: longer texts are better looked into with rests."""
    places = _places(finder.find(text), off, text)
    return _found(places, _typed(text, places))


def looking(finder: Finds, off: frozenset[str], text: str) -> Generator[None, None, Found]:
    """As `look`, resting every few milliseconds: to be driven with `next`. (At the seam of two windows it may take for
    a caller's placeholder what is none: a number is then left out.)"""
    spans = yield from finder.sliced(text)
    yield
    places = _places(spans, off, text)
    yield
    typed: dict[str, None] = {}
    at = 0
    for begin in range(0, len(text), WINDOW_CHARS):
        end = min(begin + WINDOW_CHARS + HOLD_CHARS, len(text))
        while at < len(places) and places[at][1] <= begin:
            at += 1
        some = takewhile(partial(_before, end), islice(places, at, None))
        inside = [(max(start - begin, 0), min(stop, end) - begin, name) for start, stop, name in some]
        typed.update(dict.fromkeys(_typed(text[begin:end], inside)))
        yield
    return _found(places, tuple(typed))


def _before(end: int, place: Place) -> bool:
    return place[0] < end


def _found(places: tuple[Place, ...], typed: tuple[str, ...]) -> Found:
    return Found(places, typed) if places or typed else NOTHING


def _places(spans: Sequence[Span], off: frozenset[str], text: str) -> tuple[Place, ...]:
    places = tuple([(one.start, one.end, one.type) for one in spans if one.type not in off]) if spans else ()
    return everywhere(text, places) if places else ()


def _typed(text: str, places: Sequence[Place]) -> tuple[str, ...]:
    return reserved(text, gaps(places, len(text))) if may_hold_shapes(text) else ()


def everywhere(text: str, places: tuple[Place, ...]) -> tuple[Place, ...]:
    """With the places where what was found stands once more, unrecognised: glued to something, or without the word
    beside it that told what it is."""
    found = Counter([(text[start:end], name) for start, end, name in places if end - start >= SURE_CHARS])
    if len(found) * len(text) > SEARCHED_CHARS:
        return places
    more: list[Place] = []
    for (value, name), times in found.items():
        if text.count(value) <= times:
            continue
        for begin, stop in gaps(places, len(text)):
            at = text.find(value, begin, stop)
            while at >= 0:
                more.append((at, at + len(value), name))
                at = text.find(value, at + len(value), stop)
    return places if not more else _apart([*places, *more])


def _apart(places: list[Place]) -> tuple[Place, ...]:
    kept: list[Place] = []
    for place in sorted(places):
        if not kept or kept[-1][1] <= place[0]:
            kept.append(place)
    return tuple(kept)


def may_hold_shapes(text: str) -> bool:
    """False where no placeholder can stand in it, in any form."""
    return "_" in text or "[" in text or "{" in text or "<" in text or not text.isascii()


def gaps(places: Sequence[Place], length: int) -> Iterator[tuple[int, int]]:
    """What lies between the places."""
    at = 0
    for start, end, _ in places:
        yield at, start
        at = end
    yield at, length


def sliced(text: str, places: Sequence[Place], operate: Operate) -> Generator[None, None, str]:
    """As `masked`, resting after every few places: to be driven with `next`."""
    out, at = [], 0
    for begin in range(0, len(places), SLICE):
        some = places[begin : begin + SLICE]
        out.append(masked(text[at : some[-1][1]], [(start - at, end - at, name) for start, end, name in some], operate))
        at = some[-1][1]
        yield
    out.append(text[at:])
    return "".join(out)


def masked(text: str, places: Iterable[Place], operate: Operate) -> str:
    out, at = [], 0
    for start, end, name in places:
        out.append(text[at:start])
        out.append(operate(name, text[start:end]))
        at = end
    out.append(text[at:])
    return "".join(out)


class Numbers:
    """The placeholders of one call: by type in the order of first appearance, the same value the same one.

    Two spellings of one value are two values: each comes back as it was. `earlier`: of the turns that the provider
    keeps (None: the caller's own, never to be used). `taken`: keys that the caller has typed."""

    __slots__ = ("_given", "_keyed", "_next", "_taken", "values")

    def __init__(
        self,
        taken: Iterable[str],
        earlier: Mapping[str, str | None],
        keyed: Callable[[str, str, int], str] | None = None,
    ) -> None:
        self._keyed = keyed
        self._given: dict[tuple[str, str], str] = {}
        self._next: dict[str, int] = {}
        self._taken = set(taken)
        self._taken.update(name for name, value in earlier.items() if value is None)
        self.values: dict[str, str] = {}
        """Originals by the keys of their placeholders."""
        for name, value in earlier.items():
            if value is not None and name not in self._taken:
                kind, _, token = name.rpartition("_")
                self.values[name] = value
                self._given[kind, value] = written(kind, token.lower())

    @property
    def taken(self) -> frozenset[str]:
        return frozenset(self._taken)

    def placeholder(self, type: str, value: str) -> str:
        found = self._given.get((type, value))
        if found is None:
            name, found = self._new(type, value)
            self._given[type, value] = found
            self.values[name] = value
        return found

    def _new(self, type: str, value: str) -> tuple[str, str]:
        """Key and placeholder of a value that has none."""
        number = 0 if self._keyed is not None else self._next.get(type, 0)
        while True:
            number += 1
            token = number if self._keyed is None else self._keyed(type, value, number)
            name = f"{type}_{token}".upper()
            if name not in self._taken and name not in self.values:
                break
        self._next[type] = number
        return name, written(type, token)

    def __repr__(self) -> str:
        return f"Numbers({len(self.values)} values)"


def keyed(secret: bytes, tenant: str) -> Callable[[str, str, int], str]:
    """Tokens that follow from tenant, type and value: the same in every call of the tenant, whatever else is in it."""

    def token(type: str, value: str, number: int) -> str:
        said = "\0".join((tenant, type, str(number), value)).encode("utf-8", "surrogatepass")
        digest = hmac.digest(secret, said, "sha256")
        return "k" + base64.b32encode(digest)[:TOKEN_CHARS].decode().lower()

    return token
