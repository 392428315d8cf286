"""Workers whose event loop is held: they take calls and answer none, and say nothing any more. Standard library only.

A worker says now and then, from its event loop, that this turns (`life.beat`). One that has said so before, and has
not for a while, is held by something that does not wait: a plugin, most likely. It cannot be asked to leave.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.processes.child import Child

BEATS = 6
"""Of a worker, in the time after which it is taken to hang."""
HELD_S = 1.0
"""Whoever wakes up later than it wanted to was held itself, and so may have been the workers."""


class Beats:
    """`running` gives the workers that are to be listened to."""

    def __init__(self, hang_s: float, running: Callable[[], list[Child]]) -> None:
        self.hang_s = hang_s
        self._running = running

    @property
    def arguments(self) -> list[str]:
        """What a worker is told of it."""
        return ["--beat-s", f"{self.hang_s / BEATS:g}"] if self.hang_s else []

    def moments(self) -> list[float]:
        """When a worker will have been silent for too long."""
        return [child.heard_s + self.hang_s for child in self._beating()]

    def hung(self, now_s: float, slept_s: float, patience_s: float | None) -> list[Child]:
        """Those that are. `slept_s`: since when the supervisor has slept, and `patience_s`: how long it wanted to."""
        late = patience_s is not None and now_s - slept_s > patience_s + HELD_S
        found = []
        for child in self._beating():
            if late:
                child.heard_s = now_s
            elif now_s - child.heard_s >= self.hang_s:
                child.heard_s = 0.0
                found.append(child)
        return found

    def _beating(self) -> list[Child]:
        return [child for child in self._running() if child.heard_s and child.ready_fd >= 0] if self.hang_s else []
