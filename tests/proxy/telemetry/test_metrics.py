"""The table of metrics: well formed, and everything anybody counts is in it."""

from __future__ import annotations

import re
from pathlib import Path

from proxy.telemetry.metrics import METRICS, WORDS

ROOT = Path(__file__).parents[3]


def test_names_are_in_base_units_and_counters_end_in_total() -> None:
    for metric in METRICS.values():
        assert re.fullmatch(r"weir_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert (metric.kind == "histogram") == bool(metric.buckets) == metric.name.endswith("_seconds")
        assert metric.buckets == tuple(sorted(set(metric.buckets)))
        assert metric.help.endswith("." if "..." not in metric.help else "...")
        assert len(metric.labels) == len(set(metric.labels))


def test_every_metric_that_the_code_names_is_in_the_table() -> None:
    used = {
        name
        for folder in ("proxy", "plugins")
        for path in (ROOT / folder).rglob("*.py")
        for name in re.findall(r'"(weir_[a-z_]+(?:_total|_seconds|_in_flight|_version|_workers))"', path.read_text())
    }
    assert used
    assert used <= set(METRICS)


def test_the_words_of_the_figures_are_defined() -> None:
    for word in ("response time", "time to first token", "error", "availability", "active agents", "total agents"):
        assert WORDS[word].endswith(".")
