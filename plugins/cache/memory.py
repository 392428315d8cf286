"""The shelf in memory: bounded in bytes; what goes first is what was not used for longest, or what is used least."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Literal

from plugins.cache.entry import Entry, Filter
from plugins.cache.sketch import Sketch

WINDOW: Final = 0.01
"""Share of the bytes for what has just come, of `lfu`."""
PROTECTED: Final = 0.8
"""Of the rest, the share of what was used again."""
USUAL_BYTES: Final = 2048
"""Of an entry, to guess how many there will be."""

Strategy = Literal["lru", "lfu"]


class Memory:
    """`lru` is one list. `lfu` is W-TinyLFU (Einziger, Friedman and Manes, 2017): what is new waits in a small window;
    when it leaves that, it is taken in only if it was asked for more often than what would have to go for it, by the
    count of a sketch that forgets. Taken in, it is on probation, and protected once it is used again."""

    def __init__(self, most_bytes: int, strategy: Strategy = "lru") -> None:
        self.strategy: Strategy = strategy
        self.most_bytes = most_bytes
        self.used_bytes = 0
        self.evicted = 0
        self._window: OrderedDict[bytes, Entry] = OrderedDict()
        self._probation: OrderedDict[bytes, Entry] = OrderedDict()
        self._protected: OrderedDict[bytes, Entry] = OrderedDict()
        self._window_bytes = 0
        self._protected_bytes = 0
        self._sketch = Sketch(most_bytes // USUAL_BYTES) if strategy == "lfu" else None

    def __len__(self) -> int:
        return len(self._window) + len(self._probation) + len(self._protected)

    def find(self, key: bytes) -> Entry | None:
        """The entry, used once more. Whether its time is over is for the asker to say."""
        window = self._window
        found = window.get(key)
        if self._sketch is not None:
            self._sketch.add(key)
            if found is None:
                return self._of_main(key)
        if found is not None:
            window.move_to_end(key)
        return found

    def peek(self, key: bytes) -> Entry | None:
        """The entry, as if nobody had asked."""
        return self._window.get(key) or self._protected.get(key) or self._probation.get(key)

    def _of_main(self, key: bytes) -> Entry | None:
        found = self._protected.get(key)
        if found is not None:
            self._protected.move_to_end(key)
            return found
        found = self._probation.pop(key, None)
        if found is None:
            return None
        self._protected[key] = found
        self._protected_bytes += found.size_bytes
        room = (self.most_bytes - self._window_most) * PROTECTED
        while self._protected_bytes > room and len(self._protected) > 1:
            old, entry = self._protected.popitem(last=False)
            self._protected_bytes -= entry.size_bytes
            self._probation[old] = entry
        return found

    @property
    def _window_most(self) -> float:
        return self.most_bytes * WINDOW if self._sketch is not None else self.most_bytes

    def keep(self, key: bytes, entry: Entry) -> None:
        """In the place of what was there. What is larger than all there may be is not kept."""
        self.drop(key)
        size = entry.size_bytes
        if size > self.most_bytes:
            return
        self._window[key] = entry
        self._window_bytes += size
        self.used_bytes += size
        if self._sketch is None:
            while self.used_bytes > self.most_bytes:
                self._evict(next(iter(self._window)))
            return
        while self._window_bytes > self._window_most and (len(self._window) > 1 or len(self) > 1):
            self._admit(self._sketch)
        while self.used_bytes > self.most_bytes:
            self._evict(self._victim() or next(iter(self._window)))

    def _admit(self, sketch: Sketch) -> None:
        """The oldest of the window goes into the main part, or away."""
        key, entry = self._window.popitem(last=False)
        self._window_bytes -= entry.size_bytes
        self._probation[key] = entry
        wanted = sketch.count(key)
        while self.used_bytes > self.most_bytes:
            victim = self._victim()
            if victim is None or victim == key or sketch.count(victim) >= wanted:
                self._evict(key)
                return
            self._evict(victim)

    def _victim(self) -> bytes | None:
        """What has been longest on probation, else longest unused of what is protected."""
        return next(iter(self._probation), None) or next(iter(self._protected), None)

    def _evict(self, key: bytes) -> None:
        self.drop(key)
        self.evicted += 1

    def drop(self, key: bytes) -> bool:
        for part in (self._window, self._probation, self._protected):
            entry = part.pop(key, None)
            if entry is None:
                continue
            size = entry.size_bytes
            self.used_bytes -= size
            if part is self._window:
                self._window_bytes -= size
            elif part is self._protected:
                self._protected_bytes -= size
            return True
        return False

    def forget(self, wanted: Filter) -> int:
        """Drops all that `wanted` describes; gives how many."""
        parts = (self._window, self._probation, self._protected)
        gone = [key for part in parts for key, entry in part.items() if entry.matches(wanted)]
        for key in gone:
            self.drop(key)
        return len(gone)

    def entries(self) -> list[tuple[bytes, Entry]]:
        """All of them, in the order in which another shelf should take them."""
        return [*self._probation.items(), *self._protected.items(), *self._window.items()]
