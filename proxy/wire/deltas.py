"""Texts of a streamed answer on their way through the filters: plain ones, and arguments that hold JSON.

A codec keeps one of these for each text that is under way, and drives it from its own generator:

    delta["content"] = yield from text.feed(delta["content"])        # a piece of it
    held = yield from text.close()                                   # at its end: what was still held back
"""

from __future__ import annotations

from collections.abc import Callable, Generator

from proxy.exchange import Kind, Role, Segment
from proxy.wire.codec import Piece
from proxy.wire.leaves import Part, Scanner

Passing = Generator[Piece, str, str]
"""Yields pieces, is sent what to deliver for each, returns the fragment as it goes to the caller."""


class Text:
    """A text that is what it says. A sealed one is shown to the filters and passes unchanged."""

    __slots__ = ("before", "closed", "segment", "sent")

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.closed = False
        self.before: list[str] = []
        """As the provider sent it."""
        self.sent: list[str] = []
        """As it was delivered."""

    @property
    def changed(self) -> bool:
        """More than held back: what was delivered is not how the provider's text begins."""
        return not "".join(self.before).startswith("".join(self.sent))

    def feed(self, fragment: str, *, final: bool = False) -> Passing:
        self.closed = final
        got = yield Piece(self.segment, fragment, final)
        if self.segment.sealed:
            return fragment
        self.before.append(fragment)
        self.sent.append(got)
        return got

    def close(self) -> Passing:
        """What the filters still held; nothing where it has ended already."""
        if self.closed:
            return ""
        return (yield from self.feed("", final=True))


class Arguments:
    """A text that holds JSON: every string leaf is a segment of its own, what comes out is JSON again."""

    __slots__ = ("_numbers", "_scanner", "_segments", "closed", "index", "role", "sealed")

    def __init__(
        self, index: int, numbers: Callable[[], int], *, role: Role = "assistant", sealed: bool = False
    ) -> None:
        self.index = index
        self.role: Role = role
        self.sealed = sealed
        self.closed = False
        self._numbers = numbers
        self._scanner = Scanner()
        self._segments: list[Segment] = []

    def feed(self, fragment: str, *, final: bool = False) -> Passing:
        out = yield from self._through(self._scanner.feed(fragment))
        if final:
            out += yield from self.close()
        return fragment if self.sealed else out

    def close(self) -> Passing:
        """What was held of a leaf that is still open (arguments that broke off, or that were no JSON)."""
        if self.closed:
            return ""
        self.closed = True
        open_leaf = self._scanner.open
        escaped = not self._scanner.plain
        parts = self._scanner.close()
        if open_leaf >= 0:
            parts.append(Part("", open_leaf, "", final=True, escaped=escaped))
        out = yield from self._through(parts)
        return "" if self.sealed else out

    def _through(self, parts: list[Part]) -> Passing:
        out = []
        for part in parts:
            if part.leaf < 0:
                out.append(part.raw)
                continue
            got = yield Piece(self._segment(part.leaf), part.text, part.final)
            out.append(part.raw if self.sealed else part.written(got))
        return "".join(out)

    def _segment(self, leaf: int) -> Segment:
        kind: Kind = "tool_arguments"
        while len(self._segments) <= leaf:
            part = self._numbers()
            self._segments.append(Segment(self.role, kind, "", index=self.index, part=part, sealed=self.sealed))
        return self._segments[leaf]
