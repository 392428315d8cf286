"""A run's document: shown as text, Markdown and SVG, and published."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import orjson
import pytest

from benchmarks.speed import publish
from benchmarks.speed.cases import CASES, START, chosen
from benchmarks.speed.gates import Found
from benchmarks.speed.machine import machine, split
from benchmarks.speed.measure import Measured, streams
from benchmarks.speed.plot import svg
from benchmarks.speed.report import markdown, number, text
from benchmarks.speed.results import document

CASE = next(case for case in CASES if case.key == "json-1.5")
SLOW = next(case for case in CASES if case.key == "c1")


def run(*, peers: bool = False, whole: bool = True) -> dict[str, Any]:
    def samples(cpu_us: float, p50_ms: float) -> list[Any]:
        return [{"cpu_us": cpu_us, "p50_ms": p50_ms, "calls_s": 5000.0, "busy": 0.95}] * 3

    both = {"bare": samples(200, 0.5), "weir": samples(100, 0.4), "provider": samples(9, 0.1)}
    cases = {case.key: Measured(case, dict(both)) for case in (CASE, SLOW)}
    cases["json-1.5"].why["litellm"] = "4 of 4 calls failed"
    found = Found(cases, {"weir": {"start_s": [0.5, 0.6, 0.7], "pss_mb": [100.0], "worker_mb": [50.0], "table_mb": []}})
    about = {"machine": machine().fields(), "mode": "3 rounds", "peers": peers, "whole": whole, "took_s": 1}
    return document(found, {"weir": "Weir", "bare": "bare <relay>"}, {"Ferro": "cannot be had"}, about)


def test_the_ratio_and_the_verdict_are_told() -> None:
    for told in (text(run()), markdown(run())):
        assert "0.50 [0.50, 0.50]" in told
        assert "0.75 [0.75, 0.75]" in told  # latencies: what is added to the provider's
        assert "not decided" in told
        assert "cannot be had" in told
        assert "4 of 4 calls failed" in told


def test_the_plot_is_well_formed_and_has_a_dark_side() -> None:
    drawn = svg(run())
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    assert "prefers-color-scheme:dark" in drawn


def test_an_empty_run_can_be_shown() -> None:
    bare = document(Found(), {}, {}, {"machine": machine().fields(), "mode": "", "peers": False, "whole": False})
    assert text(bare)
    assert ElementTree.fromstring(svg(bare)).tag.endswith("svg")


@pytest.mark.parametrize(
    ("value", "said"), [(None, ""), (12345.6, "12,346"), (99.94, "99.9"), (0.5, "0.50"), (0.0312, "0.031")]
)
def test_numbers_are_short(value: float | None, said: str) -> None:
    assert number(value) == said


def test_the_newest_whole_run_is_published(tmp_path: Path) -> None:
    for name, whole, mode in (("2026-01-01", True, "old"), ("2026-01-02", True, "new"), ("2026-01-03", False, "part")):
        (tmp_path / f"{name}.json").write_bytes(orjson.dumps({**run(whole=whole), "mode": mode}))
    assert publish.publish("", tmp_path) == 0
    assert orjson.loads((tmp_path / "latest.json").read_bytes())["mode"] == "new"
    assert (tmp_path / "latest.md").exists()
    assert (tmp_path / "latest.svg").exists()


def test_runs_with_peers_have_their_own_place(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_bytes(orjson.dumps(run(peers=True)))
    assert publish.publish("", tmp_path) == 0
    assert {path.name for path in tmp_path.glob("peers.*")} == {"peers.json", "peers.md", "peers.svg"}
    assert publish.publish("", tmp_path / "nowhere") == 1


def test_rows_are_chosen_by_their_names() -> None:
    assert [case.key for case in chosen(f"c1,json-1.5,{START}", quick=False)] == ["json-1.5", "c1"]
    assert {case.headline for case in chosen("", quick=True)} == {True}
    with pytest.raises(SystemExit, match="no such case: jsno"):
        chosen("jsno", quick=False)


def test_slow_relays_get_fewer_streams() -> None:
    assert streams(50, 5000.0) == 50
    assert streams(50, 60.0) == 1


def test_nobody_is_pinned_where_there_is_one_core() -> None:
    assert split([3]) == (frozenset(), frozenset())
    assert split([0, 1]) == (frozenset({0}), frozenset({1}))
