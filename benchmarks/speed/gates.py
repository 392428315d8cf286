"""What must be reached, and whether it is: a gate is decided by the interval, and near it only by many pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from benchmarks.speed.cases import CASES
from benchmarks.speed.figures import Interval, differences, interval, ratios
from benchmarks.speed.measure import Measured
from benchmarks.speed.starting import Starts

Verdict = Literal["reached", "missed", "not decided", "likely reached", "likely missed"]
NEAR, PAIRS, SURE = 1.3, 30, 0.9
"""Differences below this factor mean nothing by themselves; this many interleaved pairs decide about them.
An interval that is less sure (fewer than five rounds) decides nothing, but is told."""


@dataclass(frozen=True, slots=True)
class Gate:
    """A figure of `case` (or of the start: `figure`), of Weir or of the plugins that it carries, to `beside`'s."""

    what: str
    case: str
    most: float
    stretch: float | None = None
    of: Literal["weir", "looking", "guarded", "cached", "saving"] = "weir"
    beside: str = "bare"
    figure: str = ""

    @property
    def needs(self) -> tuple[str, ...]:
        """The subjects that decide it."""
        return ("provider", self.beside, "weir", *((self.of,) if self.of != "weir" else ()))


@dataclass(frozen=True, slots=True)
class Decision:
    gate: Gate
    found: Interval | None
    verdict: Verdict
    stretch: Verdict | None


_RATIOS = (
    Gate("CPU per JSON call, 1.5 KB", "json-1.5", 0.65, 0.40),
    Gate("CPU per JSON call, 50 KB", "json-50", 0.80, 0.60),
    Gate("CPU per 50-chunk burst stream", "burst", 0.80, 0.65),
    Gate("CPU per chunk of a paced stream", "paced", 0.60, 0.45),
    Gate("latency added, one call at a time", "c1", 0.85, 0.65),
    Gate("ten looking plugins add, 1.5 KB", "json-1.5", 0.10, 0.05, "looking"),
    Gate("ten looking plugins add, 50 KB", "json-50", 0.10, 0.05, "looking"),
    Gate("ten looking plugins add, burst stream", "burst", 0.10, 0.05, "looking"),
    Gate("ten looking plugins add, paced chunk", "paced", 0.10, 0.05, "looking"),
    Gate("guards on, 1.5 KB of new text", "guards", 2.5, 1.6, "guarded"),
    Gate("guards on, next turn of 20", "guards-next", 1.0, 0.8, "guarded"),
    Gate("guards on, stream with restore", "guards-stream", 1.8, 1.2, "guarded"),
    Gate("exact hit: 2.5 times the calls/s", "hit", 0.40, 0.25, "cached"),
    Gate("exact hit, stream", "hit-stream", 0.40, 0.25, "cached"),
    Gate("cache, routing and compression add to a miss", "miss", 0.40, 0.20, "saving"),
)
_TLS = tuple(
    Gate(f"{gate.what}, TLS 1.3", f"{gate.case}-tls", gate.most, gate.stretch, gate.of)
    for gate in _RATIOS if f"{gate.case}-tls" in {case.key for case in CASES}
)  # fmt: skip
_STARTS = (
    Gate("memory of all processes, MB", "start", 120, 95, figure="pss_mb"),
    Gate("memory of the worker alone, MB", "start", 55, 45, figure="worker_mb"),
    Gate("memory with one token table, MB", "start", 160, 140, figure="table_mb"),
    Gate("start to first answer, s", "start", 1.0, 0.6, figure="start_s"),
)
_PEERS = (
    Gate("CPU per call, of Ferro's", "json-1.5", 0.5, beside="ferro"),
    Gate("CPU per call, of Portkey's", "json-1.5", 0.1, beside="portkey"),
    Gate("CPU per call, of LiteLLM's", "json-1.5", 0.01, beside="litellm"),
)
GATES = (*_RATIOS, *_TLS, *_STARTS, *_PEERS)


@dataclass(slots=True)
class Found:
    """All that was measured in a run."""

    cases: dict[str, Measured] = field(default_factory=dict)
    starts: Starts = field(default_factory=dict)


def decisions(found: Found) -> list[Decision]:
    """For what was measured in this run; nothing is said about the rest."""
    made = [(gate, interval(values(gate, found))) for gate in GATES]
    return [
        Decision(gate, seen, verdict(gate, seen, gate.most), _stretch(gate, seen))
        for gate, seen in made if seen is not None
    ]  # fmt: skip


def _stretch(gate: Gate, seen: Interval) -> Verdict | None:
    return None if gate.stretch is None else verdict(gate, seen, gate.stretch)


def values(gate: Gate, found: Found) -> list[float]:
    """Round by round."""
    if gate.figure:
        return [value for value in found.starts.get("weir", {}).get(gate.figure, []) if value is not None]
    measured = found.cases.get(gate.case)
    if measured is None:
        return []
    beside = _subject(gate.beside, measured.samples)
    ours: Sequence[float | None] = measured.added(gate.of)
    if gate.of == "looking" or gate.case == "miss":
        ours = differences(ours, measured.added("weir"))
    return ratios(ours, measured.added(beside))


def _subject(name: str, there: Mapping[str, object]) -> str:
    """A peer's key may say more than its name."""
    return next((key for key in there if key == name), next((key for key in there if key.startswith(name)), name))


def verdict(gate: Gate, seen: Interval, limit: float) -> Verdict:
    if not gate.figure and near(seen, limit) and seen.rounds < PAIRS:
        return "not decided"
    if seen.high <= limit:
        return "reached" if seen.sure >= SURE else "likely reached"
    if seen.low > limit:
        return "missed" if seen.sure >= SURE else "likely missed"
    return "not decided"


def near(seen: Interval, limit: float) -> bool:
    return limit / NEAR < seen.median < limit * NEAR


def undecided(case: str, found: Found) -> set[str]:
    """The subjects that need more rounds of this case, because a gate is near."""
    needed: set[str] = set()
    for gate in GATES:
        seen = interval(values(gate, found)) if gate.case == case and not gate.figure else None
        if seen is not None and verdict(gate, seen, gate.most) == "not decided" and seen.rounds < PAIRS:
            needed.update(gate.needs)
    return needed
