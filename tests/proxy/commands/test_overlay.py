"""`weir overlay` on its command line; with a Weir that runs it is tested in end_to_end."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.cli import main
from proxy.commands.admin import Admin
from proxy.commands.overlay import _value

PLACE = ("--url", "http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("text", "value"),
    [("64", 64), ("true", True), ("0.5", 0.5), ('["a"]', ["a"]), ("observe", "observe"), ('"64"', "64"), ("", "")],
)
def test_a_value_is_json_or_else_text(text: str, value: object) -> None:
    assert _value(text) == value


@pytest.mark.parametrize("arguments", [[], ["set", "limits.depth"], ["undo", "first"], ["forget"]])
def test_wrong_usage_is_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["overlay", *arguments])
    assert ended.value.code == 2
    assert "usage: weir overlay" in capsys.readouterr().err


def change(number: int, key: str, new: object, *, in_effect: bool = True, undone_at: float | None = None) -> Any:
    return {
        "id": number, "at": 1_700_000_000.0 + number, "who": "admin", "key": key, "old": None, "new": new,
        "reason": "a\x1b[31m", "undone_at": undone_at, "undone_by": "", "in_effect": in_effect,
    }  # fmt: skip


KEY = {
    "sha256": "00aa11bb" * 8, "certificate": "", "agent": "tax", "agents": [], "models": ["gpt-*"], "debug": False,
    "usd_per_day": 5.0, "priority": 0, "revoked": True, "expires": "",
}  # fmt: skip


def test_the_list_has_a_row_for_each_option_and_says_little_of_keys(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = [
        change(5, "limits.depth", 8, in_effect=False, undone_at=1.0), change(4, "identity.keys.bob", KEY),
        change(3, "identity.keys.bob", {}, in_effect=False), change(2, "limits.depth", 64),
        change(1, "uninspected", "refuse" * 40),
    ]  # fmt: skip
    monkeypatch.setattr(Admin, "call", lambda *_: {"version": 5, "changes": changes})
    assert main(["overlay", "list", *PLACE]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0].split() == ["ID", "STATE", "PATH", "VALUE", "BY", "AT", "REASON"]
    assert [line.split()[0] for line in lines[1:]] == ["4", "2", "1"]
    assert "in effect  identity.keys.bob  revoked sha256=00aa11bb agent=tax models=gpt-* usd_per_day=5.0" in lines[1]
    assert "\x1b" not in out and "2023-11-14T22:13:24Z" in lines[1] and max(map(len, lines)) < 160
    assert main(["overlay", "list", "--all", *PLACE]) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()[1:]] == [
        "undone", "in", "overtaken", "in", "in",
    ]  # fmt: skip
    monkeypatch.setattr(Admin, "call", lambda *_: {"version": 0, "changes": []})
    assert main(["overlay", "list", *PLACE]) == 0
    assert capsys.readouterr().out == "Nothing was changed at run time.\n"
