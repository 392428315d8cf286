"""How the exact cache asks its neighbours: what looks for an answer to a call that asks the same in other words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from plugins.cache.entry import Entry
from plugins.cache.options import CacheOptions
from plugins.cache.semantic.options import SemanticOptions
from proxy.exchange import Exchange, Json, Response, Target
from proxy.plugin import Verdict


@dataclass(slots=True)
class Ticket:
    """What is known of a call that may share an answer: from its way out to the end of its answer."""

    key: bytes
    """16 bytes, of this process: equal for calls that may share an answer."""
    target: Target
    """Who must have answered, for the answer to be kept."""
    doc: Json
    """The body as it will be sent: to be read, never written. None once the call is on its way."""
    named: tuple[Any, ...] | None
    """What of it an answer repeats and the key does not hold (`echo`)."""
    options: CacheOptions
    ttl_s: float
    """How long its answer is kept; 0: it is not."""
    findings: int
    """How many there were before the answer."""
    canonical: bytes = b""
    """What the key was made of, where it is needed once more."""
    stale: Entry | None = None
    """An answer whose time is over, good if the provider fails."""
    within_s: float | None = None
    """None older than this is to be given, where the caller says so."""
    missed: bool = False
    """Nothing was there; whether another call's answer is shared then is known at its end."""


class Neighbour(Protocol):
    """Asked after an exact miss, told of each answer that is kept. It sits in `Cache.semantic`."""

    async def look(self, exchange: Exchange, ticket: Ticket) -> Response | None:
        """An answer that was given to a call which asks the same. Where it gives one it has set `exchange.cache` and
        `exchange.savings` itself. Never waits where there is nothing to look for."""
        ...

    def kept(self, exchange: Exchange, ticket: Ticket, entry: Entry) -> None:
        """An answer to this call has just been kept under `ticket.key`."""
        ...

    def lesson(self, exchange: Exchange) -> Any:
        """Of a call that was answered: what is to be told with a verdict on it."""
        ...

    def judged(self, verdict: Verdict) -> None:
        """Somebody has judged such a call, in whichever worker."""
        ...

    async def start(self, configured: Sequence[SemanticOptions]) -> None:
        """Loads what these need. Raises ConfigError where that is not installed."""
        ...

    def prune(self) -> int:
        """Answers were dropped: whatever is known of their calls goes, too."""
        ...

    def report(self) -> dict[str, Any]:
        """What was found, and what became of it."""
        ...

    def scan(self, row: dict[str, Any], options: SemanticOptions) -> dict[str, Any]:
        """Of two texts, `a` and `b`."""
        ...
