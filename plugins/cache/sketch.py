"""How often keys were asked for lately: a count-min sketch of four-bit counts that are halved now and then."""

from __future__ import annotations

from typing import Final

MOST: Final = 15
SAMPLE: Final = 10
"""So many counts for each place, and all of them are halved."""
LEAST_WIDTH, MOST_WIDTH = 1024, 1 << 20
_HALF: Final = bytes(count // 2 for count in range(256))


class Sketch:
    """Keys are digests: their own bytes say where they count."""

    def __init__(self, entries: int) -> None:
        """`entries`: how many are expected to be kept."""
        self._width = min(MOST_WIDTH, max(LEAST_WIDTH, 1 << max(0, entries - 1).bit_length()))
        self._mask = self._width - 1
        self._counts = bytearray(4 * self._width)
        self._left = SAMPLE * self._width

    def add(self, key: bytes) -> None:
        counts, mask, width, number = self._counts, self._mask, self._width, int.from_bytes(key[:16])
        base = 0
        for _ in range(4):
            place = base + (number & mask)
            if counts[place] < MOST:
                counts[place] += 1
            number >>= 32
            base += width
        self._left -= 1
        if self._left <= 0:
            self._counts = counts.translate(_HALF)
            self._left = SAMPLE * width // 2

    def count(self, key: bytes) -> int:
        """At least as often as it was asked for since the last halvings."""
        counts, mask, width, number = self._counts, self._mask, self._width, int.from_bytes(key[:16])
        return min(counts[row * width + (number >> 32 * row & mask)] for row in range(4))
