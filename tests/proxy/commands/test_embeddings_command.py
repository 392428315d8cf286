"""`weir embeddings` on its command line; `warm` against a server of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from proxy.cli import main
from proxy.commands.admin import Admin

PLACE = ["--url", "http://127.0.0.1:9"]
STATS: dict[str, Any] = {
    "vectors": 1200, "bytes": 2**20, "most_bytes": 2**26, "known": 600, "sent": 200, "together": 20, "calls": 40,
    "workers": [{}, {}], "frequent": [{"input": "ab12", "count": 31, "size": 12, "begins": ""}],
}  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    seen: dict[str, Any] = {"found": STATS}

    def call(self: Admin, method: str, path: str, body: Any = None, timeout_s: float = 0.0) -> Any:
        seen.update(method=method, path=path)
        return seen["found"]

    monkeypatch.setattr(Admin, "call", call)
    return seen


def test_figures_and_frequent_inputs_are_told(asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["embeddings", "stats", *PLACE]) == 0
    assert (asked["method"], asked["path"]) == ("GET", "/admin/v1/embeddings")
    out = capsys.readouterr().out.splitlines()
    assert out[:3] == [
        "kept: 1,200 vectors, 1.0 of 64 MiB in 2 workers",
        "inputs: 600 known, 200 sent in 40 calls (75.0% known)",
        "put together: 20 inputs went out with the call of somebody else",
    ]
    assert out[-1].split() == ["31", "12", "ab12", "-"]
    assert main(["embeddings", "stats", "--json", *PLACE]) == 0
    assert json.loads(capsys.readouterr().out) == STATS
    asked["found"] = {"error": "x"}
    assert main(["embeddings", "stats", *PLACE]) == 1
    assert "no Weir with the plugin embeddings" in capsys.readouterr().err


class Weir(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    heard: list[tuple[str, Any, str | None]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.heard.append((self.path, body, self.headers["authorization"]))
        self.send_response(500 if body["model"] == "bad" else 200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def server() -> Iterator[str]:
    Weir.heard = []
    made = ThreadingHTTPServer(("127.0.0.1", 0), Weir)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{made.server_address[1]}"
    made.shutdown()
    thread.join()
    made.server_close()


def test_texts_are_asked_for_in_groups_by_model_and_each_once(
    server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", "weir-k")
    rows = ["plain", '"as JSON"', "plain", "", '{"input": ["a", "b"]}', '{"input": [1, 2], "model": "other"}']
    (tmp_path / "texts").write_text("\n".join(rows))
    asked = ["embeddings", "warm", str(tmp_path / "texts"), "--model", "e", "--to", server]
    assert main([*asked, "--inputs", "3", "--key-env", "MINE"]) == 0
    assert Weir.heard == [
        ("/v1/embeddings", {"model": "e", "input": ["plain", "as JSON", "a"]}, "Bearer weir-k"),
        ("/v1/embeddings", {"model": "e", "input": ["b"]}, "Bearer weir-k"),
        ("/v1/embeddings", {"model": "other", "input": [[1, 2]]}, "Bearer weir-k"),
    ]
    assert capsys.readouterr().out == "5 inputs have vectors now.\n"


def test_what_fails_is_told(server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "texts").write_text("one\ntwo\n")
    assert main(["embeddings", "warm", str(tmp_path / "texts"), "--model", "bad", "--to", server]) == 1
    told = capsys.readouterr()
    assert told.out == "0 inputs have vectors now, 2 have none.\n"
    assert "2 inputs from the 1. of bad: answered 500" in told.err


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("text", "names no model"),
        ('{"input": 5}', "line 1 is no text"),
        ("{", "line 1 is no JSON"),
        ("[1]", "no model"),
    ],
)
def test_a_line_that_is_wrong_is_told(
    row: str, said: str, server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "texts").write_text(row)
    assert main(["embeddings", "warm", str(tmp_path / "texts"), "--to", server]) == 1
    assert said in capsys.readouterr().err
    assert Weir.heard == []
