"""The admin API as commands reach it: found in the data directory, with the token of the environment."""

from __future__ import annotations

import argparse
import fcntl
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.cli import main
from proxy.commands.admin import Admin, AdminError, NobodyThere, add_place


class Answering(http.server.BaseHTTPRequestHandler):
    """Says what it is told to, and keeps what was asked."""

    said: tuple[int, bytes] = (200, b"{}")
    asked: list[tuple[str, str, str | None]] = []  # noqa: RUF012  reset by the fixture

    def do_GET(self) -> None:
        self.asked.append((self.command, self.path, self.headers.get("authorization")))
        self.send_response(self.said[0])
        self.end_headers()
        self.wfile.write(self.said[1])

    do_POST = do_DELETE = do_GET

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.delenv("WEIR_ADMIN_TOKEN", raising=False)
    monkeypatch.delenv("WEIR_ADMIN_TOKEN_FILE", raising=False)
    Answering.asked = []
    with http.server.HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def place(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_place(parser)
    return parser.parse_args(arguments)


def test_it_is_found_by_the_lock_of_the_data_directory(answering: str, tmp_path: Path) -> None:
    (tmp_path / "weir.lock").write_text(json.dumps({"admin_port": int(answering.rpartition(":")[2])}))
    Answering.said = (200, b'{"a": 1}')
    assert Admin.found(place("--data", str(tmp_path))).call("GET", "/admin/v1/x") == {"a": 1}
    assert Answering.asked == [("GET", "/admin/v1/x", None)]


@pytest.mark.parametrize("lock", [None, "", "{", "{}", "[]", '"x"'])
def test_where_none_is_known_it_says_so(lock: str | None, tmp_path: Path) -> None:
    if lock is not None:
        (tmp_path / "weir.lock").write_text(lock)
    with pytest.raises(AdminError, match="no Weir is known in"):
        Admin.found(place("--data", str(tmp_path)))


def test_what_a_killed_weir_left_leads_to_nobody(answering: str, tmp_path: Path) -> None:
    lock, ended = tmp_path / "weir.lock", subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    facts = {"admin_port": int(answering.rpartition(":")[2]), "pid": ended.pid}
    lock.write_text(json.dumps(facts))
    with pytest.raises(NobodyThere, match=f"process {ended.pid}, which had it, is gone"):
        Admin.found(place("--data", str(tmp_path)))
    with lock.open("r+") as held:  # its control process still commits
        fcntl.flock(held, fcntl.LOCK_EX)
        assert Admin.found(place("--data", str(tmp_path))).call("GET", "/admin/v1/x") is not None
    lock.write_text(json.dumps({**facts, "pid": os.getpid()}))
    assert Admin.found(place("--data", str(tmp_path))).call("GET", "/admin/v1/x") is not None
    assert len(Answering.asked) == 2


def test_the_token_comes_from_the_environment_or_a_file(
    answering: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Answering.said = (200, b"{}")
    monkeypatch.setenv("WEIR_ADMIN_TOKEN", "t-1")
    Admin(answering).call("GET", "/x")
    (tmp_path / "token").write_text("t-2\n")
    monkeypatch.setenv("WEIR_ADMIN_TOKEN_FILE", str(tmp_path / "token"))
    Admin(answering).call("GET", "/x")
    assert [token for _, _, token in Answering.asked] == ["Bearer t-1", "Bearer t-2"]
    monkeypatch.setenv("WEIR_ADMIN_TOKEN_FILE", str(tmp_path / "nope"))
    with pytest.raises(AdminError, match="cannot be read"):
        Admin(answering).call("GET", "/x")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ((400, b'{"error": {"message": "there is no such option"}}'), "^there is no such option$"),
        ((400, b'{"error": {"message": "must be a time", "param": "since"}}'), "^since must be a time$"),
        ((400, b'{"error": {"message": "no such key", "param": "name"}}'), "^no such key$"),
        ((401, b"go away"), "the admin API answered 401"),
        (
            (401, b'{"error": {"message": "Bearer ...", "code": "admin_token_needed"}}'),
            "^the admin token is needed: set WEIR_ADMIN_TOKEN or WEIR_ADMIN_TOKEN_FILE to that of this Weir$",
        ),
        ((500, b'{"error": "x"}'), "the admin API answered 500"),
        ((200, b"<html>"), "is no Weir"),
    ],
)
def test_a_no_is_a_sentence(answering: str, said: tuple[int, bytes], words: str) -> None:
    Answering.said = said
    with pytest.raises(AdminError, match=words):
        Admin(answering).call("GET", "/x")


def test_nobody_there_is_a_sentence_with_exit_code_one(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["overlay", "list"], ["audit", "list"], ["audit", "checkpoint"]):
        assert main([*command, "--url", "http://127.0.0.1:9"]) == 1
        assert "no Weir answers on http://127.0.0.1:9; is it running?" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["file:///etc/hostname", "127.0.0.1:8081", "ftp://x"])
def test_only_http_is_spoken(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["overlay", "export", "--url", url]) == 1
    assert "must begin with http://" in capsys.readouterr().err
