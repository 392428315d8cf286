"""Ten thousand names that callers make up: series stay bounded, and no text of a call becomes one."""

from __future__ import annotations

import random
import string
from pathlib import Path

from plugins.metering import KINDS, Metering, MeteringOptions
from proxy.exchange import Finding, Response, Target, Usage
from proxy.telemetry.page import SERIES_PER_METRIC, Page, read
from tests import kit

CALLS = 10_000
TEXT = "canary-text-of-a-prompt"


async def test_names_that_callers_make_up_make_no_more_series_than_are_allowed(tmp_path: Path) -> None:
    drawn = random.Random(7)
    path = tmp_path / "page-0-1.bin"
    page = Page(path)
    settings = kit.snapshot(resolve=lambda plugin, agent, variant: MeteringOptions())
    metering = Metering(kit.kit(metrics=page))  # type: ignore[arg-type]

    def name() -> str:
        return "".join(drawn.choices(string.printable, k=drawn.randint(1, 60)))

    for number in range(CALLS):
        doc = {"model": name(), "messages": [{"role": "user", "content": f"{TEXT} {number}"}]}
        call = kit.exchange(settings, doc, agent=name(), user=name(), session=name())
        call.request.path = f"/v1/{name()}"
        call.target = Target("sim", name())
        call.attempts = 1
        call.response = Response(usage=Usage(input=1, output=1), usage_source="provider", model=name(), complete=True)
        call.request.uninspected = [drawn.choice(("image", "audio"))]
        call.find(Finding("g", drawn.choice(("a", "b")), "high", drawn.choice(("refuse", "would refuse"))))
        call.step("g", "request", f"edited {number}")
        await metering.finish(call)
    assert len(metering._series) <= KINDS
    sheet = read(path)
    assert sheet is not None
    by_name: dict[str, int] = {}
    for series in sheet.series:
        by_name[series.name] = by_name.get(series.name, 0) + 1
    assert by_name["weir_requests_total"] > 100
    few = 16  # labels with few values stay as they are beyond the bound
    assert {name: count for name, count in by_name.items() if count > SERIES_PER_METRIC + few} == {}
    assert TEXT.encode() not in path.read_bytes()
