"""Where in a text something could stand that must not pass, and how far the look at it reaches: the regions.

A region begins at the word of an anchor (a keyword of a secret, the beginning of an address, seven digits in a row) and
ends where what could follow has ended. Both are said by the text alone, never by how it was cut into pieces: that is
what makes a filter's result the same for every cutting.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal

import re2

from proxy.detection.secretrules import Rule

Scope = Literal["word", "value", "line", "block", "number"]

Anchor = tuple[Scope, int, int]
"""How far what it begins can reach, and where it stands itself."""

WORD_CHARS = 4096
"""A word of this length ends."""
OPENER_CHARS = 512
"""No anchor is longer."""
WIDE_CHARS = 8
"""No keyword has more signs of a script without blanks."""
LINE_CHARS = 96
"""So far behind its anchor a line is looked at, to the end of a word."""
BLOCK_CHARS = 8192
SHELL_CHARS = 600
NUMBER_CHARS = 160
REACH_CHARS = BLOCK_CHARS + 2 * WORD_CHARS
"""Behind an anchor, nothing of its region is further away."""
REGION_CHARS = 16_384
"""No region is longer: the next begins."""

_DIGITS = r"[0-9](?:[A-Z \t.()/:+-]{0,4}[0-9]){6}"
_RUN = re.compile(r"[0-9](?:[A-Z \t.()/:+-]{0,4}[0-9])*+")
_OPEN_RUN = re.compile(r"[0-9](?:[A-Z \t.()/:+-]{0,4}[0-9])*+[A-Z \t.()/:+-]{0,4}\Z")
_ADDRESS = r"@|%40|://|\]\(|//[A-Za-z0-9]|&#|&(?:colon|sol|commat);|[\x{ff20}\x{fe6b}]"
_WIDE = re.compile(r"[\u2e80-\uffef]")
_BORDER = re.compile(r"[ \n]|[\u2e80-\uffef]")
_BEGIN = re.compile(r"-----begin[ a-z0-9_-]{0,60}private", re.IGNORECASE)
_END = re.compile(r"-----END[^\n]{0,80}?-----", re.IGNORECASE)
_OPERATOR = re.compile(r"(?::=|[=:,>\uff1a]|->)[\"'`]{0,2}\Z")
_OPERATORS = frozenset(
    ("is", "was", "ist", "war", "es", "est", "to", "\u00e8", "\u0442\u043e", "=", "==", "===", ":", ":=", "=>", "->")
)
_QUOTES = "\"'`"


class Anchors:
    """All that can begin a region, in one automaton."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        by_scope: dict[Scope, list[str]] = {"block": [], "line": [], "value": [], "word": [_ADDRESS]}
        for rule in rules:
            by_scope[rule.scope].extend(f"(?:{opener})" for opener in rule.openers)
        kinds: list[tuple[Scope, str]] = [(scope, "|".join(found)) for scope, found in by_scope.items() if found]
        kinds.append(("number", _DIGITS))
        options = re2.Options()
        options.max_mem = 64 << 20
        options.log_errors = False
        self.search = re2.compile("|".join(pattern for _, pattern in kinds), options=options).search
        quiet: Any = re2.Set.SearchSet(options)
        for pattern in (*(found for _, found in kinds if found != _DIGITS), "[0-9]"):
            quiet.Add(pattern)
        quiet.Compile()
        self.heard = quiet.Match
        """Of bytes: what could begin a region, or a number; nothing where all of it may pass."""
        self._kinds = [(scope, re2.compile(pattern, options=options).match) for scope, pattern in kinds]

    def first(self, text: str, at: int, end: int) -> Anchor | None:
        """The first anchor from `at` on that begins before `end`. Looks at no more of the text than it must: a text of
        nothing but anchors is read once."""
        while at < end:
            until = min(end, at + WORD_CHARS)
            found = self._in(text, at, until)
            if found is not None:
                return found
            at = until
        return None

    def _in(self, text: str, at: int, end: int) -> Anchor | None:
        margin = 1 if at else 0  # what stands before says whether a word begins
        stretch = text[at - margin : end + OPENER_CHARS]
        data = stretch.encode("utf-8", "surrogatepass")
        found = self.search(data, len(stretch[:margin].encode("utf-8", "surrogatepass")))
        if found is None:
            return None
        low, high = found.span()
        start, last = low, high
        if len(data) != len(stretch):
            start = len(data[:low].decode("utf-8", "surrogatepass"))
            last = start + len(data[low:high].decode("utf-8", "surrogatepass"))
        start += at - margin
        if start >= end:
            return None
        scope: Scope = next((kind for kind, match in self._kinds if match(data, low)), "word")
        return scope, start, last + at - margin


def settled(text: str) -> int:
    """Before this place no anchor begins whose end may still come: without the last word, or digits that may go on."""
    end = max(text.rfind(" "), text.rfind("\n")) + 1
    if not text.isascii():
        end = _past_wide(text, end)
    if len(text) - end > WORD_CHARS + OPENER_CHARS:
        end += (len(text) - end - OPENER_CHARS) // WORD_CHARS * WORD_CHARS
    run = _OPEN_RUN.search(text, max(0, end - NUMBER_CHARS), end)
    return begin(text, 0, run.start()) if run is not None else end


def unsure(text: str, last: int) -> bool:
    """Whether digits, or a keyword of a script without blanks, that begin before `last` may go on behind the end."""
    run = _OPEN_RUN.search(text, max(0, len(text) - NUMBER_CHARS))
    if run is not None and run.start() < last:
        return True
    if text.isascii() or len(text) - last >= WIDE_CHARS:
        return False
    return _WIDE.match(text, last - 1) is not None and all(_WIDE.match(sign) for sign in text[last:])


