"""`weir savings`, against an admin port that is told what to say."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from proxy.cli import main
from proxy.commands.admin import Admin
from proxy.control.money import Money
from proxy.findings import Saving
from proxy.store.history import History
from tests.kit import FakeClock
from tests.proxy.control.test_money import MILLI, call

PLACE = ("--url", "http://127.0.0.1:9")


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The questions, answered from records."""
    history = History(tmp_path / "executions", FakeClock())
    free = {"usage_source": "cached", "cost_nano_usd": 0, "attempts": 0, "cache": "HIT"}
    history.write([
        call(1, output_tokens=600, bytes_out=5000), call(2, Saving("cache", "hit", 150, 10, 4 * MILLI), **free),
        call(3, Saving("compression", "json", 40, 0, -MILLI, "values\x1b[31m kept")),
        call(4, Saving("routing", "routed", nano_usd=MILLI, mode="shadow"), cost_nano_usd=None),
    ])  # fmt: skip
    told: list[str] = []

    def answer(admin: Admin, method: str, path: str, body: Any = None, timeout_s: float = 0.0) -> Any:
        told.append(path)
        split = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        return asyncio.run(getattr(Money(history), split.path.rpartition("/")[2])(query))

    monkeypatch.setattr(Admin, "call", answer)
    return told


def test_what_was_saved_is_told_beside_what_was_spent(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["savings", "--since", "2023-11-15", "--by", "kind", *PLACE]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[:6] == [
        "4 calls took $0.0080 and 450 tokens in, 620 out.",
        "Without Weir they would have taken $0.0110 (27.3% saved) and 1,270 tokens (15.7% saved).",
        "In shadow another $0.0010 and 0 tokens in, 0 out would have been saved.",
        "1 calls have no known price: their money is in none of these figures.",
        "The cache had 1 HIT, 3 MISS: 25.0% of those it could have answered; 25.0% of all calls.",
        "",
    ]
    rows = [line.split() for line in out.splitlines()[6:10]]
    assert rows[0] == ["PLUGIN", "KIND", "MODE", "CALLS", "USD", "INPUT", "OUTPUT", "LOSSES", "LOST", "USD", "UNPRICED"]
    assert rows[1][:5] == ["cache", "hit", "enforce", "1", "0.004000"]
    assert rows[2][:5] == ["compression", "json", "enforce", "1", "-0.001000"]
    assert rows[2][7:9] == ["1", "-0.001000"]
    assert rows[3][:3] == ["routing", "routed", "shadow"]
    assert out.splitlines()[-1].split() == ["1", "compression", "json:", "values?[31m", "kept"]
    assert asked == ["/admin/v1/savings?since=2023-11-15&by=kind"]


def test_what_cost_more_than_it_saved_is_told_so(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["savings", "--since", "2023-11-15T12:00:03Z", "--until", "2023-11-15T12:00:04Z", *PLACE]) == 0
    assert "they would have taken $0.0030 (33.3% more was spent)" in capsys.readouterr().out


def test_nothing_saved_is_told(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["savings", "--until", "2000-01-01", *PLACE]) == 0
    assert capsys.readouterr().out == "0 calls took $0.0000 and 0 tokens in, 0 out.\nNothing was saved.\n"


def test_it_is_json_where_that_is_asked(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["savings", "--json", "--agent", "a", *PLACE]) == 0
    assert json.loads(capsys.readouterr().out)["enforce"]["usd"] == 0.003


def test_agents_that_wait_are_listed(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["savings", "--unstreamed", "--over", "2000", *PLACE]) == 0
    first, _, row, hint = capsys.readouterr().out.splitlines()
    assert "stream: true" in hint
    assert "more than 2,000 characters" in first
    assert row.split()[:5] == ["a", "3", "3", "1", "2,400"]
    assert main(["savings", "--unstreamed", "--over", "9000", *PLACE]) == 0
    assert "No agent waits" in capsys.readouterr().out
    assert asked[0] == "/admin/v1/unstreamed?over=2000"


def test_nobody_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["savings", *PLACE]) == 1
    assert "no Weir answers on" in capsys.readouterr().err
