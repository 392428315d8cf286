"""Disguises: signs written in another way (`%40`, `&#64;`, a full-width @), and the text as it is read without them.

Personal data is looked for in what a text says, and its place is told in the text as it stands: what is taken out is
exactly what stood there. Signs that have a plain one of the same length are replaced where they are; what is written
with several characters for one, or with some that nobody sees, is read in a copy that knows where all of it came from.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import re2

from proxy.detection.span import Span

BLANKS: Final = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
DASHES: Final = "\u2010-\u2015\u2212\ufe58\ufe63\uff0d"
UNSEEN: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\U000e0000-\U000e007f\U000e0100-\U000e01ef"
)
ZEROES: Final = (
    0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xDE6, 0xE50, 0xED0, 0xF20,
    0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0,
    0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10, 0x104A0, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1FBF0,
)  # fmt: skip
"""The zeroes of the scripts that have digits of their own."""
DIGITS: Final = "".join(f"{chr(zero)}-{chr(zero + 9)}" for zero in ZEROES)


def _plain() -> dict[int, str]:
    table = {sign: chr(sign - 0xFEE0) for sign in (*range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))}
    table |= dict(zip(map(ord, "＠﹫＋．｡＿％"), "@@+.._%", strict=True))
    table |= dict.fromkeys(map(ord, _listed(BLANKS)), " ") | dict.fromkeys(map(ord, _listed(DASHES)), "-")
    return table | {zero + digit: str(digit) for zero in ZEROES for digit in range(10)}


def _listed(ranges: str) -> Iterator[str]:
    """The characters of a set as patterns have it."""
    for found in re.finditer(r"(.)(?:-(.))?", ranges):
        yield from map(chr, range(ord(found[1]), ord(found[2] or found[1]) + 1))


PLAIN: Mapping[int, str] = MappingProxyType(_plain())
"""What a sign is read as, of the same length."""
_ANY: Final = f"[0-9{DIGITS}]"
_NEAR: Final = f"[0-9A-Za-z@._+＠{DIGITS}-]"
UNUSUAL = re2.compile(
    (
        f"[＠﹫]|[0-9)][{BLANKS}][(0-9]|[0-9)][ .{BLANKS}]?[{DASHES}][ {BLANKS}]?[(0-9]"
        rf"|[{DIGITS}](?:[ ./()．{BLANKS}{DASHES}-]{{0,3}}{_ANY}){{6}}|{_ANY}(?:[ ./()-]{{0,3}}{_ANY}){{5}}[{DIGITS}]"
        rf"|@[^\s@]{{1,100}}[．｡。]|{_NEAR}[{UNSEEN}]+{_NEAR}"
    ).encode()
)
"""Where something is to be read in another way, or is not seen, in an address or a number. No text in ASCII has it."""
HIDDEN = re.compile(f"(?<={_NEAR})[{UNSEEN}]+(?={_NEAR})")
PERCENT = re.compile(r"%(?:25){0,3}(?:40|2[BbDdEe0]|3[0-9])")
ENTITY = re.compile(
    r"&(?:amp;){0,3}(?:#0{0,4}(?:3[2-9]|[45][0-9]|6[0-4]|95|160|173|82[08][0-9]);?"
    r"|#[xX]0{0,4}(?:2[0-9A-Fa-f]|3[0-9]|40|5[Ff]|[Aa][0Dd]|20[016][0-9A-Fa-f]);?"
    r"|(?:commat|period|lowbar|hyphen|dash|plus|shy|nbsp|zwnj|zwj|ZeroWidthSpace|NoBreak);)"
)
ESCAPE = re.compile(r"\\(?:u(?:00(?:[24][0-9a-fA-F]|3[0-9])|200[bcdBCD])|x(?:40|2[eEdD0]|3[0-9]))")
"""These three: a sign that is written out, for which an address or a number has a place."""
_NAMED: Mapping[str, str] = MappingProxyType(
    {"commat": "@", "period": ".", "lowbar": "_", "hyphen": "-", "dash": "-", "plus": "+", "nbsp": " ", "shy": "",
     "zwnj": "", "zwj": "", "ZeroWidthSpace": "", "NoBreak": "", "colon": ":", "sol": "/", "bsol": "\\", "quest": "?",
     "equals": "=", "lpar": "(", "rpar": ")", "num": "#", "percnt": "%", "Tab": "", "NewLine": ""}
)  # fmt: skip
_ENTITIES: Final = (
    r"&(?:amp;){0,3}(?:#0{0,4}[0-9]{1,7}(?![0-9]);?|#[xX]0{0,4}[0-9A-Fa-f]{1,6}(?![0-9A-Fa-f]);?"
    rf"|(?:{'|'.join(_NAMED)});)"
)
ENTITIES = re.compile(_ENTITIES)
SEVERAL = re.compile(
    r"%(?:25){0,3}[2-7][0-9A-Fa-f]|\\u00[2-7][0-9A-Fa-f]|\\x[2-7][0-9A-Fa-f]|\\u200[bcdBCD]|"
    rf"{_ENTITIES}|[{UNSEEN}]+"
)
_UNSEEN_ONE = re.compile(f"[{UNSEEN}]")
LAST: Final = 0x10FFFF


class Read(NamedTuple):
    """A text as it is read. Spans of `again`, where there is such a copy, are `placed` in the text as it stands."""

    plain: str
    """As long as the text."""
    again: Copy | None


class Copy:
    """A text without what is written with several characters, or unseen; and where everything stood."""

    __slots__ = ("_at", "_from", "_size", "text")

    def __init__(self, text: str, written: re.Pattern[str] = SEVERAL) -> None:
        """`written`: what is read as one sign, or as none."""
        parts: list[str] = []
        self._at: list[int] = []
        """Where in the copy each part begins, and ..."""
        self._from: list[int] = []
        """... in the text, and ..."""
        self._size: list[int] = []
        """... how long it is there; 0 for what stands there as it is."""
        at = size = 0
        for found in written.finditer(text):
            said = _said(found.group())
            if said is None:
                continue
            start, end = found.span()
            if start > at:
                self._part(size, at, 0)
                parts.append(text[at:start])
                size += start - at
            if said:
                self._part(size, start, end - start)
                parts.append(said)
                size += 1
            at = end
        self._part(size, at, 0)
        parts.append(text[at:])
        self.text = "".join(parts)

    def _part(self, at: int, begin: int, size: int) -> None:
        self._at.append(at)
        self._from.append(begin)
        self._size.append(size)

    def placed(self, span: Span) -> Span:
        """The span in the text as it stands."""
        first = bisect_right(self._at, span.start) - 1
        last = bisect_right(self._at, span.end - 1) - 1
        start = self._from[first] + (0 if self._size[first] else span.start - self._at[first])
        end = self._from[last] + (self._size[last] or span.end - self._at[last])
        return span._replace(start=start, end=end)


def read(text: str) -> Read | None:
    """The text as it is read; None for one that says what it says, as nearly all do."""
    several = _written_out(text)
    if text.isascii():
        return Read(text, Copy(text)) if several else None
    if UNUSUAL.search(text.encode("utf-8", "surrogatepass")) is not None:
        several = several or HIDDEN.search(text) is not None
    elif not several:
        return None
    plain = text.translate(PLAIN)
    if "。" in plain and "@" in plain:
        plain = _STOPPED.sub(".", plain)
    return Read(plain, Copy(plain) if several else None)


def _written_out(text: str) -> bool:
    return (
        ("%" in text and PERCENT.search(text) is not None)
        or ("&" in text and ENTITY.search(text) is not None)
        or ("\\" in text and ESCAPE.search(text) is not None)
    )


_STOPPED = re.compile(r"(?<=[A-Za-z0-9])。(?=[A-Za-z]{2})")
"""As some write it in addresses; elsewhere it ends a sentence."""


def undone(value: str) -> str:
    """What a value says."""
    found = read(value)
    if found is None:
        return value
    return found.again.text if found.again is not None else found.plain


def _said(written: str) -> str | None:
    """The sign that is written; empty for what nobody sees; None for what is none."""
    if written[0] == "&":
        name = written[1:].replace("amp;", "").rstrip(";")
        if name[0] != "#":
            return _NAMED[name]
        code = int(name[2:], 16) if name[1] in "xX" else int(name[1:])
    elif written[0] in "%\\" and written[:5] != "\\u200":
        code = int(written[-2:], 16)
    else:
        return ""
    if code > LAST or code < 0x20 or 0xD800 <= code < 0xE000:
        return None
    sign = PLAIN.get(code, chr(code))
    return "" if _UNSEEN_ONE.match(sign) else sign
