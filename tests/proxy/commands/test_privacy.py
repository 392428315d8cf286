"""`weir privacy` on its command line; with a Weir that runs it is tested in end_to_end."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from proxy.cli import main
from proxy.commands.admin import Admin

PLACE = ["--url", "http://127.0.0.1:9"]
ERASE = ["privacy", "erase", "ann", "--why", "asked", *PLACE]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    seen: dict[str, Any] = {"found": {"entries": 3, "calls": 1, "held": 0, "keys": []}}

    def call(self: Admin, method: str, path: str, body: Any = None, timeout_s: float = 0.0) -> Any:
        seen.update(method=method, path=path, body=body)
        return seen["found"]

    def text(self: Admin, path: str) -> str:
        seen.update(method="GET", path=path)
        return '{"kind":"about"}\n{"kind":"record"}\n'

    monkeypatch.setattr(Admin, "call", call)
    monkeypatch.setattr(Admin, "text", text)
    return seen


def test_it_says_exactly_what_was_erased(asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(ERASE) == 0
    assert (asked["method"], asked["path"]) == ("POST", "/admin/v1/privacy/erase")
    assert asked["body"] == {"user": "ann", "why": "asked", "texts": True}
    words = "Erased: user, session and texts of 3 entries of the audit trail; user, session and error text of 1 record."
    assert capsys.readouterr().out == words + "\n"
    asked["found"] = {"entries": 3, "calls": 1, "held": 2, "keys": ["anns"], "in_file": ["anns"]}
    assert main(ERASE) == 0
    assert capsys.readouterr().out.splitlines() == [
        words,
        "Erased: 2 of what plugins held.",
        "Revoked: the user's key anns.",
        "The configuration's file names the user at identity.keys (anns): take it out there.",
    ]
    asked["found"] = {"entries": 0, "calls": 0, "held": 0, "keys": []}
    assert main(ERASE) == 0
    assert capsys.readouterr().out.startswith("Nothing to erase")


def test_an_export_is_written_for_its_owner_only(
    asked: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["privacy", "export", "ann lee&x=1", *PLACE]) == 0
    assert asked["path"] == "/admin/v1/privacy/export?user=ann+lee%26x%3D1"
    assert capsys.readouterr().out.count("\n") == 2
    out = tmp_path / "ann.jsonl"
    assert main(["privacy", "export", "ann", "--out", str(out), *PLACE]) == 0
    assert capsys.readouterr().out == f"2 lines written to {out}.\n" and out.read_text().count("\n") == 2
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert main(["privacy", "export", "ann", "--out", str(tmp_path / "no" / "x"), *PLACE]) == 1
    assert capsys.readouterr().err.startswith("weir privacy: ")


def test_the_former_name_does_the_same(asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "erase", "--user", "ann", "--why", "asked", *PLACE]) == 0
    former = capsys.readouterr().out
    assert main(ERASE) == 0
    assert capsys.readouterr().out == former and asked["path"] == "/admin/v1/privacy/erase"


def test_without_a_running_weir_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (ERASE, ["privacy", "export", "ann", *PLACE]):
        assert main(arguments) == 1
        assert capsys.readouterr().err.startswith("weir privacy: no Weir answers on http://127.0.0.1:9")


@pytest.mark.parametrize("arguments", [[], ["erase"], ["erase", "ann"], ["export"], ["forget", "ann"]])
def test_wrong_usage_is_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["privacy", *arguments])
    assert ended.value.code == 2 and "usage: weir privacy" in capsys.readouterr().err
