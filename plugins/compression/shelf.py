"""Shorter texts, remembered by what they were made of, in a bounded number of bytes."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from plugins.compression.shrink import Shrunk
from proxy.exchange import Exchange, Segment
from proxy.plugin import MemoryKit

BYTES = 64 * 1024 * 1024
ENTRY_BYTES = 200


class Known(NamedTuple):
    """What became of a text, and what stands for it among processes (empty where nothing became of it)."""

    shrunk: Shrunk
    digest: bytes


NOTHING = Known(Shrunk(""), b"")
"""Of texts that cannot be made shorter."""


class _Held:
    __slots__ = ("known",)

    def __init__(self, known: Known) -> None:
        self.known: Known | None = known


_NOTHING_HELD = _Held(NOTHING)


class Shelf:
    """What `kit.memory` keeps for this plugin. Past its bytes the oldest texts are forgotten, to be made anew."""

    def __init__(self, memory: MemoryKit, plugin: str, most_bytes: int = BYTES) -> None:
        self._memory = memory
        self._plugin = plugin
        self._most = most_bytes
        self._held: deque[_Held] = deque()
        self._bytes = 0

    def recall(self, fingerprint: str, exchange: Exchange, text: Segment) -> Known | None:
        held: _Held | None = self._memory.recall(self._plugin, fingerprint, exchange, text)
        return None if held is None else held.known

    def remember(self, fingerprint: str, exchange: Exchange, text: Segment, known: Known) -> None:
        if not known.digest:
            self._memory.remember(self._plugin, fingerprint, exchange, text, _NOTHING_HELD)
            return
        held = _Held(known)
        self._memory.remember(self._plugin, fingerprint, exchange, text, held)
        self._held.append(held)
        self._bytes += _size(known)
        while self._bytes > self._most:
            oldest = self._held.popleft()
            if oldest.known is not None:
                self._bytes -= _size(oldest.known)
                oldest.known = None

    def clear(self) -> None:
        """All texts are forgotten."""
        for held in self._held:
            held.known = None
        self._held.clear()
        self._bytes = 0


def _size(known: Known) -> int:
    return ENTRY_BYTES + 4 * len(known.shrunk.text)


def settled(segment: Segment, question: str = "") -> Segment:
    """The same text as in a later turn, as it is at this place; with the question that an extract is for."""
    if question:
        return Segment(segment.role, segment.kind, f"{segment.text}\0{question}")
    if segment.fresh or segment.changed:
        return Segment(segment.role, segment.kind, segment.text)
    return segment
