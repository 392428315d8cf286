"""JSON made compact: blanks between its tokens go, and escapes of letters that need none; no value changes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import orjson

TOKENS = re.compile(r'"(?:[^"\\]++|\\.)*+"|[^\s"]++')
"""Strings whole, and whatever stands between blanks."""
_ESCAPE = re.compile(r"\\(?:u(?P<one>[0-9a-fA-F]{4})(?:\\u(?P<two>[dD][c-fC-F][0-9a-fA-F]{2}))?|.)", re.DOTALL)
PART_CHARS = 65_536
_FIRST = 0xA0
"""What lies below is ASCII, or a control character."""


def valid(text: str) -> bool:
    """Whether this is one JSON value, strictly."""
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return True


def minified(text: str) -> str:
    """A valid JSON text without the blanks between its tokens. Numbers, doubled keys and the order of keys stay."""
    compact = "".join(["".join(TOKENS.findall(part)) for part in _parts(text)])
    return _ESCAPE.sub(_plain, compact) if "\\u" in compact else compact


def _parts(text: str) -> Iterator[str]:
    """A long text in parts, cut at line ends, which no string of JSON has in it: a part takes a few milliseconds."""
    start = 0
    while len(text) - start > PART_CHARS and (end := text.find("\n", start + PART_CHARS)) >= 0:
        yield text[start:end]
        start = end
    yield text[start:]


def _plain(found: re.Match[str]) -> str:
    """A letter for its escape, where that is beyond doubt the same."""
    if found["one"] is None:
        return found[0]
    first = int(found["one"], 16)
    second = found["two"]
    if 0xD800 <= first < 0xDC00 and second is not None:
        letter = chr(0x10000 + ((first - 0xD800) << 10) + int(second, 16) - 0xDC00)
        return letter if letter.isprintable() else found[0]
    if first < _FIRST or 0xD800 <= first < 0xE000 or not chr(first).isprintable():
        return found[0]
    return chr(first) if second is None else chr(first) + "\\u" + second
