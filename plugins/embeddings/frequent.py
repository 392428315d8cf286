"""Which inputs come again and again: counts of the most frequent, in bounded memory (Misra and Gries, 1982)."""

from __future__ import annotations

from typing import Any


class Frequent:
    """Keys are digests; no text is kept. What came in more than 1 of `most` inputs is among them."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._counts: dict[bytes, int] = {}
        self._size: dict[bytes, int] = {}
        self.seen = 0

    def add(self, key: bytes, size: int) -> None:
        """`size`: characters or tokens of the input."""
        if not self.most:
            return
        self.seen += 1
        counts = self._counts
        counts[key] = counts.get(key, 0) + 1
        self._size[key] = size
        if len(counts) > 2 * self.most:
            self._shrink()

    def _shrink(self) -> None:
        """Takes off all what the middle one has: what is left came more often than by chance."""
        less = sorted(self._counts.values())[self.most]
        self._counts = {key: count - less for key, count in self._counts.items() if count > less}
        self._size = {key: self._size[key] for key in self._counts}

    def top(self, most: int = 20) -> list[dict[str, Any]]:
        """The most frequent first: `input` (a digest), how often at least, and how long it is."""
        ranked = sorted(self._counts.items(), key=lambda each: -each[1])[:most]
        return [{"input": key.hex(), "count": count, "size": self._size[key]} for key, count in ranked if count > 1]
