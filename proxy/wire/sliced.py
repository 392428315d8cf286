"""Long JSON, read in slices: the same document as in one go, with places between at which others may run.

`orjson.loads` holds the interpreter to its end, in a thread too. So a long body is cut at its commas into runs of about
`PIECE_BYTES`, each run is parsed as a small document, and a container that spans several runs is put together here. A
string longer than a piece is decoded in slices. Scanning is bounded by a window, and linear: every byte is looked at by
at most three attempts. Whoever drives the generator (`paced`) decides how often to let others in.
"""

from __future__ import annotations

import asyncio
import codecs
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from proxy.errors import MalformedBody
from proxy.ports import Json
from proxy.wire.coding import as_object, compact, doubled, exact, load, parse, too_deep

T = TypeVar("T")
Steps = Generator[None, None, T]

LONG_BYTES = 256 * 1024
"""Shorter bodies are read in one go: a few milliseconds at the very worst."""
AT_ONCE_BYTES = 1024 * 1024
"""Up to here a long text is tried in one go, where it promises to be quick."""
PIECE_BYTES = 128 * 1024
WINDOW_BYTES = 64 * 1024
MARK_BYTES = 64
"""A bracket or comma that is looked at counts for so many bytes of a window."""
TURN_S = 0.002
"""Others run after this much work."""
LEVELS = 1000

_BLANKS = b" \t\r\n"
_STRING = rb'"(?:[^"\\]++|\\.)*+"'


def _passing(stops: bytes) -> re.Pattern[bytes]:
    """Matches up to the next structure of note: whole strings, and containers of up to six levels, are passed over."""
    inner = rb'[^"{}\[\]]++|' + _STRING
    for _ in range(5):
        inner = rb'[^"{}\[\]]++|' + _STRING + rb"|[{\[](?:" + inner + rb")*+[}\]]"
    whole = rb"[{\[](?:" + inner + rb")*+[}\]]"
    return re.compile(rb'(?:[^"{}\[\]' + stops + rb"]++|" + _STRING + rb"|" + whole + rb")*+", re.DOTALL)


_TO_BRACKET = _passing(b"")
_TO_COMMA = _passing(b",")
_KEY = re.compile(rb"[ \t\r\n]*+(" + _STRING + rb")[ \t\r\n]*+:[ \t\r\n]*+", re.DOTALL)
_HIGH = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}")


def reading(raw: bytes, *, depth: int = 128) -> Steps[dict[str, Json]]:
    """As `coding.parse`, refusals included."""
    if len(raw) < LONG_BYTES or raw[:4096].lstrip(_BLANKS)[:1] not in (b"{", b"["):
        return parse(raw, depth=depth)
    if len(raw) <= AT_ONCE_BYTES and (doc := compact(raw, depth)) is not None:
        return as_object(doc)
    return as_object((yield from _Reader(raw, depth).read()))


def loading(raw: bytes) -> Steps[Json]:
    """As `coding.load`: for what providers send."""
    if len(raw) < LONG_BYTES or raw[:1] not in (b"{", b"["):
        return load(raw)
    return (yield from _Reader(raw, 0).read())


async def paced(steps: Steps[T], now: Callable[[], float]) -> T:
    """Runs the steps on the event loop; others run between them."""
    begun = now()
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            result: T = ended.value
            return result
        if now() - begun > TURN_S:
            await asyncio.sleep(0)
            begun = now()


@dataclass(slots=True)
class _Open:
    """A container that is open where the scan stands. What was before `at` is read."""

    bracket: int
    place: int
    level: int
    at: int
    made: Any = None
    """The container itself, once it is known to be long."""
    after: bool = False
    """Its last member was put in apart from its run: a comma or the end must follow."""
    owed: bool = False
    """A comma was passed: another member must follow."""


class _Wrong(Exception):
    """No JSON, at this byte."""

    def __init__(self, at: int, message: str = "unexpected character") -> None:
        self.at = at
        self.message = message


