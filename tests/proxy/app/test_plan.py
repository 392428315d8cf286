"""The plan: a configuration judged before anything is claimed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.app import plan


def test_it_prints_what_the_supervisor_must_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert plan.main(["--flags", '{"port": 0, "workers": 3}']) == 0
    told = json.loads(capfd.readouterr().out)
    assert (told["port"], told["workers"], told["data_dir"]) == (0, 3, str((tmp_path / ".weir").resolve()))
    assert told["valkey"] is None or Path(told["valkey"]).exists()
    assert plan.main(["--flags", '{"port": 0}', "--config", "nope.yaml"]) == 2
    assert "nope.yaml: the file cannot be read" in capfd.readouterr().err


def test_an_embedded_valkey_is_planned_only_where_the_store_is_left_to_weir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEIR_STORE", "memory")
    assert plan.main([]) == 0
    assert json.loads(capsys.readouterr().out)["valkey"] is None


def test_roles_that_are_none_are_told() -> None:
    for arguments in ([], ["dance"]):
        done = subprocess.run(
            [sys.executable, "-m", "proxy.app", *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert "usage: python -m proxy.app" in done.stderr
