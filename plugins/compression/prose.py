"""Prose without what nobody reads: blanks at line ends, empty lines, padding of tables, banners of web pages."""

from __future__ import annotations

import re
from collections.abc import Sequence

from plugins.compression.regions import is_code_line

BOILERPLATE = frozenset(
    {
        "accept all", "accept all cookies", "accept cookies", "advertisement", "all rights reserved",
        "all rights reserved.", "back to top", "cookie policy", "cookie settings", "follow us", "jump to content",
        "jump to navigation", "log in", "loading...", "manage cookies", "manage preferences", "open menu",
        "privacy policy", "read more", "reject all", "related articles", "scroll to top", "share on facebook",
        "share on linkedin", "share on twitter", "share on x", "share this article", "share this page", "sign in",
        "sign up", "skip to content", "skip to main content", "skip to navigation", "sponsored",
        "subscribe to our newsletter", "terms of service", "terms of use", "toggle navigation", "we use cookies",
    }
)  # fmt: skip
"""Whole lines that say nothing of a page."""
BANNER_CHARS = 40
LONG_CHARS = 4000
"""Longer lines stay as they are."""
_RULE = re.compile(r"^([-=_*~#+.])\1{7,}$")
_RULED = re.compile(r"-{4,}")
_PADDING = re.compile(r" {2,}(?=\|)|(?<=\|) {2,}")
_RUN = re.compile(r"(?<=\S)  +(?=\S)")
_QUOTES = frozenset('"`“”«»„>')
_DIGITS = frozenset("0123456789")


def tidied(lines: Sequence[str], *, boilerplate: bool) -> list[str]:
    """The lines without superfluous blanks. Lines that are indented, quoted or code stay as they are.
    `boilerplate`: also without the lines that every page of the web has."""
    out: list[str] = []
    empty = 0
    for line in lines:
        bare = line.strip()
        if not bare:
            empty += 1
            continue
        if boilerplate and len(bare) <= BANNER_CHARS and bare.lower() in BOILERPLATE:
            continue
        if empty:
            whole = empty > 1 and (line[:1] in (" ", "\t") or is_code_line(line))
            out.extend([""] * (empty if whole else 1))
            empty = 0
        out.append(_line(line, bare))
    if empty:
        out.append("")
    return out


def _line(line: str, bare: str) -> str:
    if len(bare) > LONG_CHARS or not _QUOTES.isdisjoint(bare):
        return line
    if line[:4] == "    " or line[:1] == "\t":
        return line
    line = line.rstrip()
    if bare[0] == "|" and bare[-1] == "|":
        return _PADDING.sub(" ", _RULED.sub("---", line) if _DIGITS.isdisjoint(bare) else line)
    if len(bare) > 8 and _RULE.match(bare):
        return line[: line.index(bare)] + bare[:3]
    runs = _RUN.findall(line)
    return _RUN.sub(" ", line) if len(runs) == 1 and len(runs[0]) == 2 else line
