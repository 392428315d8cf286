"""Prices of one's own, beside the configuration file."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.cli import main
from proxy.configuration import pricelist
from proxy.configuration.sources import ConfigErrors
from tests.sources import ROOT


def read(tmp_path: Path, text: str) -> list[dict[str, object]]:
    (tmp_path / "prices.yaml").write_text(text)
    return pricelist.read(tmp_path / "weir.yaml", {})


def test_entries_are_given_as_they_stand(tmp_path: Path) -> None:
    text = 'prices:\n  - {model: "own-*", from: 2026-12-01, input: 2.5}\n  - {model: m, per_call: 1}\n'
    assert read(tmp_path, text) == [
        {"model": "own-*", "from": "2026-12-01", "input": 2.5}, {"model": "m", "per_call": 1},
    ]  # fmt: skip


def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    assert pricelist.read(None, {}) == []
    assert pricelist.read(tmp_path / "weir.yaml", {}) == []
    assert read(tmp_path, "") == []


def test_everything_that_is_wrong_is_told_with_its_place(tmp_path: Path) -> None:
    text = "prices:\n  - {model: m, input: much}\n  - {model: m}\n  - {model: m, inptu: 1}\n  - 7\nprice: 1\n"
    with pytest.raises(ConfigErrors) as caught:
        read(tmp_path, text)
    told = [str(error).replace(f"{tmp_path}/", "") for error in caught.value.errors]
    assert len(told) == 5
    assert told[0].startswith("prices.yaml:2: prices[0].input: not a number of dollars")
    assert "prices[1]: an entry needs a model and at least one price" in told[1]
    assert "prices[2].inptu: unknown" in told[2]
    assert "prices[3]: must be an entry" in told[3]
    assert told[4].startswith("prices.yaml:6: price: there is no such thing")


@pytest.mark.parametrize("text", ["prices: 3\n", "prices: {m: 1}\n"])
def test_prices_are_a_list(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigErrors, match="must be a list"):
        read(tmp_path, text)


def test_what_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigErrors, match="cannot be read"):
        pricelist.read(tmp_path / "weir.yaml", {})


def test_the_file_that_is_shipped_is_right() -> None:
    assert pricelist.read(ROOT / "config" / "weir.yaml", {}) == []


def test_check_says_how_many_there_are_and_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "weir.yaml").write_text("bypass: false\n")
    (tmp_path / "prices.yaml").write_text("prices:\n  - {model: m, input: 1}\n")
    assert main(["check", str(tmp_path / "weir.yaml")]) == 0
    assert "1 price of your own, from prices.yaml." in capsys.readouterr().out
    (tmp_path / "prices.yaml").write_text("prices:\n  - {model: m, input: -1}\n")
    assert main(["check", str(tmp_path / "weir.yaml")]) == 2
    assert "prices.yaml:2: prices[0].input: not a number of dollars" in capsys.readouterr().err
