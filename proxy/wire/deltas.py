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

_KEPT_CHARS = 65536
Passing = Generator[Piece, str, str]
"""Yields pieces, is sent what to deliver for each, returns the fragment as it goes to the caller."""


class Text:
    """A text that is what it says. A sealed one is shown to the filters and passes unchanged."""

    __slots__ = ("_before", "_edited", "_kept_chars", "_sent", "closed", "segment")

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.closed = False
        self._before: list[str] = []
        self._sent: list[str] = []
        self._kept_chars = 0
        self._edited = False

    def history(self) -> tuple[str, str] | None:
        """The text so far as the provider sent it and as it was delivered, for what points into it; None where the two
        say the same (or differ only by what is held back). Of long texts nothing is kept: both are empty."""
        if not self._edited:
            return None
        before, sent = "".join(self._before), "".join(self._sent)
        return None if self._kept_chars <= _KEPT_CHARS and before.startswith(sent) else (before, sent)

    def feed(self, fragment: str, *, final: bool = False) -> Passing:
        self.closed = final
        got = yield Piece(self.segment, fragment, final)
        if self.segment.sealed:
            return fragment
        self.note(fragment, got)
        return got

    def note(self, fragment: str, told: str) -> None:
        """`told` is delivered for `fragment`."""
        self._edited = self._edited or told != fragment
        self._kept_chars += len(fragment) + len(told)
        if self._kept_chars <= _KEPT_CHARS:
            self._before.append(fragment)
            self._sent.append(told)
        elif self._before:
            self._before, self._sent = [], []

    def close(self) -> Passing:
        """What the filters still held; nothing where it has ended already."""
        if self.closed:
            return ""
        return (yield from self.feed("", final=True))


class Arguments:
    """A text that holds JSON: every string leaf is a segment of its own, what comes out is JSON again."""

    __slots__ = ("_leaf", "_numbers", "_scanner", "_segment", "closed", "index", "role", "sealed")

    def __init__(
        self, index: int, numbers: Callable[[], int], *, role: Role = "assistant", sealed: bool = False
    ) -> None:
        self.index = index
        self.role: Role = role
        self.sealed = sealed
        self.closed = False
        self._numbers = numbers
        self._scanner = Scanner()
        self._leaf = -1
        self._segment: Segment | None = None

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
            got = yield Piece(self._of(part.leaf), part.text, part.final)
            out.append(part.raw if self.sealed else part.written(got))
        return "".join(out)

    def _of(self, leaf: int) -> Segment:
        if self._segment is None or self._leaf != leaf:
            kind: Kind = "tool_arguments"
            part = self._numbers()
            self._segment = Segment(self.role, kind, "", index=self.index, part=part, sealed=self.sealed)
            self._leaf = leaf
        return self._segment
