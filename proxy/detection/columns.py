"""What a column's head says about the number in a cell: tables in CSV and Markdown, and SQL's lists of values."""

from __future__ import annotations

import re
from typing import Final

from proxy.detection import labels

LINE_CHARS: Final = 1000
SIGNS: Final = "|;\t,"
COMMA = re.compile(r",(?! )")
LISTED = re.compile(r"values\s{0,4}\(", re.IGNORECASE)
NAMES = re.compile(r"\(([^()]{1,400})\)\s{0,4}\Z")
TUPLE_CHARS: Final = 800
TOKENS = re.compile(r"""'[^'\n]*'|"[^"\n]*"|([(),;])""")


class Columns:
    """Of one text; asked in the order of places it stays linear, for it remembers the last row."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._row = -1
        self._sign = ""
        self._head: list[str] = []
        self._statements = "VALUES" in text or "values" in text

    def kind(self, place: int) -> str | None:
        """The label over the cell at `place` (`""` for one of nobody's); None where there is no table."""
        if self._statements and (told := self._listed(place)) is not None:
            return told
        start = self._text.rfind("\n", max(0, place - LINE_CHARS), place) + 1
        if not start and place > LINE_CHARS:
            return None
        if start != self._row:
            self._enter(start)
        if not self._head:
            return None
        cell = len(_cells(self._text[start:place], self._sign)) - 1
        return _label(self._head[cell]) if cell < len(self._head) else None

    def _enter(self, start: int) -> None:
        """Finds the head of the table that the line belongs to: the first line above with as many cells."""
        line = self._line(start)
        sign = next((sign for sign in SIGNS if sign in line), "")
        count = len(_cells(line, sign)) if sign else 0
        known, self._row = self._row, start
        if count < 2:
            self._head, self._sign = [], ""
            return
        top, head = start, line
        while top > 0:
            above = self._text.rfind("\n", max(0, top - 1 - LINE_CHARS), top - 1) + 1
            if above == known and sign == self._sign and len(self._head) == count:
                return
            line = self._line(above)
            if sign not in line or len(_cells(line, sign)) != count:
                break
            top, head = above, line
        self._head, self._sign = (_cells(head, sign) if top != start else []), sign

    def _line(self, start: int) -> str:
        end = self._text.find("\n", start, start + LINE_CHARS)
        return self._text[start : end if end >= 0 else start + LINE_CHARS]

    def _listed(self, place: int) -> str | None:
        text, least = self._text, max(0, place - TUPLE_CHARS)
        word = max(text.rfind("VALUES", least, place), text.rfind("values", least, place))
        found = LISTED.match(text, word) if word >= 0 else None
        head = NAMES.search(text, max(0, word - TUPLE_CHARS), word) if found else None
        if found is None or head is None:
            return None
        names = head[1].split(",")
        passed, opened = 0, True
        for token in TOKENS.finditer(text, found.end(), place):
            sign = token[1]
            if sign == "(":
                passed, opened = 0, True
            elif sign == ",":
                passed += opened
            elif sign:
                opened = False
            if sign == ";":
                return None
        return _label(names[passed]) if opened and passed < len(names) else None


def _cells(line: str, sign: str) -> list[str]:
    return COMMA.split(line) if sign == "," else line.split(sign)


def _label(head: str) -> str | None:
    kind = labels.first(reversed(labels.WORD.findall(head[:80])))
    return labels.PHONE if kind == labels.CALL else kind
