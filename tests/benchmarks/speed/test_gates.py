"""Verdicts: by the interval, and near the gate only by many pairs."""

from __future__ import annotations

import pytest

from benchmarks.speed.cases import CASES
from benchmarks.speed.figures import Interval
from benchmarks.speed.gates import GATES, PAIRS, Found, Gate, decisions, undecided, values, verdict
from benchmarks.speed.measure import Measured, Sample

GATE = Gate("CPU", "json-1.5", 0.65, 0.40)
CASE = next(case for case in CASES if case.key == "json-1.5")


def found(weir_us: float, rounds: int, *, looking_us: float = 0.0) -> Found:
    def samples(cpu_us: float) -> list[Sample | None]:
        return [{"cpu_us": cpu_us + number / 1000} for number in range(rounds)]

    measured = Measured(CASE, {"bare": samples(200.0), "weir": samples(weir_us)})
    if looking_us:
        measured.samples["looking"] = samples(looking_us)
    return Found({"json-1.5": measured})


@pytest.mark.parametrize(
    ("median", "low", "high", "rounds", "said"),
    [
        (0.30, 0.28, 0.33, 7, "reached"),
        (0.30, 0.28, 0.70, 7, "not decided"),
        (0.90, 0.88, 0.93, 7, "missed"),
        (0.60, 0.59, 0.61, 7, "not decided"),
        (0.60, 0.59, 0.61, PAIRS, "reached"),
        (0.68, 0.67, 0.69, PAIRS, "missed"),
        (0.64, 0.62, 0.66, PAIRS, "not decided"),
    ],
)
def test_a_gate_is_decided_by_the_interval(median: float, low: float, high: float, rounds: int, said: str) -> None:
    assert verdict(GATE, Interval(median, low, high, rounds, 0.95), 0.65) == said


def test_few_rounds_decide_nothing() -> None:
    assert verdict(GATE, Interval(0.30, 0.28, 0.33, 3, 0.75), 0.65) == "likely reached"
    assert verdict(GATE, Interval(0.90, 0.88, 0.93, 3, 0.75), 0.65) == "likely missed"


def test_figures_that_are_no_ratios_need_no_pairs() -> None:
    gate = Gate("memory", "start", 120, figure="pss_mb")
    assert verdict(gate, Interval(110, 109, 111, 5, 0.94), 120) == "reached"


def test_ratios_are_taken_round_by_round() -> None:
    assert values(GATE, found(100.0, 3)) == pytest.approx([0.5, 0.5, 0.5], rel=1e-4)


def test_plugins_are_charged_what_they_add() -> None:
    gate = Gate("looking", "json-1.5", 0.10, 0.05, "looking")
    assert values(gate, found(100.0, 3, looking_us=110.0)) == pytest.approx([0.05] * 3, rel=1e-3)


def test_a_gate_nearby_asks_for_more_rounds_of_those_that_decide_it() -> None:
    assert undecided("json-1.5", found(130.0, 7)) == {"provider", "bare", "weir"}
    assert undecided("json-1.5", found(60.0, 7)) == set()
    assert undecided("json-1.5", found(130.0, PAIRS)) == set()


def test_nothing_is_said_of_what_was_not_measured() -> None:
    told = decisions(found(70.0, 7))
    assert [one.gate.what for one in told] == ["CPU per JSON call, 1.5 KB"]
    assert (told[0].verdict, told[0].stretch) == ("reached", "not decided")


def test_every_gate_has_its_row() -> None:
    assert {gate.case for gate in GATES} <= {case.key for case in CASES} | {"start"}
