"""What serve and run share: flags that were given and no others, and the plan before anything is claimed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from proxy.commands.serving import add_flags, early, flags_of, supervise
from proxy.processes.plan import Plan
from proxy.processes.supervisor import Supervisor


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return parser.parse_args(arguments)


def heard(config: str | None, flags: dict[str, Any]) -> Any:
    with early(config, flags) as (control, _):
        return control.hear()


def test_only_flags_that_were_given_go_before_everything_else() -> None:
    assert flags_of(parsed()) == {}
    assert flags_of(parsed("--port", "0", "--upstream", "http://x", "--profile", "observe")) == {
        "port": 0, "upstream": "http://x", "profile": "observe",
    }  # fmt: skip


def test_the_plan_says_what_the_supervisor_must_know(tmp_path: Path) -> None:
    plan = heard(None, {"port": 0, "data_dir": str(tmp_path), "workers": 2})
    assert (plan["port"], plan["workers"], plan["data_dir"]) == (0, 2, str(tmp_path.resolve()))


def test_a_wrong_configuration_ends_the_plan_with_its_exit_code(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "w.yaml").write_text("prot: 1\n")
    assert heard(str(tmp_path / "w.yaml"), {}) == 2
    assert "prot: there is no such option" in capfd.readouterr().err


def test_the_defaults_that_are_told_are_those_of_the_command() -> None:
    lasting, own = argparse.ArgumentParser(), argparse.ArgumentParser()
    add_flags(lasting)
    add_flags(own, own=True)
    assert "(default .weir)" in lasting.format_help()
    assert "default 8080" in lasting.format_help()
    for words in (".weir", "8080", "8081"):
        assert words not in own.format_help()


def test_what_the_embedded_valkey_writes_has_a_folder_that_the_claim_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[Plan] = []

    def run(supervisor: Supervisor) -> int:
        plans.append(supervisor.plan)
        return 0

    monkeypatch.setattr(Supervisor, "run", run)
    settings = heard(None, {"data_dir": str(tmp_path / "data")})
    assert supervise(None, {}, settings | {"valkey": "/bin/valkey-server"}) == 0
    assert supervise(None, {}, settings | {"valkey": None}) == 0
    assert plans[0].extras[0][-2:] == ("--dir", str(tmp_path / "data" / "valkey"))
    assert [plan.folders for plan in plans] == [("valkey",), ()]
    assert not (tmp_path / "data").exists()
