"""A Weir that runs is told something new: by its file, by a signal, by the overlay; wrong news changes nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from proxy.cli import main
from tests.certificates import Certificates
from tests.serving import ROOT, Served, provided, serve

CHAIN = "plugins:\n  - audit\n  - metering\n"
EDITS = "  - edits: {uses: tests.plugins_for_tests:Edits, options: {word: loud, by: %s}}\n"


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with provided() as url:
        yield url


def said(weir: Served, text: str = "be loud") -> str:
    status, answer, _ = weir.ask(text)
    assert status == 200
    return str(answer["choices"][0]["message"]["content"])


def command(weir: Served, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """A command of the command line about this Weir."""
    verb, *rest = arguments[1:]
    code = main([arguments[0], verb, *rest, "--data", str(weir.data)])
    told = capsys.readouterr()
    return code, told.out, told.err


def rejected(weir: Served) -> Any:
    return (weir.admin("/readyz") or {}).get("details", {}).get("settings", {}).get("errors")


def write(weir: Served, file: Path, text: str) -> None:
    """Changes the file, and does not wait until somebody sees it."""
    file.write_text(text)
    weir.process.send_signal(signal.SIGHUP)


def test_a_changed_file_is_in_effect_for_the_next_call_and_a_wrong_one_keeps_the_running_one(
    provider: str, tmp_path: Path
) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(CHAIN)
    with serve(provider, tmp_path / "data", "--config", str(file), "--workers", "2") as weir:
        assert said(weir) == "You said: be loud"
        file.write_text(CHAIN + EDITS % "SHOUTED")
        weir.until(lambda: said(weir) == "You said: be SHOUTED", "the new chain")
        version = weir.get(f"http://127.0.0.1:{weir.port}/readyz")[1]["settings"]

        write(weir, file, CHAIN + EDITS % "WRONG" + "prot: 1\n")
        errors = weir.until(lambda: rejected(weir), "the rejection")
        assert "did you mean port?" in errors[0]
        assert str(tmp_path) not in errors[0]  # of files only the name is told
        assert weir.metrics()["weir_settings_rejected_total"] == 1
        assert said(weir) == "You said: be SHOUTED"
        assert weir.get(f"http://127.0.0.1:{weir.port}/readyz")[0] == 200

        write(weir, file, CHAIN + EDITS % "SUNG")
        weir.until(lambda: said(weir) == "You said: be SUNG", "the mended file")
        weir.until(lambda: all(said(weir) == "You said: be SUNG" for _ in range(8)), "all workers")
        assert rejected(weir) is None
        assert weir.get(f"http://127.0.0.1:{weir.port}/readyz")[1]["settings"] > version


def test_a_plugin_that_cannot_start_with_the_new_settings_leaves_the_worker_with_the_old(
    provider: str, tmp_path: Path
) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(CHAIN + EDITS % "SHOUTED")
    with serve(provider, tmp_path / "data", "--config", str(file)) as weir:
        broken = "  - odd: {uses: tests.plugins_for_tests:FailsOddly}\n"
        write(weir, file, CHAIN + EDITS % "SUNG" + broken)
        weir.until(lambda: weir.metrics().get("weir_settings_rejected_total"), "the rejection")
        assert said(weir) == "You said: be SHOUTED"
        write(weir, file, CHAIN + EDITS % "SUNG")
        weir.until(lambda: said(weir) == "You said: be SUNG", "the mended file")


def test_a_hangup_reads_everything_anew(provider: str, tmp_path: Path) -> None:
    file, log = tmp_path / "w.yaml", tmp_path / "log"
    file.write_text(CHAIN + EDITS % "SHOUTED")
    with serve(provider, tmp_path / "data", "--config", str(file), told=log) as weir:
        stamp = file.stat()
        file.write_text(CHAIN + EDITS % "CALLED!")
        os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # nobody sees that it was touched
        weir.process.send_signal(signal.SIGHUP)
        weir.until(lambda: said(weir) == "You said: be CALLED!", "the file")
        entries = weir.admin("/admin/v1/audit?limit=50")["data"]
        assert any("settings.reload" in json.dumps(entry) for entry in entries)
        file.write_text(CHAIN + EDITS % "LATER" + "port: 9999\n")
        weir.process.send_signal(signal.SIGHUP)
        weir.until(lambda: said(weir) == "You said: be LATER", "the file")
        weir.until(lambda: "waits for the next one: port" in log.read_text(), "what waits for a restart")


@pytest.fixture(scope="module")
def running(provider: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One Weir for the commands that are about one."""
    place = tmp_path_factory.mktemp("running")
    (place / "w.yaml").write_text(CHAIN + EDITS % "SHOUTED")
    with serve(provider, place / "data", "--config", str(place / "w.yaml"), WEIR_AUDIT__STRICT="true") as weir:
        yield weir


