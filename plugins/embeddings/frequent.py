"""Which inputs come again and again: counts of the most frequent, in bounded memory (Misra and Gries, 1982)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Known(NamedTuple):
    """What is told of an input beside how often it came."""

    size: int
    begins: str = ""
    """How its text begins, masked; empty where no text may be kept."""
    person: bytes = b""
    """In whose call that was."""


class Frequent:
    """Keys are digests. What came in more than 1 of `most` inputs is among them."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._counts: dict[bytes, int] = {}
        self._known: dict[bytes, Known] = {}
        self.seen = 0

    def add(self, key: bytes, size: int, begins: Callable[[], str] | None = None, person: bytes = b"") -> None:
        """`size`: characters or tokens of the input. `begins` is asked once an input has come again; None: of its text
        nothing may be kept."""
        if not self.most:
            return
        self.seen += 1
        counts = self._counts
        count = counts[key] = counts.get(key, 0) + 1
        if count == 1:
            self._known[key] = Known(size)
        elif begins is not None and not self._known[key].begins:
            self._known[key] = Known(size, begins(), person)
        if len(counts) > 2 * self.most:
            self._shrink()

    def _shrink(self) -> None:
        """Takes off all what the middle one has: what is left came more often than by chance."""
        less = sorted(self._counts.values())[self.most]
        self._counts = {key: count - less for key, count in self._counts.items() if count > less}
        self._known = {key: self._known[key] for key in self._counts}

    def forget(self, person: bytes) -> int:
        """Of a person's texts nothing is told any more; gives how many there were."""
        theirs = [key for key, known in self._known.items() if known.begins and known.person == person]
        for key in theirs:
            self._known[key] = Known(self._known[key].size)
        return len(theirs)

    def top(self, most: int = 20) -> list[dict[str, Any]]:
        """The most frequent first: `input` (a digest), how often at least, how long it is, and how it begins."""
        ranked = sorted(self._counts.items(), key=lambda each: -each[1])[:most]
        return [
            {"input": key.hex(), "count": count, "size": self._known[key].size, "begins": self._known[key].begins}
            for key, count in ranked
            if count > 1
        ]
