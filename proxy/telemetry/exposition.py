"""What `/metrics` shows: the pages of live processes, plus what dead ones left, through prometheus_client.

Control only. A dead process's page is added to a base and removed, so that counters never fall. The base lies beside
the pages and names every page that is in it; it is written before the page is removed, so a control process that is
killed between the two neither loses a page nor counts it twice.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from proxy.telemetry.metrics import METRICS, Metric, MetricKind, metric_of
from proxy.telemetry.page import Pairs, Series, Sheet, read

Totals = dict[tuple[MetricKind, str, Pairs], list[float]]
Rows = list[tuple[Pairs, list[float]]]
LOG = logging.getLogger("weir.records")
WORKERS = "weir_workers"
HELD, LOST = "weir_records_held", "weir_records_lost_total"
"""What a dead process held is lost with it."""
RESTARTS = {"worker": "weir_worker_restarts_total", "control": "weir_control_restarts_total"}


class Exposition(Collector):
    """Reads the run directory at every scrape. Safe to call from threads; calls wait for each other."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._base: Totals = {}
        self._absorbed: set[str] = set()
        self._workers = 0
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        self._load()

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The text of `/metrics` and its content type, in the format that `accept` asks for. Some milliseconds per
        hundred series: call it in a thread."""
        encode, content_type = choose_encoder(accept)
        body: bytes = encode(self._registry)
        return body, content_type

    def describe(self) -> Iterable[Family]:
        """Nothing: the figures are there when somebody has counted."""
        return ()

    def collect(self) -> Iterator[Family]:
        families: dict[str, tuple[Metric, Rows]] = {}
        for (kind, name, labels), values in sorted(self.totals().items()):
            names = tuple(label for label, _ in labels)
            metric, rows = families.setdefault(name, (metric_of(name, kind, names), []))
            if metric.kind == kind and sorted(metric.labels) == list(names):  # else a plugin means two things by it
                rows.append((labels, values))
        for metric, rows in families.values():
            yield _family(metric, rows)

    def totals(self) -> Totals:
        """Every series of the whole Weir, summed over its processes living and dead."""
        with self._lock:
            live = self._sheets()
            totals: Totals = {key: list(values) for key, values in self._base.items()}
            for sheet in live:
                for series in sheet.series:
                    _merge(totals, series)
            totals["gauge", WORKERS, ()] = [float(self._workers)]
        for role, count in self._restarts().items():
            totals["counter", RESTARTS[role], ()] = [float(count)]
        return totals

    def _sheets(self) -> list[Sheet]:
        """The pages of the living. Those of the dead are absorbed on the way."""
        live: list[Sheet] = []
        self._workers = 0
        dead: list[tuple[Path, Sheet]] = []
        for path in sorted(self._run.glob("page-*.bin")):
            sheet = read(path)
            if sheet is None:
                continue
            if sheet.dead:
                dead.append((path, sheet))
            else:
                live.append(sheet)
                self._workers += path.name.split("-")[1].isdigit()
        if dead:
            self._absorb(dead)
        return live

    def _absorb(self, dead: list[tuple[Path, Sheet]]) -> None:
        for _, sheet in dead:
            if sheet.id in self._absorbed:
                continue
            self._absorbed.add(sheet.id)
            for series in sheet.series:
                if series.kind != "gauge":
                    _merge(self._base, series)
                elif series.name == HELD and series.values[0] > 0:
                    LOG.error("process %d was killed with %d records that nobody has", sheet.pid, series.values[0])
                    _merge(self._base, Series("counter", LOST, (), series.values))
        if not self._save():
            return  # a full disk: the pages stay, and are known to be in the base
        for path, sheet in dead:
            with suppress(OSError):
                path.unlink(missing_ok=True)
                self._absorbed.discard(sheet.id)

    @property
    def _base_path(self) -> Path:
        return self._run / "base.json"

    def _save(self) -> bool:
        series = [[kind, name, labels, values] for (kind, name, labels), values in self._base.items()]
        draft = self._base_path.with_suffix(".new")
        try:
            draft.write_bytes(orjson.dumps({"absorbed": sorted(self._absorbed), "series": series}))
            os.replace(draft, self._base_path)
        except OSError:
            return False
        return True

    def _load(self) -> None:
        """A base that cannot be read is a base that is not there."""
        try:
            found = orjson.loads(self._base_path.read_bytes())
            absorbed = {str(one) for one in found["absorbed"]}
            base: Totals = {
                (kind, name, tuple((label, value) for label, value in labels)): [float(value) for value in values]
                for kind, name, labels, values in found["series"]
            }
        except (OSError, ValueError, TypeError, KeyError):
            return
        self._absorbed, self._base = absorbed, base

    def _restarts(self) -> dict[str, int]:
        """What the supervisor counted."""
        try:
            found = orjson.loads((self._run / "restarts.json").read_bytes())
            return {role: int(found.get(role, 0)) for role in RESTARTS}
        except (OSError, ValueError, TypeError, AttributeError):
            return dict.fromkeys(RESTARTS, 0)


def _merge(totals: Totals, series: Series) -> None:
    key = (series.kind, series.name, series.labels)
    present = totals.get(key)
    if present is None or len(present) != len(series.values):
        totals[key] = list(series.values)
        return
    how = METRICS[series.name].merge if series.name in METRICS else "sum"
    if series.kind == "gauge" and how != "sum":
        present[0] = (max if how == "max" else min)(present[0], series.values[0])
        return
    for index, value in enumerate(series.values):
        present[index] += value


def _family(metric: Metric, rows: Rows) -> Family:
    names = [label for label, _ in rows[0][0]]
    family: Any
    if metric.kind == "counter":
        family = CounterMetricFamily(metric.name, metric.help, labels=names)
    elif metric.kind == "gauge":
        family = GaugeMetricFamily(metric.name, metric.help, labels=names)
    else:
        family = HistogramMetricFamily(metric.name, metric.help, labels=names)
    for labels, values in rows:
        texts = [value for _, value in labels]
        if metric.kind == "histogram":
            family.add_metric(texts, _cumulative(metric.buckets, values), values[-1])
        else:
            family.add_metric(texts, values[0])
    return family  # type: ignore[no-any-return]  # one of the three, which share no better type


def _cumulative(bounds: tuple[float, ...], values: list[float]) -> list[tuple[str, float]]:
    """Prometheus wants each bucket to hold all that is below it too."""
    rows: list[tuple[str, float]] = []
    total = 0.0
    for bound, count in zip((*(str(bound) for bound in bounds), "+Inf"), values, strict=False):
        total += count
        rows.append((bound, total))
    return rows
