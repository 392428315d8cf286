"""JSON inside JSON, read as it comes: which parts of a fragment are structure and which are string leaves.

Tool-call arguments are a string that holds JSON, and in streams that string arrives in pieces cut anywhere, inside an
escape too. `Scanner` splits it: structure (brackets, keys, numbers) passes as it is; every string value is a leaf that
plugins may read and change. What is no JSON after all becomes one more leaf, unescaped, so that nothing goes unseen.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal

import orjson

_TOKEN = re.compile(r'[ \t\r\n]*+(?:([{}\[\],:"])|([^ \t\r\n{}\[\],:"]++))')
_STRING = re.compile(r'[^"\\]*+(?:\\(?:u[0-9a-fA-F]{4}|[^u])[^"\\]*+)*+', re.DOTALL)
_CUT_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?")
_HIGH = re.compile(r"u[dD][89abAB][0-9a-fA-F]{2}")
_LITERAL = re.compile(r"-?[0-9][0-9eE.+-]*|-|t(?:r(?:u(?:e)?)?)?|f(?:a(?:l(?:s(?:e)?)?)?)?|n(?:u(?:l(?:l)?)?)?")
_LITERAL_CHARS = 400
_LEVELS = 1000

_Mode = Literal["structure", "key", "leaf", "plain"]


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the text. `leaf` is the number of the string value it belongs to, -1 for structure."""

    raw: str
    leaf: int = -1
    text: str = ""
    """What the leaf says (decoded)."""
    final: bool = False
    """The leaf ends here."""
    escaped: bool = True
    """Whether new text must be JSON-escaped in its place."""

    def written(self, text: str) -> str:
        """The stretch with `text` in its place; the same bytes where that is what it said already."""
        if text == self.text:
            return self.raw
        return escape(text) if self.escaped else text


def escape(text: str) -> str:
    """`text` as the inside of a JSON string."""
    try:
        return orjson.dumps(text)[1:-1].decode()
    except TypeError:  # a lone surrogate
        return json.dumps(text)[1:-1]


def unescape(raw: str) -> str:
    """What the inside of a JSON string says. Half of a surrogate pair says U+FFFD, nonsense says itself."""
    if "\\" not in raw:
        return raw
    try:
        text: str = json.loads(f'"{raw}"', strict=False)
    except ValueError:
        return raw
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class Scanner:
    """Fed with fragments in order; the parts' `raw`, joined, are the fragments, joined."""

    __slots__ = ("_key", "_literal", "_mode", "_pending", "_stack", "count")

    def __init__(self) -> None:
        self.count = 0
        """Leaves begun so far."""
        self._mode: _Mode = "structure"
        self._stack: list[str] = []
        self._key = False
        self._literal = ""
        self._pending = ""

    @property
    def open(self) -> int:
        """The leaf that has begun and not ended, or -1."""
        return self.count - 1 if self._mode in ("leaf", "plain") else -1

    @property
    def plain(self) -> bool:
        """It turned out to be no JSON: the open leaf is text as it stands."""
        return self._mode == "plain"

    def feed(self, fragment: str) -> list[Part]:
        text = self._pending + fragment
        self._pending = ""
        parts: list[Part] = []
        at = mark = 0
        while at < len(text):
            if self._mode == "structure":
                at = self._structure(text, at)
                if self._mode not in ("leaf", "plain"):
                    continue
            elif self._mode == "key":
                at = self._over_key(text, at)
                continue
            if at > mark:
                parts.append(Part(text[mark:at]))
            mark, at = self._leaf(text, at, parts)
        end = len(text) - len(self._pending)
        if end > mark:
            parts.append(Part(text[mark:end]))
        return parts

    def close(self) -> list[Part]:
        """Whatever was kept because an escape was cut and its rest never came."""
        raw, self._pending = self._pending, ""
        if not raw:
            return []
        leaf = self.open
        return [Part(raw, leaf, raw if leaf >= 0 else "")]

    def _structure(self, text: str, at: int) -> int:
        """Goes on to the end or to where a key or leaf begins."""
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:  # blanks only
                return len(text)
            mark, run = found.groups()
            if run is not None:
                if not self._literal_goes_on(run, found.start(2) > at):
                    self._begin("plain")
                    return found.start(2)
                at = found.end()
                continue
            self._literal = ""
            at = found.end()
            if mark == '"':
                is_key = self._key and bool(self._stack) and self._stack[-1] == "{"
                self._begin("key" if is_key else "leaf")
                return at
            if not self._punctuate(mark):
                self._begin("plain")
                return at - 1
        return at

    def _begin(self, mode: _Mode) -> None:
        self._mode = mode
        self._literal = ""
        if mode != "key":
            self.count += 1

    def _literal_goes_on(self, run: str, afresh: bool) -> bool:
        self._literal = run if afresh else self._literal + run
        return len(self._literal) <= _LITERAL_CHARS and _LITERAL.fullmatch(self._literal) is not None

    def _punctuate(self, mark: str) -> bool:
        stack = self._stack
        if mark in "{[":
            if len(stack) >= _LEVELS:
                return False
            stack.append(mark)
            self._key = mark == "{"
        elif mark in "}]":
            if not stack or stack.pop() != ("{" if mark == "}" else "["):
                return False
            self._key = False
        else:
            self._key = mark == "," and bool(stack) and stack[-1] == "{"
        return True

    def _over_key(self, text: str, at: int) -> int:
        at, ended = self._string(text, at)
        if ended:
            self._mode = "structure"
            self._key = False
            return at + 1
        self._pending = text[at:]
        return len(text)

    def _leaf(self, text: str, at: int, parts: list[Part]) -> tuple[int, int]:
        """Where structure begins again, and where to go on (past the closing quote, which is structure)."""
        number = self.count - 1
        if self._mode == "plain":
            raw = text[at:]
            parts.append(Part(raw, number, raw, escaped=False))
            return len(text), len(text)
        end, ended = self._string(text, at)
        raw = text[at:end]
        if ended:
            self._mode = "structure"
            self._key = False
        else:
            self._pending = text[end:]
        if raw or ended:
            parts.append(Part(raw, number, unescape(raw), ended))
        return (end, end + 1) if ended else (len(text), len(text))

    @staticmethod
    def _string(text: str, at: int) -> tuple[int, bool]:
        """Where the string stops being sure, and whether that is its closing quote."""
        start = at
        while True:
            found = _STRING.match(text, at)
            end = found.end() if found else at
            if end < len(text) and text[end] == '"':
                return end, True
            if end == len(text) or _CUT_ESCAPE.fullmatch(text, end):
                return _before_half_pair(text, start, end), False
            at = end + 2  # no escape of JSON: taken as it stands


def _before_half_pair(text: str, start: int, end: int) -> int:
    """Leaves out a first surrogate whose second one is still to come."""
    if end - start < 6 or not _HIGH.fullmatch(text, end - 5, end):
        return end
    slashes = end - 5
    while slashes > start and text[slashes - 1] == "\\":
        slashes -= 1
    return end - 6 if (end - 5 - slashes) % 2 else end
