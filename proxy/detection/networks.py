"""IP addresses: version 4 in dotted form, version 6 from its colons outwards."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv6Address
from typing import Final

from proxy.detection.span import Span

TYPE: Final = "IP"
COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:(?:[0-9A-Fa-f:]++(?:(?<=[0-9])(?:\.[0-9]{1,3}){3})?|(?=/))")
"""From the first colon of an address to its end; in what it stands for all is hexadecimal."""
PREFIX = re.compile(r"(?:/[0-9]{1,3}|%[A-Za-z][A-Za-z0-9]{1,8})(?![0-9A-Za-z/]|\.[0-9])")
ADDRESS_CHARS, HEX = 45, frozenset("0123456789abcdefABCDEF")
VERSION = re.compile(
    r"(?:(?:\b(?:versions?|ver|rev|release|build|section|sections|chapter|article|annex|appendix|clause|paragraph|figure|table|oid|firmware|driver)"
    r"|chrome|chromium|firefox|edge|safari|opera|assemblyversion|fileversion)(?: (?:no|nr|number|num)\b\.?)?"
    r"|==|>=|<=|~=)[ :=/v\"'`-]{0,3}\Z|(?<![A-Za-z])v\Z",
    re.IGNORECASE,
)


def quad(text: str, start: int, end: int) -> Span | None:
    """A dotted quad whose places are already known: not a version, not the machine itself, not a netmask."""
    parts = text[start:end].split(".")
    if any(int(part) > 255 or (len(part) > 1 and part[0] == "0") for part in parts):
        return None
    if parts[0] in ("0", "127") or parts[0] == "255" or VERSION.search(text, max(0, start - 24), start):
        return None
    return Span(start, _prefix(text, start, end), TYPE, 0.9)


def _prefix(text: str, start: int, end: int) -> int:
    """The end with a network's length or a zone, which belong to the address; a path of a URL does not."""
    found = PREFIX.match(text, end) if text[start - 2 : start] != "//" else None
    return found.end() if found else end


def sixes(text: str) -> Iterator[Span | None]:
    """Every version 6 address; None for colons that are something else."""
    for colons in COLONS.finditer(text):
        yield _six(text, colons.start(), colons.end())


def _six(text: str, colon: int, end: int) -> Span | None:
    if end - colon > ADDRESS_CHARS:
        return None
    start = colon
    while start > 0 and colon - start < 4 and text[start - 1] in HEX:
        start -= 1
    if text[end - 1] == ":" and text[end - 2] != ":":
        end -= 1
    if text.count(":", start, end) == 8 and "::" not in text[start:end]:
        end = text.rfind(":", start, end)  # a port
    written = text[start:end]
    if "::" not in written and written.count(":") < 6:
        return None
    if text[start - 1 : start].isalnum() or text[end : end + 1].isalnum() or text[start - 1 : start] in (":", "."):
        return None
    if text[end : end + 1] == "." and text[end + 1 : end + 2].isdigit():
        return None
    if len(written) < 5 or not _real(written):
        return None
    return Span(start, _prefix(text, start, end), TYPE, 0.95)


def _real(written: str) -> bool:
    """Also by the standard library's reading; names in code (`a::b`) have no digit, addresses nearly always."""
    try:
        IPv6Address(written)
    except AddressValueError:
        return False
    return any(map(str.isdigit, written)) or written.count(":") > 3
