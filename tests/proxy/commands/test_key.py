"""`weir key`: a key that is shown once, and a line of configuration that admits it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.cli import main
from proxy.commands.admin import Admin
from proxy.configuration import sources

PLACE = ["--url", "http://127.0.0.1:9"]
SHOWN = {
    "name": "bob", "certificate": "", "agent": "tax", "tenant": "default", "user": "", "agents": [], "models": [],
    "debug": False, "priority": 0, "expires": "", "usd_per_day": None, "usd_per_month": None,
    "requests_per_minute": None, "tokens_per_minute": None, "concurrent": None, "state": "good", "digest": "00aa11bb",
    "previous_until": "", "source": "overlay",
}  # fmt: skip


def test_the_line_admits_the_key_and_does_not_hold_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "bob", "--agent", "tax-eu-001"]) == 0
    out = capsys.readouterr().out
    (key,) = re.findall(r"^  (weir-\S{43})$", out, re.M)
    lines = out.split("configuration:\n")[1]
    assert key not in lines
    (tmp_path / "w.yaml").write_text(yaml.safe_dump(yaml.safe_load(lines)))
    loaded = sources.read(tmp_path / "w.yaml", {}, {}, None)
    (made,) = loaded.settings.freeze(1).identity.keys
    assert (made.name, made.agent) == ("bob", "tax-eu-001")
    assert made.sha256 == hashlib.sha256(key.encode()).hexdigest()


def test_no_two_keys_are_alike(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        main(["key", "bob"])
    keys = re.findall(r"^  (weir-\S+)$", capsys.readouterr().out, re.M)
    assert len(set(keys)) == 2


@pytest.mark.parametrize("arguments", [["bad name"], ["Bob"], [""], ["a: b"], ["bob", "--agent", "a b"]])
def test_a_name_that_check_refuses_is_refused_here(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("weir key: ") and "is not a name here" in err


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What was asked of the admin port; it answers with `found`."""
    seen: dict[str, Any] = {"found": SHOWN}

    def call(self: Admin, method: str, path: str, body: Any = None, timeout_s: float = 0.0) -> Any:
        seen.update(method=method, path=path, body=body)
        return seen["found"]

    monkeypatch.setattr(Admin, "call", call)
    return seen


def test_all_that_is_said_of_a_key_is_asked_for_and_nothing_else(
    asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    asked["found"] = {**SHOWN, "key": "weir-shown-once", "workers": 2, "confirmed": 2}
    said = ["--agent", "tax", "--agents", "a", "b", "--tenant", "acme", "--user", "ann", "--models", "gpt-*", "o3"]
    said += ["--budget-usd-per-day", "5", "--budget-usd-per-month", "50.5", "--requests-per-minute", "60"]
    said += ["--tokens-per-minute", "1000", "--concurrent", "4", "--priority", "-3", "--expires", "90d", "--debug"]
    assert main(["key", "create", "bob", *said, "--reason", "ticket", *PLACE]) == 0
    assert (asked["method"], asked["path"]) == ("POST", "/admin/v1/keys")
    assert asked["body"] == {
        "name": "bob", "agent": "tax", "agents": ["a", "b"], "tenant": "acme", "user": "ann", "models": ["gpt-*", "o3"],
        "usd_per_day": 5.0, "usd_per_month": 50.5, "requests_per_minute": 60, "tokens_per_minute": 1000,
        "concurrent": 4, "priority": -3, "expires": "90d", "debug": True, "reason": "ticket",
    }  # fmt: skip
    out = capsys.readouterr().out
    assert out.count("weir-shown-once") == 1 and "(2 of 2 workers confirm it)" in out
    for words in ("it is not shown again", "Authorization: Bearer", "overlay.json of the data directory", "revoke bob"):
        assert words in out, "what was made, how it is used, where it is kept, how it ends"
    assert main(["key", "create", "bob", *PLACE]) == 0
    assert asked["body"] == {"name": "bob"}


def test_a_rotation_without_overlap_says_that_the_old_key_ends_at_once(
    asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    asked["found"] = {**SHOWN, "key": "weir-second", "workers": 1, "confirmed": 1}
    assert main(["key", "rotate", "bob", *PLACE]) == 0
    out = capsys.readouterr().out
    assert "refused from now on (401 invalid_api_key)" in out and "--overlap 24h" in out
    assert asked["body"] == {}


def test_a_caller_with_a_certificate_has_no_key_to_keep(
    asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    asked["found"] = {**SHOWN, "certificate": "CN=a\x1b", "workers": 1, "confirmed": 1}
    assert main(["key", "create", "bob", "--certificate", "CN=a", *PLACE]) == 0
    out = capsys.readouterr().out
    assert "show the certificate CN=a?; there is no key" in out and "Bearer" not in out


def test_rotating_and_revoking_name_the_key_and_why(asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    asked["found"] = {**SHOWN, "workers": 2, "confirmed": 1, "previous_until": "2027-01-01T00:00:00Z"}
    assert main(["key", "rotate", "bob", "--overlap", "24h", *PLACE]) == 0
    assert (asked["path"], asked["body"]) == ("/admin/v1/keys/bob/rotate", {"overlap": "24h"})
    assert "good until 2027-01-01T00:00:00Z" in capsys.readouterr().out
    assert main(["key", "revoke", "b/b", "--reason", "a&b", *PLACE]) == 0
    assert (asked["method"], asked["path"]) == ("DELETE", "/admin/v1/keys/b%2Fb?reason=a%26b")
    assert "the others take it when they are back" in capsys.readouterr().out


def test_the_list_is_a_table_or_json_and_cannot_play_tricks_on_a_terminal(
    asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    asked["found"] = {"data": [{**SHOWN, "user": "a\x1b[31m", "usd_per_day": 5.0, "models": ["gpt-*"]}]}
    assert main(["key", "list", *PLACE]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[1].split()[:5] == ["bob", "good", "tax", "default", "a?[31m"] and "usd_per_day=5" in out
    assert main(["key", "list", "--json", *PLACE]) == 0
    assert json.loads(capsys.readouterr().out) == asked["found"]["data"]
    asked["found"] = {"data": []}
    assert main(["key", "list", *PLACE]) == 0
    assert capsys.readouterr().out == "There are no keys.\n"


def test_without_a_running_weir_it_says_so_and_how_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "create", "bob", *PLACE]) == 1
    assert "`weir key make NAME` makes a key and the line of configuration" in capsys.readouterr().err


def test_a_name_alone_means_make_and_make_is_the_way_for_names_of_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "make", "list"]) == 0
    assert "list: {sha256: " in capsys.readouterr().out
    assert main(["key", "bob"]) == 0
    assert "bob: {sha256: " in capsys.readouterr().out
