"""`weir schema`: what editors read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxy.cli import main


def test_it_is_the_schema_that_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    shipped = Path(__file__).resolve().parents[3] / "config" / "schema.json"
    assert json.loads(capsys.readouterr().out) == json.loads(shipped.read_text())