class _Reader:
    """`depth` 0: a provider's answer, where doubled keys pass and nesting is only bounded."""

    def __init__(self, raw: bytes, depth: int) -> None:
        self._raw = raw
        self._depth = depth
        self._open: list[_Open] = []
        self._read_to = 0

    def read(self) -> Steps[Any]:
        try:
            return (yield from self._scan())
        except _Wrong as wrong:
            found = wrong
        yield from self._refuse(found)

    # ---- the scan ---------------------------------------------------------------------------------------------------

    def _scan(self) -> Steps[Any]:
        raw, size = self._raw, len(self._raw)
        first = size - len(raw.lstrip(_BLANKS)) if raw[:1] not in (b"{", b"[") else 0
        root = _Open(raw[first], first, 1, first + 1, made={} if raw[first] == 0x7B else [])
        self._open, self._read_to = [root], first
        at, rest = first + 1, WINDOW_BYTES
        while self._open:
            begun = at
            wary = self._open[-1].after or at - self._read_to >= PIECE_BYTES
            found = (_TO_COMMA if wary else _TO_BRACKET).match(raw, at, at + WINDOW_BYTES)
            end = found.end() if found else at
            if end == size:
                raise _Wrong(size, "unexpected end of data")
            if end < at + WINDOW_BYTES and raw[end] != 0x22:
                at = end + 1
                self._mark(raw[end], end)
            elif end > at:
                at = end
            else:
                at = yield from self._long_string(at)
            rest -= at - begun + MARK_BYTES
            if rest < 0:
                rest = WINDOW_BYTES
                yield
        if raw[at : at + 4096].strip(_BLANKS) or raw[at:].strip(_BLANKS):
            raise _Wrong(at, "unexpected content after document")
        return root.made

    def _mark(self, mark: int, place: int) -> None:
        top = self._open[-1]
        if mark == 0x2C:
            if top.after:
                self._blank(top.at, place)
                top.at, top.after, top.owed = place + 1, False, True
            else:
                self._take_all(place)
        elif mark in b"{[":
            level = top.level + 1
            if level > (self._depth or LEVELS):
                raise too_deep(self._depth) if self._depth else _Wrong(place, "nested too deeply")
            self._open.append(_Open(mark, place, level, place + 1))
        else:
            if top.made is not None:
                self._close(top, mark, place)
            self._open.pop()

    def _close(self, top: _Open, mark: int, place: int) -> None:
        if mark != (0x7D if top.bracket == 0x7B else 0x5D):
            raise _Wrong(place)
        if top.after:
            self._blank(top.at, place)
        elif self._raw[top.at : place].strip(_BLANKS):
            self._run(top, place)
        elif top.owed:
            raise _Wrong(place, "trailing comma")
        self._read_to = place + 1
        if len(self._open) > 1:
            self._open[-2].at = place + 1

    def _take_all(self, place: int, *, value: bool = False) -> None:
        """Reads what lies before `place`, as far as its members are whole. There is a comma, or a value to come."""
        inner: _Open | None = None
        for container in self._open:
            if inner is not None and container.made is None:
                container.made = {} if container.bracket == 0x7B else []
                self._before(inner, container.place)
                self._put(inner, container.made, container.place)
            inner = container
        top = self._open[-1]
        if value:
            self._before(top, place)
        else:
            self._run(top, place)
            top.at, top.owed = place + 1, True
        self._read_to = place

    def _before(self, into: _Open, place: int) -> None:
        """Reads the members before the one whose value begins at `place`."""
        begin = self._member_begin(into, place)
        if begin > into.at:
            self._run(into, begin - 1)
            into.at, into.owed = begin, True

    def _member_begin(self, into: _Open, place: int) -> int:
        if into.bracket == 0x5B:
            return max(self._raw.rfind(b",", into.at, place) + 1, into.at)
        text = self._raw[into.at : place].rstrip(_BLANKS)
        if not text.endswith(b":"):
            raise _Wrong(place)
        plain = text[:-1].rstrip(_BLANKS).replace(b"\\\\", b"__").replace(b'\\"', b"__")
        before = plain[: max(0, plain.rfind(b'"', 0, -1))].rstrip(_BLANKS)
        if before and not before.endswith(b","):
            raise _Wrong(into.at)
        return into.at + len(before)

    def _run(self, into: _Open, end: int) -> None:
        """Whole members, read as a document of their own."""
        raw = self._raw[into.at : end]
        if not raw.strip(_BLANKS):
            raise _Wrong(end)
        wrapped = b"{" + raw + b"}" if into.bracket == 0x7B else b"[" + raw + b"]"
        try:
            doc = self._whole(wrapped, into.level)
        except orjson.JSONDecodeError as error:
            before = len(error.doc[: error.pos].encode()) if error.doc else error.pos
            raise _Wrong(into.at + max(0, before - 1), error.msg) from error
        if into.bracket == 0x5B:
            into.made.extend(doc)
            return
        if self._depth and not into.made.keys().isdisjoint(doc):
            raise doubled(next(key for key in doc if key in into.made))
        into.made.update(doc)

    def _whole(self, wrapped: bytes, level: int) -> Any:
        if not self._depth:
            return load(wrapped)
        doc = orjson.loads(wrapped)
        return exact(doc, wrapped, self._depth + 1 - level, named=self._depth)

    def _put(self, into: _Open, value: Any, place: int) -> None:
        """A member that is read apart; its key, in an object, stands before `place`."""
        begin = into.at
        if into.after:
            raise _Wrong(place)
        if into.bracket == 0x5B:
            self._blank(begin, place)
            into.made.append(value)
        else:
            found = _KEY.fullmatch(self._raw, begin, place)
            if found is None:
                raise _Wrong(begin)
            try:
                key = orjson.loads(found[1])
            except orjson.JSONDecodeError as error:
                raise _Wrong(begin, error.msg) from error
            if self._depth and key in into.made:
                raise doubled(key)
            into.made[key] = value
        into.after, into.owed, into.at = True, False, place

    def _blank(self, begin: int, end: int) -> None:
        if self._raw[begin:end].strip(_BLANKS):
            raise _Wrong(begin)

    # ---- strings longer than a window -------------------------------------------------------------------------------

    def _long_string(self, at: int) -> Steps[int]:
        """Where to go on behind the string that begins at `at`. One that is a value is decoded in slices."""
        raw = self._raw
        cuts = [at + 1]
        while True:
            end = self._on(cuts[-1])
            if raw[end : end + 1] == b'"':
                break
            if end == len(raw):
                raise _Wrong(end, "unexpected end of data")
            if end == cuts[-1]:
                raise _Wrong(end, "invalid escaped sequence in string")
            cuts.append(end)
            yield
        top = self._open[-1]
        if top.bracket == 0x7B and not raw[top.at : at].rstrip(_BLANKS).endswith(b":"):
            return end + 1  # it is a key
        self._take_all(at, value=True)
        parts = []
        for begin, stop in zip(cuts, [*cuts[1:], end], strict=True):
            parts.append(self._text(begin, stop))
            yield
        self._put(top, "".join(parts), at)
        self._read_to = top.at = end + 1
        return end + 1

    def _on(self, at: int) -> int:
        """The string's end, or a place about a window further at which it may be cut."""
        piece = self._raw[at : at + WINDOW_BYTES]
        if b"\\" in piece:
            piece = piece.replace(b"\\\\", b"__").replace(b'\\"', b"__")
        quote = piece.find(b'"')
        if quote >= 0 or at + len(piece) == len(self._raw):
            return at + (quote if quote >= 0 else len(piece))
        cut = len(piece)
        while cut > len(piece) - 4 and self._raw[at + cut] & 0xC0 == 0x80:
            cut -= 1
        escape = piece.rfind(b"\\", max(0, cut - 5), cut)
        if escape >= 0 and (escape == cut - 1 or piece[escape + 1] == 0x75):
            cut = escape
        return at + cut - (6 if _HIGH.fullmatch(piece, max(0, cut - 6), cut) else 0)

    def _text(self, begin: int, end: int) -> str:
        try:
            text: str = orjson.loads(b'"' + self._raw[begin:end] + b'"')
        except orjson.JSONDecodeError as error:
            before = len(error.doc[: error.pos].encode()) if error.doc else error.pos
            raise _Wrong(begin + max(0, before - 1), error.msg) from error
        return text

    # ---- what is wrong with it --------------------------------------------------------------------------------------

    def _refuse(self, wrong: _Wrong) -> Steps[None]:
        """The sentence of `coding.parse`, made without holding anyone up for it. ValueError for an answer."""
        if not self._depth:
            raise ValueError(wrong.message)
        decoder = codecs.getincrementaldecoder("utf-8")()
        column = 0
        for at in range(0, len(self._raw), WINDOW_BYTES):
            piece = self._raw[at : at + WINDOW_BYTES]
            kept = len(decoder.getstate()[0])
            try:
                decoder.decode(piece, at + WINDOW_BYTES >= len(self._raw))
            except UnicodeDecodeError as broken:
                place = at - kept + broken.start
                raise MalformedBody(f"The request body is not valid UTF-8 (at byte {place}).") from None
            yield
        line = self._raw.count(b"\n", 0, wrong.at) + 1
        begun = self._raw.rfind(b"\n", 0, wrong.at) + 1
        for at in range(begun, wrong.at, WINDOW_BYTES):
            column += len(self._raw[at : min(at + WINDOW_BYTES, wrong.at)].translate(None, _FOLLOWING))
            yield
        where = f"{wrong.message[:120]} at line {line} column {column + 1}"
        raise MalformedBody(f"The request body is not valid JSON: {where}.")


_FOLLOWING = bytes(range(0x80, 0xC0))
"""The bytes of UTF-8 that begin no character."""
