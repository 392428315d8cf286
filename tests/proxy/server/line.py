"""A stand-in for what `Framing` belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.live import Limits


@dataclass
class Line:
    """A connection as `Framing` sees it."""

    bounds: Limits = field(default_factory=Limits)
    remote: str = ""

    def limits(self) -> Limits:
        return self.bounds

    def read_on(self) -> None:
        return

    def write(self, data: bytes) -> None:
        raise AssertionError("pure")
