"""`weir explain`: a file or standard input, for people or as JSON; what is wrong is told."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from proxy.cli import main
from tests.pairs import SURFACES, body

CHAIN = (
    "plugins:\n  - audit\n  - metering\n"
    "  - refuses: {uses: tests.plugins_for_tests:Refuses}\n  - edits: {uses: tests.plugins_for_tests:Edits}\n"
)


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "w.yaml").write_text(CHAIN)
    return str(tmp_path / "w.yaml")


@pytest.mark.parametrize("surface", SURFACES)
def test_every_body_is_explained(surface: str, config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = {"embeddings": "text-embedding-3-small", "messages": "claude-sonnet-5-5"}.get(surface, "gpt-4o")
    (tmp_path / "call.json").write_bytes(body(surface, model))
    assert main(["explain", str(tmp_path / "call.json"), "--config", config]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"A {surface} call of agent 'default' for model '{model}', with 1 text.\nIt would go to ")
    assert "refuses: would refuse rule_7 because: Rule 7 does not let this pass." in out
    assert "edits: would edit 1" in out


def test_it_reads_standard_input_and_writes_json(
    config: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(body("chat"))))
    assert main(["explain", "-", "--config", config, "--json", "--agent", "tax"]) == 0
    told: Any = json.loads(capsys.readouterr().out)
    assert (told["surface"], told["agent"]) == ("chat", "tax")
    assert [one["plugin"] for one in told["plugins"]] == ["audit", "metering", "refuses", "edits"]


@pytest.mark.parametrize(
    "raw", [b"", b"nope", b"[]", b'{"model":5}', b'{"model":"m","messages":5}', b"\xff", b"{" * 500]
)
def test_a_body_that_is_no_call_is_told(raw: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "call.json").write_bytes(raw)
    assert main(["explain", str(tmp_path / "call.json")]) == 1
    told = capsys.readouterr()
    assert told.err.startswith("weir explain: ")
    assert told.out == ""


def test_a_file_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(tmp_path / "nope.json")]) == 1
    assert "nope.json cannot be read: No such file" in capsys.readouterr().err
    assert main(["explain", str(tmp_path)]) == 1


def test_a_wrong_configuration_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "call.json").write_bytes(body("chat"))
    (tmp_path / "w.yaml").write_text("prot: 1\n")
    assert main(["explain", str(tmp_path / "call.json"), "--config", str(tmp_path / "w.yaml")]) == 1
    assert "prot: there is no such option" in capsys.readouterr().err


def test_another_path_may_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "call.json").write_bytes(body("chat"))
    assert main(["explain", str(tmp_path / "call.json"), "--path", "/v1/messages"]) == 0
    assert "A messages call" in capsys.readouterr().out
    assert main(["explain", str(tmp_path / "call.json"), "--path", "/v1/files"]) == 1
    assert "no codec reads /v1/files" in capsys.readouterr().err
