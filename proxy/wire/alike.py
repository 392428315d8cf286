"""Events of a stream that differ in one text alone: known by their bytes, and neither parsed nor walked again.

An event that was parsed and had one text in it is cut at that text (and at numbers and paddings that change with every
event and mean nothing). An event that has the same bytes everywhere else, and neither a quote nor a backslash in those
places, is the same JSON with another text: it needs no parser to say so.
"""

from __future__ import annotations

import re
from typing import Protocol

from proxy.exchange import Segment
from proxy.wire.coding import encode

_PAIR = re.compile(rb'"([a-z_]+)"\s*:\s*(?:"((?:[^"\\]|\\.)*)"|([0-9]+)(?=[,}\s]))')
_LOOSE = frozenset({b"sequence_number", b"obfuscation"})
"""What may differ from event to event and says nothing."""
_QUOTED, _NUMBER = 2, 3
TRIES = 8
"""Patterns that were learned and fitted no event, after which no more are: the provider's events are not alike."""


class Fed(Protocol):
    """A running text, as a dialect keeps it."""

    @property
    def segment(self) -> Segment: ...

    def note(self, fragment: str, told: str) -> None:
        """`told` was delivered for `fragment`."""
        ...


class Pattern:
    """What events of one text have in common."""

    __slots__ = ("_begin", "_end", "_first", "_last", "_rest", "fragment", "text")

    def __init__(self, text: Fed, around: list[bytes], spots: list[int], place: int) -> None:
        self.text = text
        self._first = around[0]
        self._rest = tuple(
            (fixed, group == _NUMBER, number == place)
            for number, (fixed, group) in enumerate(zip(around[1:], spots, strict=True))
        )
        self._last = around[1] if len(spots) == 1 and spots[0] == _QUOTED else None
        """What follows the text, where there is no other place."""
        self._begin = self._end = 0
        self.fragment = ""
        """Of the last event that fitted."""

    def fits(self, raw: bytes) -> bool:
        """Whether this is such an event; its text is then in `fragment`."""
        if not raw.startswith(self._first):
            return False
        if self._last is not None:
            return self._alone(raw, self._last)
        at, fragment = len(self._first), b""
        for fixed, number, told in self._rest:
            end = raw.find(fixed, at)
            spot = raw[at:end]
            if end < 0 or (not spot.isdigit() if number else b'"' in spot or b"\\" in spot):
                return False
            if told:
                fragment, self._begin, self._end = spot, at, end
            at = end + len(fixed)
        return at == len(raw) and self._told(fragment)

    def _alone(self, raw: bytes, last: bytes) -> bool:
        """Nothing but the text differs."""
        begin, end = len(self._first), len(raw) - len(last)
        if not raw.endswith(last) or end <= begin:
            return False
        fragment = raw[begin:end]
        if b'"' in fragment or b"\\" in fragment:
            return False
        self._begin, self._end = begin, end
        return self._told(fragment)

    def _told(self, fragment: bytes) -> bool:
        if not fragment:
            return False
        try:
            self.fragment = fragment.decode()
        except UnicodeDecodeError:
            return False
        return self.fragment.isprintable()

    def written(self, raw: bytes, told: str) -> bytes:
        """The event that fitted last, with `told` in the place of its text."""
        self.text.note(self.fragment, told)
        if told == self.fragment:
            return raw
        return raw[: self._begin] + encode(told)[1:-1] + raw[self._end :]


class Alike:
    """Learns a stream's pattern, and forgets it with every event that is of another kind."""

    __slots__ = ("_pattern", "_tries")

    def __init__(self) -> None:
        self._pattern: Pattern | None = None
        self._tries = TRIES

    def of(self, raw: bytes) -> Pattern | None:
        """The pattern that this event fits."""
        pattern = self._pattern
        if pattern is None or not pattern.fits(raw):
            return None
        self._tries = TRIES
        return pattern

    def learn(self, raw: bytes, key: bytes, text: Fed, fragment: str) -> None:
        """An event that was read: it had this one text, as the value of `key`."""
        pattern = self._pattern
        if pattern is not None and pattern.text is text:
            return
        self._pattern = None  # its text may have ended: nothing would tell what a filter holds of it
        if self._tries <= 0:
            return
        self._tries -= 1
        self._pattern = _pattern(raw, key, text, fragment)

    def forget(self) -> None:
        self._pattern = None


def _pattern(raw: bytes, key: bytes, text: Fed, fragment: str) -> Pattern | None:
    if raw.count(b'"' + key + b'"') != 1 or text.segment.sealed:
        return None
    around: list[bytes] = []
    spots: list[int] = []
    begin, place = 0, -1
    for found in _PAIR.finditer(raw):
        told = found[1] == key
        group = _NUMBER if found[_QUOTED] is None else _QUOTED
        if not told and found[1] not in _LOOSE:
            continue
        if told:
            if group == _NUMBER or found[_QUOTED] != encode(fragment)[1:-1]:
                return None
            place = len(spots)
        around.append(raw[begin : found.start(group)])
        spots.append(group)
        begin = found.end(group)
    return None if place < 0 else Pattern(text, [*around, raw[begin:]], spots, place)
