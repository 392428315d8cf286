"""`weir coverage`: the matrix of the admin API as a table."""

from __future__ import annotations

import json

import pytest

from proxy.cli import main
from proxy.commands.admin import Admin
from proxy.configuration.settings import Settings
from proxy.control.coverage import Coverage

PLACE = ("--url", "http://127.0.0.1:9")


@pytest.fixture(autouse=True)
def admin(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.model_validate_json(
        json.dumps(
            {
                "plugins": {"injection": {"mode": "shadow"}, "pii": {"when": {"models": ["gpt-*"]}}},
                "agents": {"tax": {"plugins": {"pii": {"enabled": False}}}},
            }
        )
    )
    monkeypatch.setattr(Admin, "call", lambda *_: Coverage(lambda: settings).matrix())


def test_the_matrix_is_a_row_for_each_place_and_forms_that_are_alike_are_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["coverage", *PLACE]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["SURFACE", "SIDE", "POSITION", "FORM", "INJECTION", "PII"]
    rows = [line.split() for line in lines]
    assert ["chat", "request", "user", "json+stream", "shadow", "enforce"] in rows
    told = "\n".join(lines)
    assert "For agent tax pii has settings of its own: enabled=False." in told
    assert 'pii runs for some calls only: {"models": ["gpt-*"]}.' in told
    assert "Not inspected, for no codec reads it:" in told and "image" in told


def test_one_surface_may_be_asked_for_and_all_of_it_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["coverage", "--surface", "embeddings", *PLACE]) == 0
    assert "chat " not in capsys.readouterr().out.split("Not inspected")[0]
    assert main(["coverage", "--surface", "chats", *PLACE]) == 1
    assert "there is no surface 'chats'; there are: chat, " in capsys.readouterr().err
    assert main(["coverage", "--json", *PLACE]) == 0
    assert json.loads(capsys.readouterr().out)["guards"][0]["name"] == "injection"
