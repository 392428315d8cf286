"""Money told by a Weir that runs: prices of one's own, what was saved and spent, and a provider's export beside it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.cli import main
from tests.serving import Served, provided, serve

CONFIG = """\
plugins:
  metering: {}
  variants:
    options:
      tests: [{name: t, unit: user, variants: [{name: a, model: json-30}]}]
  spares: {uses: "tests.spares:Spares"}
"""
PRICES = "prices:\n  - {model: json-*, input: 2, output: 1000}\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("money")
    (found / "weir.yaml").write_text(CONFIG)
    (found / "prices.yaml").write_text(PRICES)
    return found


@pytest.fixture(scope="module")
def running(place: Path) -> Iterator[Served]:
    with provided() as provider, serve(provider, place / "data", "--config", str(place / "weir.yaml")) as weir:
        yield weir


def test_money_is_told_from_the_call_to_the_export(
    running: Served, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, headers = running.ask("hear me")
    assert (status, headers["x-weir-variant"], headers["x-weir-model"]) == (200, "t=a", "json-30")
    spent = running.until(lambda: (found := running.admin("/admin/v1/usage")["data"]) and found, "the usage")[0]
    assert (spent["model"], spent["calls"], spent["unpriced"]) == ("json-30", 1, 0)
    assert spent["usd"] == pytest.approx((2 * spent["input_tokens"] + 1000 * spent["output_tokens"]) / 1e6, abs=1e-9)
    told = running.admin("/admin/v1/savings")
    assert [(one["plugin"], one["mode"], one["input_tokens"], one["usd"]) for one in told["data"]] == [
        ("spares", "enforce", 7, -0.001)
    ]
    assert told["spent"]["without_usd"] == pytest.approx(spent["usd"] - 0.001)
    url = ("--url", f"http://127.0.0.1:{running.admin_port}")
    assert main(["savings", *url]) == 0
    assert "more was spent" in capsys.readouterr().out
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    export = place / "export.csv"
    row = f"{day},json-30,{spent['input_tokens']},{spent['output_tokens']},{spent['usd']}"
    export.write_text(f"date,model,input_tokens,output_tokens,cost_usd\n{row}\n")
    assert main(["reconcile", str(export), *url]) == 0
    export.write_text(export.read_text().replace(f",{spent['output_tokens']},", ",900,"))
    assert main(["reconcile", str(export), "--json", *url]) == 1
    out = capsys.readouterr().out
    assert json.loads(out[out.index("{") :])["data"][0]["state"] == "differs"


def test_prices_that_change_hold_from_the_next_calls_on_and_wrong_ones_change_nothing(
    running: Served, place: Path
) -> None:
    def usd() -> float:
        return float(running.ask("hear me")[2]["x-weir-cost-usd"])

    before = usd()
    (place / "prices.yaml").write_text("prices: 3\n")
    running.until(lambda: running.metrics()["weir_settings_rejected_total"], "the refusal")
    assert usd() == before
    (place / "prices.yaml").write_text(PRICES.replace("1000", "3000"))
    running.until(lambda: usd() > before, "the new price")
