"""A run's document as one SVG: CPU per call of everyone, and Weir's share of the bare relay's, case by case."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape

from benchmarks.speed.report import about, number

Json = dict[str, Any]
WIDTH, LEFT, RIGHT, ROW = 860, 250, 110, 24
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#24292f}.small{font-size:11px;fill:#57606a}.bar{fill:#9db8d2}"
    ".ours{fill:#0b6bcb}.line{stroke:#57606a;stroke-width:1}.gate{stroke:#c62828;stroke-width:2}"
    ".span{stroke:#24292f;stroke-width:1.5}.title{font-weight:600}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}.bar{fill:#4a6078}.ours{fill:#58a6ff}"
    ".line{stroke:#9198a1}.gate{stroke:#ff7b72}.span{stroke:#e6edf3}}"
)
OURS = ("weir", "looking", "watching", "unaudited", "guarded")


def svg(document: Json) -> str:
    drawn: list[str] = []
    at = 30
    for panel in (_costs(document), _shares(document)):
        for piece, height in panel:
            drawn.append(f'<g transform="translate(0 {at})">{piece}</g>')
            at += height
        at += 14 if drawn else 0
    where, _, how = about(document).partition("; ")
    for line in (where, how):
        drawn.append(f'<text class="small" x="10" y="{at}">{escape(line)}</text>')
        at += 16
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {at}" role="img"><style>{STYLE}</style>'
    return head + "\n".join(drawn) + "</svg>\n"


def _costs(document: Json) -> Iterator[tuple[str, int]]:
    """CPU per small JSON call, on a logarithmic scale: others may cost a hundred times as much."""
    case = next((case for case in document["cases"] if case["key"] == "json-1.5"), None)
    if case is None:
        return
    costs = {key: one["value"]["median"] for key, one in case["subjects"].items() if key != "provider"}
    most, least = max(costs.values()), min(10.0, *costs.values())
    reach = math.log(most / least) or 1.0
    yield _text(10, "CPU microseconds per JSON call of 1.5 KB (logarithmic; less is better)", "title"), ROW
    for key, cost in sorted(costs.items(), key=lambda pair: pair[1]):
        wide = (WIDTH - LEFT - RIGHT) * math.log(cost / least) / reach
        name = document["subjects"].get(key, key)
        yield _row(name, max(2.0, wide), number(cost), ours=key in OURS), ROW


def _shares(document: Json) -> Iterator[tuple[str, int]]:
    """To the bare relay, with the interval and the gate."""
    shown = [
        (case, one["ratio"]) for case in document["cases"] if (one := case["subjects"].get("weir")) and one["ratio"]
    ]
    if not shown:
        return
    gates = {gate["case"]: gate["most"] for gate in document["gates"] if gate["of"] == "weir" and gate["to"] == "bare"}
    scale = (WIDTH - LEFT - RIGHT) / max(1.0, *(ratio["high"] for _, ratio in shown))
    title = "Weir to a bare aiohttp relay (1: grey line; red: the gate; thin: 95 % interval; less is better)"
    yield _text(10, title, "title"), ROW
    for case, ratio in shown:
        marks = _mark(LEFT + scale, "line") + (
            _mark(LEFT + scale * gates[case["key"]], "gate") if case["key"] in gates else ""
        )
        low, high = (LEFT + scale * max(0.0, ratio[end]) for end in ("low", "high"))
        marks += f'<line class="span" x1="{low:.1f}" x2="{high:.1f}" y1="-4" y2="-4"/>'
        bar = _row(case["title"], max(1.0, scale * ratio["median"]), number(ratio["median"]), ours=True)
        yield bar + marks, ROW


def _row(name: str, wide: float, said: str, *, ours: bool) -> str:
    kind = "ours" if ours else "bar"
    label = f'<text x="{LEFT - 8}" y="0" text-anchor="end">{escape(name)}</text>'
    bar = f'<rect class="{kind}" x="{LEFT}" y="-11" width="{wide:.1f}" height="14" rx="2"/>'
    return label + bar + f'<text x="{WIDTH - 10}" y="0" text-anchor="end">{said}</text>'


def _text(x: int, said: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x}" y="0">{escape(said)}</text>'


def _mark(x: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="-13" y2="5"/>'
