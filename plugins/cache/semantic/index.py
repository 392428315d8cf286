"""What was asked before, by everything but the last user text, and by the words of that.

The second stage wants the same gist, or nearly every word of one text in the other. So the nearest are found by both:
exact, no vectors needed, and a look-up visits only texts that share rare words with the one at hand.
"""

from __future__ import annotations

import heapq
import itertools
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from plugins.cache.semantic.gist import Whole
from plugins.cache.semantic.reading import Reading

NEAREST = 4
SHARED = 0.5
"""Least share of words in common: what has less, no second stage takes."""
VISITS = 250
"""Postings that one look-up reads at most, rarest words first."""
ROW_BYTES = 700
WORD_BYTES = 230
MOST_BYTES = 32 * 1024 * 1024
PART = bytes


@dataclass(slots=True)
class Row:
    """One text that was answered; `key`: where its answer lies."""

    key: bytes
    part: PART
    text: str
    reading: Reading
    vector: tuple[float, ...] | None = None
    """Of length 1; made when it is first needed."""
    made_by: str = ""
    """Which embedder made it."""
    width: int = 0
    """Different words; the index counts them."""

    @property
    def size_bytes(self) -> int:
        return (
            ROW_BYTES
            + 4 * len(self.text)
            + WORD_BYTES * max(1, len(self.reading.words) + len(self.reading.gist.words))
            + (0 if self.vector is None else 32 * len(self.vector))
        )


@dataclass(slots=True)
class Part:
    """All texts of calls that are the same but for these."""

    rows: dict[bytes, Row] = field(default_factory=dict)
    by_word: defaultdict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    by_gist: dict[Whole, dict[bytes, None]] = field(default_factory=dict)
    """The oldest first."""


class Index:
    """Bounded in rows and bytes; what was not found for longest goes first."""

    def __init__(self, most: int, most_bytes: int = MOST_BYTES) -> None:
        self.most = most
        self._most_bytes = most_bytes
        self._parts: dict[PART, Part] = {}
        self._rows: OrderedDict[bytes, Row] = OrderedDict()
        self.used_bytes = 0

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: Row) -> None:
        self.drop(row.key)
        part = self._parts.setdefault(row.part, Part())
        part.rows[row.key] = row
        keys = row.reading.keys
        row.width = len(keys)
        for word in keys:
            part.by_word[word].add(row.key)
        if row.reading.gist:
            part.by_gist.setdefault(row.reading.gist.whole, {})[row.key] = None
        self._rows[row.key] = row
        self.used_bytes += row.size_bytes
        while self._rows and (len(self._rows) > self.most or self.used_bytes > self._most_bytes):
            self.drop(next(iter(self._rows)))

    def learn(self, row: Row, vector: tuple[float, ...], made_by: str) -> None:
        """The row's vector, now that it is known."""
        here = self._rows.get(row.key) is row
        self.used_bytes -= row.size_bytes if here else 0
        row.vector, row.made_by = vector, made_by
        self.used_bytes += row.size_bytes if here else 0

    def used(self, row: Row) -> None:
        if row.key in self._rows:
            self._rows.move_to_end(row.key)

    def drop(self, key: bytes) -> None:
        row = self._rows.pop(key, None)
        if row is None:
            return
        self.used_bytes -= row.size_bytes
        part = self._parts[row.part]
        del part.rows[key]
        for word in row.reading.keys:
            part.by_word[word].discard(key)
            if not part.by_word[word]:
                del part.by_word[word]
        if row.reading.gist:
            alike = part.by_gist[row.reading.gist.whole]
            del alike[key]
            if not alike:
                del part.by_gist[row.reading.gist.whole]
        if not part.rows:
            del self._parts[row.part]

    def prune(self, there: Callable[[bytes], bool]) -> int:
        """Drops every row whose answer is gone."""
        gone = [key for key in self._rows if not there(key)]
        for key in gone:
            self.drop(key)
        return len(gone)

    def near(self, part: PART, reading: Reading) -> list[Row]:
        """At most `NEAREST` rows of the same gist, the newest first, and so many that share the most words."""
        known = self._parts.get(part)
        if known is None:
            return []
        alike = known.by_gist.get(reading.gist.whole, {}) if reading.gist else {}
        found = [known.rows[key] for key in itertools.islice(reversed(alike), NEAREST)]
        return found + [row for row in self._sharing(known, reading) if row.key not in alike]

    def _sharing(self, known: Part, reading: Reading) -> list[Row]:
        shared: defaultdict[bytes, int] = defaultdict(int)
        for key in self._visited(known, reading):
            shared[key] += 1
        wanted, rows = len(reading.keys), known.rows
        ranked = heapq.nlargest(
            NEAREST, ((2 * count / (wanted + rows[key].width), key) for key, count in shared.items())
        )
        found = []
        for near, key in ranked:
            row = known.rows[key]
            if self._share(near, reading, row) >= SHARED:
                found.append(row)
        return found

    def _share(self, near: float, reading: Reading, row: Row) -> float:
        """Common words were passed over, so what was counted may be too little."""
        ours, theirs = reading.keys, row.reading.keys
        return max(near, 2 * len(ours & theirs) / max(1, len(ours) + len(theirs)))

    def _visited(self, part: Part, reading: Reading) -> Iterator[bytes]:
        postings = sorted((part.by_word.get(word, ()) for word in reading.keys), key=len)
        left = VISITS
        for keys in postings:
            if len(keys) > left:
                return
            left -= len(keys)
            yield from keys