def _past_wide(text: str, end: int) -> int:
    """Scripts without blanks end a word with each sign; with one of the last of them, a keyword may begin."""
    last = len(text)
    while last > end and not _WIDE.match(text[last - 1]):
        last -= 1
    start = last
    while start > end and last - start < WIDE_CHARS and _WIDE.match(text[start - 1]):
        start -= 1
    return start


def begin(text: str, at: int, hit: int) -> int:
    """The first character of the word in which an anchor stands, `at` at the earliest."""
    start = max(text.rfind(" ", at, hit), text.rfind("\n", at, hit), at - 1) + 1
    if not text.isascii():
        if _WIDE.match(text, hit):
            return hit
        start = next((place + 1 for place in range(hit - 1, start - 1, -1) if _WIDE.match(text[place])), start)
    return start + (hit - start) // WORD_CHARS * WORD_CHARS


def end(text: str, scope: Scope, start: int, hit: int, final: bool) -> int:
    """Where the region of an anchor at `text[start:hit]` ends; -1 where that is not sure before more has come."""
    if scope == "number":
        return _number(text, start, final)
    word = _border(text, hit, start + WORD_CHARS)
    if word < 0:
        return len(text) if final else -1
    if scope == "word":
        return word
    if scope == "line":
        return _line(text, start, word, final)
    if scope == "block":
        return _block(text, start, word, final)
    return _value(text, hit, word, final)


def _border(text: str, at: int, most: int) -> int:
    """Where the word that goes on at `at` ends; -1 where its end has not come."""
    found = _BORDER.search(text, at, most)
    if found is not None:
        return found.start()
    return most if len(text) >= most + OPENER_CHARS else -1


def _number(text: str, start: int, final: bool) -> int:
    found = _RUN.match(text, start, start + NUMBER_CHARS)
    last = found.end() if found is not None else start + 1
    if last + 5 > len(text) and not final and last < start + NUMBER_CHARS:
        return -1
    word = _border(text, last, last + WORD_CHARS)
    return word if word >= 0 else len(text) if final else -1


def _line(text: str, start: int, word: int, final: bool) -> int:
    newline = text.find("\n", word, start + LINE_CHARS)
    if newline >= 0:
        return newline
    found = _border(text, max(word, start + LINE_CHARS), start + LINE_CHARS + WORD_CHARS)
    return found if found >= 0 else len(text) if final else -1


def _value(text: str, hit: int, word: int, final: bool) -> int:
    """The word of the name, an operator if there is one, the word behind it; all of it, where that is quoted."""
    head = text[hit:word]
    for _ in range(4):
        start, last = _next(text, word, final)
        if last < 0:
            return -1
        if start == last:
            return word
        said = text[start:last]
        operates = _operates(head)
        if operates and not _operates(said):
            return _quoted(text, start, last, final)
        if not operates and not _operates(said):
            return last
        head, word = said, last
    return word


def _operates(word: str) -> bool:
    return _OPERATOR.search(word) is not None or word.lower() in _OPERATORS


def _next(text: str, at: int, final: bool) -> tuple[int, int]:
    """The next word of the line; it is empty where there is none, and ends at -1 where it has not come."""
    start = at
    while start < len(text) and start - at < 4 and text[start] == " ":
        start += 1
    if start == len(text):
        return start, start if final else -1
    if text[start] in " \n":
        return start, start
    last = _border(text, start + 1, start + WORD_CHARS)
    return start, len(text) if last < 0 and final else last


def _quoted(text: str, start: int, last: int, final: bool) -> int:
    quote = text[start]
    if quote not in _QUOTES or quote in text[start + 1 : last]:
        return last
    newline = text.find("\n", last, start + NUMBER_CHARS)
    closing = text.find(quote, last, newline if newline >= 0 else start + NUMBER_CHARS)
    if closing >= 0:
        found = _border(text, closing + 1, closing + 1 + LINE_CHARS)
        return found if found >= 0 else len(text) if final else -1
    if newline >= 0 or len(text) >= start + NUMBER_CHARS or final:
        return last
    return -1


def _block(text: str, start: int, word: int, final: bool) -> int:
    if text[start : start + 10].lower().find("curl") >= 0 or "-----" not in text[start:word]:
        return _shell(text, start, word, final)
    newline = text.find("\n", word, start + LINE_CHARS)
    if newline < 0 and len(text) < start + LINE_CHARS and not final:
        return -1
    if _BEGIN.search(text, start, newline if newline >= 0 else start + LINE_CHARS) is None:
        return word
    found = _END.search(text, word, start + BLOCK_CHARS)
    if found is not None:
        return found.end()
    if len(text) >= start + BLOCK_CHARS:
        return start + BLOCK_CHARS
    return len(text) if final else -1


def _shell(text: str, start: int, word: int, final: bool) -> int:
    """A command, with the lines that a backslash adds to it."""
    newline = text.find("\n", word, start + SHELL_CHARS)
    while newline > 0 and text[newline - 1] == "\\":
        newline = text.find("\n", newline + 1, start + SHELL_CHARS)
    if newline >= 0:
        return newline
    found = _border(text, max(word, start + SHELL_CHARS), start + SHELL_CHARS + WORD_CHARS)
    return found if found >= 0 else len(text) if final else -1
