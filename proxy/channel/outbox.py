"""Records that wait for control, pure: bounded in bytes, sent in numbered batches, kept until acknowledged.

What is held is what waits plus what was sent and not acknowledged. Where a new line does not fit it is dropped and
counted (the newest goes, so that what is kept has no holes). A batch that was sent `TRIES` times without a word back is
given up: it is more likely to be what kills its reader than to be read the next time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

W = TypeVar("W")
HELD_BYTES = 8 * 1024 * 1024
LINE_BYTES = 4 * 1024 * 1024
BATCH_BYTES = 256 * 1024
WINDOW_BYTES = 1024 * 1024
TRIES = 10


@dataclass(slots=True)
class Batch(Generic[W]):
    """`waiters` belong to lines of this batch whose writers want to know; `taken_s` is when it was sent first."""

    number: int
    payload: bytes
    lines: int
    size: int
    waiters: list[W]
    taken_s: float
    tries: int = 0


class Outbox(Generic[W]):
    """`waiting` bytes are not sent yet; `held` lines are not acknowledged, sent or not; `dropped` counts lines lost."""

    __slots__ = ("_lines", "_next", "_room", "_unacked", "_waiters", "_window", "dropped", "held", "waiting")

    def __init__(self, held_bytes: int = HELD_BYTES) -> None:
        self._room = held_bytes
        self._lines: deque[bytes] = deque()
        self._waiters: list[W] = []
        self._unacked: deque[Batch[W]] = deque()
        self._window = WINDOW_BYTES
        self._next = 1
        self.waiting = 0
        self.held = 0
        self.dropped = 0

    def add(self, line: bytes) -> bool:
        """False where the line was dropped."""
        size = len(line)
        if size > self._room or size > LINE_BYTES:
            self.dropped += 1
            return False
        self._room -= size
        self.waiting += size
        self.held += 1
        self._lines.append(line)
        return True

    def add_awaited(self, line: bytes, waiter: W) -> bool:
        """As `add`; `waiter` comes back with the acknowledgement (or from `give_up`)."""
        if not self.add(line):
            return False
        self._waiters.append(waiter)
        return True

    def take(self, now_s: float = 0.0) -> Batch[W] | None:
        """The next batch to send; None where nothing waits or enough is under way."""
        if not self._lines or self._window <= 0:
            return None
        size = 0
        taken: list[bytes] = []
        while self._lines and size < BATCH_BYTES:
            line = self._lines.popleft()
            taken.append(line)
            size += len(line)
        # (a waiter whose line is left for the next batch must wait for that one; so all wait for the last)
        waiters, self._waiters = ([], self._waiters) if self._lines else (self._waiters, [])
        batch = Batch(self._next, b"\n".join(taken), len(taken), size, waiters, now_s, 1)
        self._next += 1
        self.waiting -= size
        self._window -= size
        self._unacked.append(batch)
        return batch

    def acknowledge(self, number: int) -> list[W]:
        """Forgets every batch up to this number; returns their waiters."""
        waiters: list[W] = []
        while self._unacked and self._unacked[0].number <= number:
            batch = self._unacked.popleft()
            self._room += batch.size
            self._window += batch.size
            self.held -= batch.lines
            waiters += batch.waiters
        return waiters

    def again(self) -> Iterator[Batch[W]]:
        """What was sent over a connection that is gone, oldest first, to be sent over the next."""
        for batch in list(self._unacked):
            batch.tries += 1
            yield batch

    def hopeless(self) -> list[W]:
        """Drops the batches that were tried often enough; returns their waiters."""
        lost = [batch for batch in self._unacked if batch.tries >= TRIES]
        waiters: list[W] = []
        for batch in lost:
            self._unacked.remove(batch)
            self._forget(batch)
            waiters += batch.waiters
        return waiters

    def give_up(self) -> list[W]:
        """Drops everything that is left; returns all waiters."""
        waiters = self._waiters
        self._waiters = []
        for batch in self._unacked:
            self._forget(batch)
            waiters += batch.waiters
        self.dropped += len(self._lines)
        self.held -= len(self._lines)
        self._room += self.waiting
        self.waiting = 0
        self._lines.clear()
        self._unacked.clear()
        return waiters

    def close(self) -> list[W]:
        """As `give_up`, and from here on every line is dropped."""
        waiters = self.give_up()
        self._room = -1
        return waiters

    def _forget(self, batch: Batch[W]) -> None:
        self.dropped += batch.lines
        self.held -= batch.lines
        self._room += batch.size
        self._window += batch.size

    def unacknowledged_s(self, now_s: float) -> float:
        """Age of the oldest batch without a word back; 0 where there is none."""
        return now_s - self._unacked[0].taken_s if self._unacked else 0.0

    @property
    def empty(self) -> bool:
        return not self._lines and not self._unacked
