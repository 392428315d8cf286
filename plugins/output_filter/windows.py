"""The filter at work on one text: what it lets through at once, what it holds, and when it has it judged."""

from __future__ import annotations

from collections.abc import Callable

from plugins.output_filter.regions import (
    REACH_CHARS,
    REGION_CHARS,
    Anchor,
    Anchors,
    begin,
    end,
    settled,
    unsure,
)

CONTEXT_CHARS = 200
"""Of what has gone out, what a judgement may look back upon."""
QUICK_CHARS = 1024
"""What is no longer may go without a look at where it is cut."""
PIECES = 64
PIECE_CHARS = 8192
"""A longer piece is taken in parts, so that what is behind a find is not moved about again and again."""
WHOLE_CHARS = 32_768
"""A text that is judged as one; of a longer one, each stretch of this length."""

Judge = Callable[[str, int], str]
"""Given a text and where what is to be judged begins in it: what goes out in its place. May raise `Refused`."""


class Window:
    """Lets a text pass and holds each region (`regions`) until all of it is there."""

    __slots__ = ("_anchors", "_before", "_heard", "_held", "_judge", "_passed", "_region")

    def __init__(self, anchors: Anchors, judge: Judge) -> None:
        self._anchors = anchors
        self._heard = anchors.heard
        self._judge = judge
        self._held = ""
        self._before = ""
        self._passed: list[str] = []
        """What has gone out since, in pieces."""
        self._region: _Region | None = None
        """What is held is the beginning of this one."""

    def feed(self, piece: str) -> str:
        if len(piece) > PIECE_CHARS:
            return "".join(self.feed(piece[start : start + PIECE_CHARS]) for start in range(0, len(piece), PIECE_CHARS))
        text = self._held + piece if self._held else piece
        if self._region is None and len(text) < QUICK_CHARS and text.isascii() and not self._heard(text.encode()):
            end = max(text.rfind(" "), text.rfind("\n")) + 1
            self._held = text[end:]
            if not end:
                return ""
            text = text[:end]
            self._passed.append(text)
            if len(self._passed) > PIECES:
                self._context()
            return text
        if self._region is not None and len(text) < REGION_CHARS and _inside(piece):
            self._held = text
            return ""
        return self._pass(text, final=False)

    def close(self) -> str:
        text, self._held = self._held, ""
        return self._pass(text, final=True) if text else ""

    def _pass(self, text: str, *, final: bool) -> str:
        out: list[str] = []
        at = 0
        region, self._region = self._region, None
        while True:
            if region is None:
                sure = len(text) if final else at + settled(text[at:] if at else text)
                hit = self._anchors.first(text, at, sure)
                if hit is None:
                    break
                start = begin(text, at, hit[1])
                out.append(self._gone(text[at:start]))
                text, at = text[start:], 0
                region = _Region((hit[0], hit[1] - start, hit[2] - start))
            last = region.end(self._anchors, text, final)
            if last < 0:
                self._region, self._held = region, text
                return "".join(out)
            before = self._context()
            out.append(self._judge(before + text[:last], len(before)))
            self._gone(text[:last])
            at, region = last, None
        out.append(self._gone(text[at:sure]))
        self._held = text[sure:]
        return "".join(out)

    def _gone(self, text: str) -> str:
        if text:
            self._passed.append(text)
        if len(self._passed) > PIECES:
            self._context()
        return text

    def _context(self) -> str:
        """The end of what has gone out."""
        if self._passed:
            last = self._passed[-1]
            whole = last if len(last) >= CONTEXT_CHARS else "".join((self._before, *self._passed))
            self._before, self._passed = whole[-CONTEXT_CHARS:], []
        return self._before


class _Region:
    """One region, from the text's beginning on: how far it is known to reach, so that nothing is looked at twice."""

    __slots__ = ("_from", "_hit", "_last")

    def __init__(self, hit: Anchor) -> None:
        self._hit: Anchor | None = hit
        self._from = 0
        self._last = 0

    def end(self, anchors: Anchors, text: str, final: bool) -> int:
        """Where it ends, with all that other anchors in it reach; -1 where that is not sure."""
        if self._hit is None:
            self._hit = anchors.first(text, self._from, self._last)
        while self._hit is not None:
            scope, low, high = self._hit
            reach = end(text, scope, low, high, final)
            if reach < 0:
                return REGION_CHARS if len(text) >= REGION_CHARS + REACH_CHARS else -1
            self._from, self._last = high, max(self._last, reach)
            if self._last >= REGION_CHARS:
                return REGION_CHARS
            self._hit = anchors.first(text, high, self._last)
        return self._last if final or not unsure(text, self._last) else -1


def _inside(piece: str) -> bool:
    """No word ends in it."""
    return piece.isascii() and " " not in piece and "\n" not in piece


class Whole:
    """Holds a text to its end and has it judged as one: arguments of tool calls, which nobody reads as they come."""

    __slots__ = ("_held", "_judge")

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._held = ""

    def feed(self, piece: str) -> str:
        self._held += piece
        out = ""
        while len(self._held) >= WHOLE_CHARS:
            out += self._judge(self._held[:WHOLE_CHARS], 0)
            self._held = self._held[WHOLE_CHARS:]
        return out

    def close(self) -> str:
        text, self._held = self._held, ""
        return self._judge(text, 0) if text else ""
