"""`weir feedback` on its command line, against a server of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from proxy.cli import main

KEPT = {"request_id": "wr_1", "name": "answer", "score": 0.5, "before": None, "taught": []}


class Server(ThreadingHTTPServer):
    """Takes feedback, and answers as it is told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.said: list[tuple[str, Any, str | None]] = []
        self.status, self.answer = 200, json.dumps(KEPT).encode()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.said.append((self.path, body, self.headers["authorization"]))
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv("WEIR_KEY", raising=False)
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.mark.parametrize(("word", "score"), [(["--good"], 1.0), (["--bad"], 0.0), (["--score", "0.5"], 0.5)])
def test_a_word_is_said_as_its_caller_would(server: Server, word: list[str], score: float) -> None:
    assert main(["feedback", "wr_1", *word, "--to", server.url + "/"]) == 0
    assert server.said == [("/weir/feedback", {"request_id": "wr_1", "score": score}, None)]


def test_name_comment_and_key_go_with_it(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-mine")
    (tmp_path / "weir.lock").write_text(json.dumps({"port": server.server_address[1]}))
    server.answer = json.dumps({**KEPT, "before": 0, "taught": ["cache", "routing"]}).encode()
    given = ["--name", "tone", "--comment", "kind", "--key-env", "MY_KEY", "--data", str(tmp_path)]
    assert main(["feedback", "wr_1", "--score", "1", *given]) == 0
    ((_, said, key),) = server.said
    assert (said["name"], said["comment"], key) == ("tone", "kind", "Bearer sk-mine")
    assert capsys.readouterr().out == "Kept: answer of wr_1 is 0.5, in place of 0; learnt from by cache, routing.\n"


def test_what_weir_says_against_it_is_told(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.status, server.answer = 404, json.dumps({"error": {"message": "there is no such call"}}).encode()
    assert main(["feedback", "wr_1", "--good", "--to", server.url]) == 1
    assert capsys.readouterr().err == "weir feedback: there is no such call\n"
    server.answer = b"<html>"
    assert main(["feedback", "wr_1", "--good", "--to", server.url]) == 1
    assert capsys.readouterr().err == "weir feedback: Weir answered 404\n"


@pytest.mark.parametrize("answer", [b"[]", b"no", b"{}", b'{"name": 1}'])
def test_what_is_no_weir_is_told(server: Server, answer: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    server.answer = answer
    assert main(["feedback", "wr_1", "--good", "--to", server.url]) == 1
    assert "no Weir" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--to", "http://127.0.0.1:9"], "is it running?"),
        (["--to", "ftp://x"], "must begin with http"),
        (["--data", "/nowhere"], "no Weir is known in /nowhere"),
        (["--key-env", "NOT_SET_AT_ALL"], "which is not set"),
    ],
)
def test_what_cannot_be_sent_is_told(given: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["feedback", "wr_1", "--good", *given]) == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("given", [["wr_1"], ["wr_1", "--good", "--bad"], ["--good"], ["wr_1", "--score", "x"]])
def test_one_word_is_wanted(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["feedback", *given])
    assert "usage: weir feedback" in capsys.readouterr().err
