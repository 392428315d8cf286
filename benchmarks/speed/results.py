"""A run's figures as one JSON document: what is kept, shown and drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.speed.figures import interval, ratios
from benchmarks.speed.gates import Decision, Found, decisions
from benchmarks.speed.measure import Measured

Json = dict[str, Any]
BOUND = 0.9
"""A relay that kept its core less busy than this could have done more than it was given."""
ALONGSIDE = ("calls_s", "p50_ms", "p99_ms", "first_ms", "own_ms", "busy", "reads", "stream_us")


def document(found: Found, names: Mapping[str, str], why: Mapping[str, str], about: Mapping[str, Any]) -> Json:
    """`about` says where, when and how it was measured; `why`, who could not be."""
    return {
        **about,
        "subjects": dict(names),
        "missing": dict(why),
        "gates": [_gate(one) for one in decisions(found)],
        "start": {
            subject: {figure: _interval(values) for figure, values in figures.items()}
            for subject, figures in found.starts.items()
        },
        "cases": [_case(measured) for measured in found.cases.values()],
    }


def _gate(decision: Decision) -> Json:
    gate = decision.gate
    return {"what": gate.what, "case": gate.case, "most": gate.most, "stretch": gate.stretch,
            "of": gate.of, "to": gate.beside,
            "found": None if decision.found is None else _rounded(asdict(decision.found)),
            "verdict": decision.verdict, "stretch_verdict": decision.stretch}  # fmt: skip


def _case(measured: Measured) -> Json:
    case = measured.case
    shown = {subject: _subject(measured, subject) for subject in measured.samples}
    return {"key": case.key, "title": case.title, "unit": case.unit, "tls": case.tls, "why": measured.why,
            "subjects": {subject: one for subject, one in shown.items() if one is not None}}  # fmt: skip


def _subject(measured: Measured, subject: str) -> Json | None:
    value = _interval(measured.added(subject))
    if value is None:
        return None
    ratio = None
    if subject not in ("bare", "provider"):
        ratio = _interval(ratios(measured.added(subject), measured.added("bare")))
    told: Json = {"value": value, "ratio": ratio}
    for figure in ALONGSIDE:
        seen = interval([number for number in measured.series(subject, figure) if number is not None])
        if seen is not None:
            told[figure] = _digits(seen.median)
    told["bound"] = "relay" if told.get("busy", 0.0) >= BOUND else "caller"
    told["rounds"] = [None if number is None else _digits(number) for number in measured.added(subject)]
    told["failed"] = sum(one is None for one in measured.samples[subject])
    return told


def _interval(values: Sequence[float | None]) -> Json | None:
    seen = interval([value for value in values if value is not None])
    return None if seen is None else _rounded(asdict(seen))


def _rounded(fields: Json) -> Json:
    return {name: _digits(value) if isinstance(value, float) else value for name, value in fields.items()}


def _digits(value: float) -> float:
    return float(f"{value:.4g}")
