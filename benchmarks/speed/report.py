"""A run's document as a table for the terminal, and as Markdown for pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.speed.starting import FIGURES

Json = dict[str, Any]
Row = tuple[str, ...]
COLUMNS = ("case", "relay", "", "of bare", "calls/s", "p50 ms", "p99 ms", "1st byte", "own ms")
GATES = ("gate", "at most", "stretch", "found", "rounds", "verdict", "stretch is")
NOTES = (
    "Medians over rounds taken in turn; in brackets the 95 % interval of the median (sign test). `of bare`: to the "
    "bare aiohttp relay of the same round. `ms added`: to the provider's own; p50, p99, 1st byte: as callers saw it. "
    "`own ms`: Weir's own share by its own clock, which also counts waiting for the core.",
    "`>` before calls/s: the relay was idle for part of the time, so it can do more. Gates nearer than 1.3x are "
    "decided by 30 pairs and more, else not decided. CPU: all threads of all processes, by the scheduler's own clock.",
)


def text(document: Json) -> str:
    """For the terminal."""
    made = [about(document), ""]
    for title, columns, rows in _tables(document):
        made += [title, *_aligned([columns, *rows]), ""]
    return "\n".join([*made, *NOTES])


def markdown(document: Json) -> str:
    made = [f"_{about(document)}_", ""]
    for title, columns, rows in _tables(document):
        made += [f"**{title}**", "", _line(columns), _line(["---", *["---:"] * (len(columns) - 1)])]
        made += [*map(_line, rows), ""]
    return "\n".join([*made, " ".join(NOTES), ""])


def about(document: Json) -> str:
    machine = document["machine"]
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}"
    return f"{where}; {machine['pinned']}; commit {machine['commit']}, {machine['date']}; {document['mode']}"


def _tables(document: Json) -> Iterator[tuple[str, Row, list[Row]]]:
    if document["cases"]:
        yield "What a call costs", COLUMNS, list(_cases(document))
    if document["start"]:
        yield "Start and memory", ("relay", *FIGURES.values()), list(_starts(document))
    if document["gates"]:
        yield "Gates", GATES, [_gate(gate) for gate in document["gates"]]
    if missing := document["missing"]:
        yield "Not measured", ("relay", "why"), [(name, why) for name, why in missing.items()]


def _cases(document: Json) -> Iterator[Row]:
    for case in document["cases"]:
        title = case["title"]
        for subject, one in case["subjects"].items():
            unit = "ms" if subject == "provider" else case["unit"]
            shown = f"{number(one['value']['median'])} {unit}"
            calls = ("" if one["bound"] == "relay" else ">") + number(one.get("calls_s"))
            calls = calls if case["unit"] == "CPU us/call" else ""
            rest = (number(one.get(figure)) for figure in ("p50_ms", "p99_ms", "first_ms", "own_ms"))
            yield title, document["subjects"].get(subject, subject), shown, span(one["ratio"]), calls, *rest
            title = ""
        for subject, why in case["why"].items():
            yield title, document["subjects"].get(subject, subject), why, "", "", "", "", "", ""
            title = ""


def _starts(document: Json) -> Iterator[Row]:
    for subject, figures in document["start"].items():
        yield document["subjects"].get(subject, subject), *(span(figures.get(figure)) for figure in FIGURES)


def _gate(gate: Json) -> Row:
    found, stretch = gate["found"], gate["stretch"]
    return (gate["what"], number(gate["most"]), number(stretch), span(found), str(found["rounds"]), gate["verdict"],
            gate["stretch_verdict"] or "")  # fmt: skip


def span(interval: Json | None) -> str:
    if interval is None:
        return ""
    return f"{number(interval['median'])} [{number(interval['low'])}, {number(interval['high'])}]"


def number(value: float | None) -> str:
    """Three digits that mean something, and no exponent."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.095 else f"{value:.3f}"


def _aligned(rows: list[Row]) -> list[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) if at < 2 else cell.rjust(width)
                  for at, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]  # fmt: skip


def _line(cells: Row | list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
