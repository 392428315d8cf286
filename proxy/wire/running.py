"""One text of a streamed answer that comes in several copies: its pieces on their way, and what was made of them."""

from __future__ import annotations

from proxy.exchange import Segment
from proxy.wire.deltas import Arguments, Passing, Text


class Running:
    """Drives a text, and remembers what came and what was delivered, so that later copies can be told alike."""

    __slots__ = ("_begun", "_came", "_text", "_told", "open")

    def __init__(self, text: Text | Arguments) -> None:
        self.open = True
        self._text = text
        self._begun = False
        self._came: list[str] = []
        self._told: list[str] = []

    @property
    def original(self) -> str:
        return "".join(self._came)

    @property
    def delivered(self) -> str:
        return "".join(self._told)

    @property
    def same(self) -> bool:
        """Nothing was changed or held back so far."""
        return self._came == self._told or self.original == self.delivered

    def feed(self, piece: str) -> Passing:
        """What to deliver in the place of this piece."""
        if not piece:
            return ""
        self._begun = True
        return (yield from self._noted(piece, self._text.feed(piece)))

    def whole(self, text: str) -> Passing:
        """The text comes at once."""
        if isinstance(self._text, Text):
            self._text.segment.begin(text)
        self.open = False
        return (yield from self._noted(text, self._text.feed(text, final=True)))

    def close(self) -> Passing:
        """What was held back until now."""
        if not self.open:
            return ""
        self.open = False
        return (yield from self._noted("", self._text.close())) if self._begun else ""

    def _noted(self, piece: str, passing: Passing) -> Passing:
        told = yield from passing
        # Noted only now: what was refused has not been delivered.
        self._came.append(piece)
        self._told.append(told)
        return told

    @property
    def plain(self) -> bool:
        """A text that is what it says, and has begun."""
        return isinstance(self._text, Text) and self._begun

    @property
    def segment(self) -> Segment:
        """Of a `plain` text."""
        assert isinstance(self._text, Text)
        return self._text.segment

    def note(self, fragment: str, told: str) -> None:
        """`told` is delivered for `fragment`, of a `plain` text that is open."""
        assert isinstance(self._text, Text)
        self._text.note(fragment, told)
        self._came.append(fragment)
        self._told.append(told)
