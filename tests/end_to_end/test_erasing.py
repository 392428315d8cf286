"""A person is forgotten by a Weir that runs: in no byte of its data directory, and all the rest stays as it was."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.cli import main
from proxy.commands.admin import Admin
from tests.serving import Served, provided, serve

TOKEN = "the-admin-token-0123456789"
ANN = "canary-ann"


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with provided() as url:
        yield url


@pytest.fixture
def weir(provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with serve(provider, tmp_path / "data", WEIR_ADMIN_TOKEN=TOKEN, WEIR_AUDIT__CONTENT="masked") as running:
        monkeypatch.setenv("WEIR_ADMIN_TOKEN", TOKEN)
        monkeypatch.delenv("WEIR_ADMIN_TOKEN_FILE", raising=False)
        yield running


def ask(weir: Served, user: str, text: str) -> str:
    """A call on this user's behalf; its id."""
    body = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}).encode()
    headers = {"content-type": "application/json", "x-weir-user": user, "x-weir-session": f"of-{user}"}
    request = urllib.request.Request(weir.url + "/chat/completions", body, headers)
    with urllib.request.urlopen(request, timeout=10.0) as answer:
        answer.read()
        return str(answer.headers["x-weir-request-id"])


def admin(weir: Served, path: str) -> Any:
    return Admin(f"http://127.0.0.1:{weir.admin_port}").call("GET", f"/admin/v1/{path}")


def on_disk(data: Path) -> dict[str, int]:
    """Files in which the name stands."""
    files = [path for path in data.rglob("*") if path.is_file()]
    return {path.name: count for path in files if (count := path.read_bytes().count(ANN.encode()))}


def command(weir: Served, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    group = "audit" if arguments[0] in ("verify", "list") else "privacy"
    code = main([group, *arguments, "--data", str(weir.data)])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_a_forgotten_user_is_in_no_byte_of_the_data_directory(weir: Served, capsys: pytest.CaptureFixture[str]) -> None:
    mine = [ask(weir, ANN, f"{ANN} asks {n}") for n in range(5)]
    others = [ask(weir, f"bob-{n}", f"bob-{n} asks") for n in range(4)]
    weir.until(lambda: len(admin(weir, "executions")["data"]) == 9, "the records")
    assert {name.rpartition(".")[0] for name in on_disk(weir.data)} >= {"audit"}
    exported = [json.loads(line) for line in command(weir, capsys, "export", ANN)[1].splitlines()]
    assert [line["kind"] for line in exported] == ["about"] + ["record"] * 5 + ["audit"] * 5
    assert {line["id"] for line in exported if line["kind"] == "record"} == set(mine)
    assert "bob" not in json.dumps(exported)
    wish = ("erase", ANN, "--why", "right to erasure")
    code, out, err = command(weir, capsys, *wish)
    assert (code, out, err) == (
        0,
        "Erased: user, session and texts of 5 entries of the audit trail; user, session and error text of 5 records.\n",
        "",
    )
    assert on_disk(weir.data) == {}
    assert command(weir, capsys, *wish)[1].startswith("Nothing to erase: ")
    assert command(weir, capsys, "verify")[0] == 0

    entries = {each["call"]: each for each in admin(weir, "audit?action=llm.call")["data"]}
    rows = {each["id"]: each for each in admin(weir, "executions")["data"]}
    for n, call in enumerate(others):
        entry, row = entries[call], rows[call]
        assert (entry["user"], entry["session"]) == (row["user"], row["session"]) == (f"bob-{n}", f"of-bob-{n}")
        assert entry["content"]["input"][0]["text"] == f"bob-{n} asks"
    for call in mine:
        assert entries[call]["person_erased"] and entries[call]["content_erased"]
        assert rows[call]["user"] is None and rows[call]["outcome"] == "ok"
    (act,) = admin(weir, "audit?action=erase")["data"]
    assert act["by"] == "admin" and act["details"]["why"] == "right to erasure"

    ask(weir, "bob-9", "goes on")
    weir.until(lambda: len(admin(weir, "executions")["data"]) == 10, "a record after that")
    assert weir.stop() == 0
    assert on_disk(weir.data) == {}
    code, _, err = command(weir, capsys, *wish)
    assert code == 1 and "only a running Weir erases" in err
    assert command(weir, capsys, "verify")[0] == 0


def test_who_may_not_erase_is_told_and_nothing_is_erased(
    weir: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(weir, ANN, "hello")
    weir.until(lambda: admin(weir, "executions")["data"], "the record")
    wish = ("erase", ANN, "--why", "asked")
    assert command(weir, capsys, "erase", ANN, "--why", f"{ANN} asked")[2] == (
        "weir privacy: why must not name the user: it is signed and stays in the audit trail\n"
    )
    assert command(weir, capsys, "erase", ANN, "--why", "")[2] == "weir privacy: why must not be empty\n"
    monkeypatch.setenv("WEIR_ADMIN_TOKEN", "another")
    code, out, err = command(weir, capsys, *wish)
    assert (code, out) == (1, "") and err.startswith(
        "weir privacy: the admin token is another one: set WEIR_ADMIN_TOKEN"
    )
    monkeypatch.setenv("WEIR_ADMIN_TOKEN", "")
    assert command(weir, capsys, *wish)[2].startswith("weir privacy: the admin token is needed: ")
    monkeypatch.setenv("WEIR_ADMIN_TOKEN", TOKEN)
    assert admin(weir, "executions")["data"][0]["user"] == ANN


def test_without_an_admin_token_nobody_erases(
    provider: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WEIR_ADMIN_TOKEN", raising=False)
    monkeypatch.delenv("WEIR_ADMIN_TOKEN_FILE", raising=False)
    with serve(provider, tmp_path) as open_weir:
        code, _, err = command(open_weir, capsys, "erase", ANN, "--why", "asked")
    assert (code, err) == (
        1, "weir privacy: this is done with the admin token only: start Weir with WEIR_ADMIN_TOKEN set\n",
    )  # fmt: skip
