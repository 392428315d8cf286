"""The names of an answer's headers in their order, and what follows from them: found once for all that are alike.

A provider's answers have the same names again and again. Which go on to the caller, and which one tells the length, is
then known, and an answer's head is written anew in one step, without looking into the values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from proxy.ports import Headers
from proxy.upstream.endpoint import fate

SHAPES = 256
"""Remembered for one upstream."""
NAMES_BYTES = 8 * 1024
"""Longer heads are not worth remembering."""
DIGITS = 9
_STATUS = rb"HTTP/1\.1 ([2-5][0-9]{2}) [\t\x20-\x7e]*+\r\n"
_VALUE = rb":[ \t]*+([\t\x20-\x7e\x80-\xff]*+)\r\n"
"""Possessive: what does not match is not tried again with one blank less."""
_NEVER = re.compile(rb"(?!)")
_BODILESS = (b"204", b"304")
_LISTS_NOTHING = (b"keep-alive", b"close")
Values = Sequence[bytes]
Pick = Callable[[Values], Any]


class Shape:
    """Only for names of which an answer has been found good."""

    __slots__ = ("_changed", "_lists_at", "_pattern", "_same", "at", "chunked_at", "length_at", "names")

    def __init__(self, names: tuple[bytes, ...]) -> None:
        self.names = tuple(name.decode() for name in names)
        self.at = {name.lower(): at for at, name in reversed(list(enumerate(self.names)))}
        """Where the first header of a name stands."""
        self.length_at = self.at.get("content-length", -1)
        self.chunked_at = self.at.get("transfer-encoding", -1)
        self._lists_at = [at for at, name in enumerate(self.names) if name.lower() == "connection"]
        fates = [fate(name) for name in self.names]
        kept = [at for at, one in enumerate(fates) if one in ("sent", "of the bytes")]
        self._same = _template(self.names, [at for at in kept if self.names[at].lower() != "content-length"])
        self._changed = _template(self.names, [at for at, one in enumerate(fates) if one == "sent"])
        whole = self.length_at >= 0 and self.chunked_at < 0 and not self._lists_at
        self._pattern: re.Pattern[bytes] | None = None if whole else _NEVER
        """None until it is asked for: it takes a millisecond to make, and most shapes that are strange come once."""

    def match(self, data: bytes) -> tuple[int, int, list[bytes]] | None:
        """Status, where the body begins, and the values, where `data` is a whole answer with such a head on a
        connection that goes on. Stricter than llhttp, and faster."""
        pattern = self._pattern
        if pattern is None:
            pattern = self._pattern = self._compiled()
        found = pattern.match(data)
        if found is None:
            return None
        status, *values = found.groups()
        length = values[self.length_at]
        start = found.end()
        if not length.isdigit() or len(length) > DIGITS or start + int(length) != len(data) or status in _BODILESS:
            return None
        return int(status), start, values

    def _compiled(self) -> re.Pattern[bytes]:
        lines = (re.escape(name.encode()) + _VALUE for name in self.names)
        return re.compile(_STATUS + b"".join(lines) + b"\r\n")

    def headers(self, values: Values) -> Headers:
        return list(zip(self.names, map(_text, values), strict=True))

    def lines(self, values: Values, changed: bool) -> bytes | None:
        """The headers that go on to the caller, each a line, but for the length, which is told by whoever writes the
        head; None where only a closer look can tell."""
        for at in self._lists_at:
            if values[at].lower() not in _LISTS_NOTHING:
                return None
        pick, template, count = self._changed if changed else self._same
        made: bytes = template % pick(values)
        if b" \r\n" in made or b"\t\r\n" in made or made.count(b"\n") != count or b"\0" in made:
            return None
        return made


class Shapes(dict[tuple[bytes, ...], Shape]):
    """Those of one upstream. Bounded."""

    latest: Shape | None = None
    """Of a whole answer."""

    def learn(self, names: tuple[bytes, ...]) -> Shape | None:
        if sum(map(len, names)) > NAMES_BYTES:
            return None
        if len(self) >= SHAPES:
            self.clear()
        made = self[names] = Shape(names)
        return made


def _template(names: Sequence[str], kept: list[int]) -> tuple[Pick, bytes, int]:
    """What takes the kept values out of all, where they go, and how many there are."""
    template = b"".join(b"%b: %%b\r\n" % names[at].encode().replace(b"%", b"%%") for at in kept)
    if len(kept) > 1:
        return itemgetter(*kept), template, len(kept)
    return (lambda values: tuple(values[at] for at in kept)), template, len(kept)


def _text(value: bytes) -> str:
    value = value.rstrip()
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
