"""How often an answer was there, by agent and result: for the metrics, and for whoever asks at the admin port."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from proxy.exchange import Exchange
from proxy.ports import Metrics

RESULTS: Final = ("hit", "semantic", "coalesced", "miss", "bypass", "stale")
SERIES: Final = 1024


class Tally:
    """Of one process, since its start."""

    __slots__ = ("_metrics", "_series", "totals")

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._series: dict[tuple[str, str], Callable[[], None]] = {}
        self.totals = dict.fromkeys(RESULTS, 0)

    def count(self, exchange: Exchange, result: str) -> None:
        """One of `RESULTS`."""
        self.totals[result] += 1
        key = (exchange.caller.agent, result)
        add = self._series.get(key)
        if add is None:
            if len(self._series) >= SERIES:
                self._series.clear()
            counter = self._metrics.counter("weir_cache_lookups_total", agent=key[0], result=result)
            add = self._series[key] = counter.add
        add()