def test_bypass_leaves_only_audit_and_metering_and_is_taken_back(
    running: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = command(running, capsys, "overlay", "set", "bypass", "true", "--reason", "an emergency")
    assert code == 0
    change = json.loads(out)
    assert (change["key"], change["new"], change["reason"]) == ("bypass", True, "an emergency")
    running.until(lambda: said(running) == "You said: be loud", "the bypass")
    assert running.get(f"http://127.0.0.1:{running.port}/readyz")[1]["bypass"] is True
    row = running.until(lambda: running.admin("/admin/v1/executions?limit=1")["data"], "a record")[0]
    assert set(running.admin(f"/admin/v1/executions/{row['id']}")["plugins_us"]) <= {"audit", "metering"}

    code, out, _ = command(running, capsys, "overlay", "list")
    assert code == 0
    row = next(line for line in out.splitlines() if line.split()[3:4] == ["bypass"])
    assert row.split()[:5] == [str(change["id"]), "in", "effect", "bypass", "true"] and row.endswith("an emergency")
    code, out, _ = command(running, capsys, "overlay", "list", "--json")
    assert json.loads(out)["changes"][0]["in_effect"] is True
    assert command(running, capsys, "overlay", "undo", str(change["id"]))[0] == 0
    running.until(lambda: said(running) == "You said: be SHOUTED", "the end of the bypass")
    _, out, _ = command(running, capsys, "audit", "list", "--limit", "50")
    assert "overlay.apply" in out
    assert "overlay.undo" in out


def test_what_was_changed_is_exported_as_yaml_and_wrong_changes_are_told(
    running: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(running, capsys, "overlay", "set", "limits.depth", "64")[0] == 0
    code, out, _ = command(running, capsys, "overlay", "export")
    assert (code, out) == (0, "limits:\n  depth: 64\n")
    for key, value, words in (
        ("limits.dpth", "64", "depth"), ("limits.depth", "deep", "limits.depth"), ("port", "1", "read at start only"),
    ):  # fmt: skip
        code, out, err = command(running, capsys, "overlay", "set", key, value)
        assert (code, out) == (1, "")
        assert err.startswith("weir overlay: ")
        assert words in err
    code, _, err = command(running, capsys, "overlay", "undo", "999")
    assert (code, err) == (1, "weir overlay: there is no change 999 to undo\n")


def test_the_audit_trail_is_verified_while_it_runs_and_a_tampered_one_is_found(
    running: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(running)
    code, out, _ = command(running, capsys, "audit", "verify")
    assert code == 0
    assert re.fullmatch(r"The audit trail is whole: \d+ entries\.\n", out)
    code, head, _ = command(running, capsys, "audit", "checkpoint")
    assert code == 0
    (tmp_path / "head.json").write_text(head)
    assert command(running, capsys, "audit", "verify", "--checkpoint", str(tmp_path / "head.json"))[0] == 0

    copy = tmp_path / "copy"
    shutil.copytree(running.data, copy, ignore=shutil.ignore_patterns("run", "*.sock"))
    with closing(sqlite3.connect(copy / "audit.db")) as trail:
        trail.execute("DELETE FROM blocks WHERE last = (SELECT min(last) FROM blocks WHERE last > 1)")
        trail.commit()
    assert main(["audit", "verify", "--data", str(copy)]) == 1
    assert "The audit trail is NOT whole" in capsys.readouterr().out
    for wrong in ("nope.json", "head.bad"):
        (tmp_path / "head.bad").write_text("{")
        assert main(["audit", "verify", "--data", str(copy), "--checkpoint", str(tmp_path / wrong)]) == 1
        assert capsys.readouterr().err.startswith("weir audit: ")


def test_strict_entries_are_in_the_trail_before_and_after(running: Served, capsys: pytest.CaptureFixture[str]) -> None:
    _, _, headers = running.ask("strict")
    id_ = headers["x-weir-request-id"]
    _, out, _ = command(running, capsys, "audit", "list", "--limit", "100")
    assert out.count(id_) >= 1
    assert "llm.call.begin" in out


def test_a_call_is_read_by_its_caller_from_whatever_worker(provider: str, running: Served) -> None:
    _, _, headers = running.ask("mine")
    id_ = headers["x-weir-request-id"]
    request = urllib.request.Request(
        f"http://127.0.0.1:{running.port}/weir/calls/{id_}", headers={"authorization": "Bearer sk-t"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert json.loads(answer.read())["id"] == id_


def test_calls_are_taken_over_tls_by_files(provider: str, tmp_path: Path, certificates: Certificates) -> None:
    files = ("--config", str(tmp_path / "w.yaml"))
    (tmp_path / "w.yaml").write_text(f"tls_cert: {certificates.server}\ntls_key: {certificates.server}\n")
    with serve(provider, tmp_path / "data", *files, context=certificates.client_context()) as weir:
        assert weir.url.startswith("https://")
        assert said(weir) == "You said: be loud"
        assert weir.get(f"http://127.0.0.1:{weir.port}/livez")[0] == 0


def test_a_command_has_its_weir_in_its_environment_and_gives_its_exit_code(provider: str, tmp_path: Path) -> None:
    agent = (
        "import json, os, sys, urllib.request as u\n"
        "root = os.environ['WEIR_URL']\n"
        "assert os.environ['OPENAI_BASE_URL'] == root + '/v1'\n"
        "assert os.environ['ANTHROPIC_BASE_URL'] == root\n"
        "body = json.dumps({'model': 'gpt-4o-mini', 'messages': [{'role': 'user', 'content': 'hello'}]}).encode()\n"
        "call = u.Request(root + '/v1/chat/completions', body, {'content-type': 'application/json'})\n"
        "print(json.loads(u.urlopen(call, timeout=10).read())['choices'][0]['message']['content'], sys.argv[1])\n"
        "sys.exit(7)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "proxy", "run", "--upstream", provider, "--", sys.executable, "-c", agent, "--port"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (7, "You said: hello --port\n"), done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "name the command after --"),
        (["--"], 2, "there is no command after --"),
        (["--config", "/no/such/file", "--", "true"], 2, "/no/such/file: the file cannot be read"),
    ],
)
def test_run_tells_what_is_missing(
    arguments: list[str], code: int, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *arguments]) == code
    assert words in capfd.readouterr().err
