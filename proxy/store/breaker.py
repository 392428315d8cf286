"""Whether hot state is worth asking: opens after failures in a row, tells once per change of state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Breaker:
    """Closed, or open. Nothing but `succeeded` closes it again, so no caller ever pays for a trial:
    whoever owns the breaker asks in the background."""

    failures: int = 3
    on_change: Callable[[bool, str], None] = field(default=lambda is_open, why: None)
    """Called with (open, why) once per change."""
    _row: int = 0
    _open: bool = False

    @property
    def open(self) -> bool:
        return self._open

    def failed(self, why: str) -> None:
        self._row += 1
        if not self._open and self._row >= self.failures:
            self._open = True
            self.on_change(True, why)

    def succeeded(self) -> None:
        self._row = 0
        if self._open:
            self._open = False
            self.on_change(False, "it answers again")
