"""`weir audit` on its command line; with a Weir that runs it is tested in end_to_end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proxy.cli import main
from proxy.commands.admin import Admin

ERASE = ["audit", "erase", "--user", "ann", "--why", "asked", "--url", "http://127.0.0.1:9"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What was asked of the admin port; it answers with `found`."""
    seen: dict[str, Any] = {"found": {"entries": 3, "calls": 1, "held": 0, "keys": []}}

    def call(self: Admin, method: str, path: str, body: Any = None, timeout_s: float = 0.0) -> Any:
        seen.update(method=method, path=path, body=body)
        return seen["found"]

    monkeypatch.setattr(Admin, "call", call)
    return seen


def test_it_says_exactly_what_was_erased(asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(ERASE) == 0
    assert asked["path"] == "/admin/v1/privacy/erase" and asked["method"] == "POST"
    assert asked["body"] == {"user": "ann", "why": "asked", "texts": True}
    assert capsys.readouterr().out == (
        "Erased: user, session and texts of 3 entries of the audit trail; user, session and error text of 1 record.\n"
    )
    asked["found"] = {"entries": 1, "calls": 2, "held": 0, "keys": []}
    assert main([*ERASE, "--keep-texts"]) == 0 and asked["body"]["texts"] is False
    assert capsys.readouterr().out == (
        "Erased: user and session of 1 entry of the audit trail; user and session of 2 records. The texts are kept.\n"
    )
    asked["found"] = {"entries": 0, "calls": 0, "held": 0, "keys": []}
    assert main(ERASE) == 0
    assert capsys.readouterr().out == "Nothing to erase: no entry of the audit trail and no record names this user.\n"


@pytest.mark.parametrize("found", [[], {}, {"entries": "x", "calls": 0}, {"entries": None, "calls": 0}, 7])
def test_an_answer_of_something_else_is_told(
    asked: dict[str, Any], found: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    asked["found"] = found
    assert main(ERASE) == 1
    assert capsys.readouterr().err == "weir audit: what answers there is no Weir that erases\n"


def test_without_a_running_weir_it_says_so_and_how(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    how = "(only a running Weir erases: start it with `weir serve`, and ask again)\n"
    assert main(ERASE) == 1
    assert capsys.readouterr().err == f"weir audit: no Weir answers on http://127.0.0.1:9; is it running? {how}"
    assert main([*ERASE[:-2], "--data", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"weir audit: no Weir is known in {tmp_path}") and told.endswith(how)


@pytest.mark.parametrize("arguments", [[], ["erase"], ["erase", "--user", "ann"], ["erase", "--why", "asked"]])
def test_wrong_usage_is_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["audit", *arguments])
    assert ended.value.code == 2
    assert "usage: weir audit" in capsys.readouterr().err


def test_its_help_says_what_is_done_and_what_may_come_later(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["audit", "erase", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "can be run again: that also erases what was still in a worker's queue" in told
    assert "admin token (WEIR_ADMIN_TOKEN)" in told
