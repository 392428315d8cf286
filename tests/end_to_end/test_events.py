"""Security events and the coverage matrix from a Weir that runs: what a guard found is told by the admin port."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.serving import Served, provided, serve

CHAIN = """\
plugins:
  - audit
  - metering
  - probe: {uses: tests.probes:Probe, on_error: closed, options: {does: refuse, side: request}}
  - asks: {uses: tests.probes:Asks, mode: shadow, options: {does: refuse, word: robin, side: request}}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    place = tmp_path_factory.mktemp("events")
    (place / "weir.yaml").write_text(CHAIN)
    with provided() as provider, serve(provider, place / "data", "--config", str(place / "weir.yaml")) as weir:
        yield weir


def events(weir: Served, query: str = "") -> list[dict[str, Any]]:
    found = weir.admin(f"/admin/v1/events?limit=1000{query}")
    data: list[dict[str, Any]] = found["data"] if found else []
    return data


def test_what_guards_found_is_told_counted_and_in_the_trail(running: Served) -> None:
    refused = running.ask("hear the canary")
    assert refused[0] == 400
    assert running.ask("hear the robin")[0] == 200
    assert running.ask("hear nothing")[0] == 200
    shadow, enforced = running.until(lambda: len(found := events(running)) == 2 and found, "the events")
    assert (enforced["call"], enforced["plugin"], enforced["mode"]) == (
        refused[2]["x-weir-request-id"], "probe", "enforce",
    )  # fmt: skip
    assert (enforced["type"], enforced["severity"], enforced["action"]) == ("word", "high", "refuse")
    assert (enforced["score"], enforced["reasons"], enforced["counts"]) == (0.9, ["rule 9", "user"], {"WORD": 1})
    assert (enforced["recommended"], enforced["agent"]) == ("review", "default")
    assert (shadow["plugin"], shadow["mode"], shadow["action"]) == ("asks", "shadow", "refuse")
    assert events(running, "&plugin=asks") == [shadow]
    assert events(running, "&severity=low") == []
    running.until(lambda: running.metrics().get("weir_findings_total") == 2, "the metric")
    entries = running.admin("/admin/v1/audit?action=llm.call")["data"]
    assert ["probe", "word", "refuse", "high", 0.9, {"WORD": 1}] in [
        found for entry in entries for found in entry["metadata"]["findings"]
    ]
    assert running.admin("/admin/v1/audit/verify")["ok"]
    assert "canary" not in str(events(running)) + str(entries)


def test_the_matrix_is_that_of_the_settings_in_use(running: Served) -> None:
    told = running.admin("/admin/v1/coverage")
    assert {(guard["name"], guard["state"]) for guard in told["guards"]} == {("probe", "enforce"), ("asks", "shadow")}
    rows = {(row["surface"], row["form"], row["side"], row["position"]): row["guards"] for row in told["data"]}
    assert rows["chat", "stream", "answer", "tool_arguments"] == {"probe": "enforce", "asks": "off"}
    assert rows["messages", "json", "request", "tool_result"] == {"probe": "enforce", "asks": "shadow"}
    assert {(one["what"], one["policy"], one["by"]) for one in told["uninspected"]} >= {("image", "refuse", "probe")}
