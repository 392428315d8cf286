"""`weir cache` on its command line; `warm` against a server of its own."""

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
STATS = {
    "entries": 3, "bytes": 2**20, "most_bytes": 2**26, "evicted": 1, "hit": 3, "miss": 1, "bypass": 7, "stale": 0,
    "coalesced": 2,
    "workers": [{}, {}],
}  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    seen: dict[str, Any] = {"found": {"dropped": 4}}

    def call(self: Admin, method: str, path: str, body: Any = None, timeout_s: float = 0.0) -> Any:
        seen.update(method=method, path=path, body=body)
        return seen["found"]

    monkeypatch.setattr(Admin, "call", call)
    return seen


def test_what_is_named_is_dropped(asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "invalidate", "--agent", "a", "--tenant", "t", *PLACE]) == 0
    assert (asked["method"], asked["path"]) == ("POST", "/admin/v1/cache/invalidate")
    assert asked["body"] == {"tenant": "t", "agent": "a"}
    assert capsys.readouterr().out == "Dropped: 4 answers in the worker that had most of them.\n"
    assert main(["cache", "invalidate", "--all", *PLACE]) == 0
    assert asked["body"] == {"all": True}


@pytest.mark.parametrize("given", [[], ["--all", "--id", "x"]])
def test_what_goes_has_to_be_named(given: list[str], asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "invalidate", *given, *PLACE]) == 1
    assert capsys.readouterr().err.startswith("weir cache: name what goes") and "path" not in asked


def test_figures_are_told_for_people_and_for_programs(
    asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    asked["found"] = STATS
    assert main(["cache", "stats", *PLACE]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "kept: 3 answers, 1.0 of 64 MiB in 2 workers; 1 had to go",
        "hits: 3 of 4 calls that may share answers (75.0%); 0 given late",
        "shared: 2 calls took the answer of an equal one under way",
        "passed by: 7 calls",
    ]
    assert main(["cache", "stats", "--json", *PLACE]) == 0
    assert json.loads(capsys.readouterr().out) == STATS
    asked["found"] = {**STATS, "semantic": 4}
    assert main(["cache", "stats", *PLACE]) == 0
    assert "hits: 7 of 8 calls that may share answers (87.5%), 4 of them in other words" in capsys.readouterr().out
    asked["found"] = {"error": "x"}
    assert main(["cache", "stats", *PLACE]) == 1


def test_what_became_of_calls_in_other_words_is_told(asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    tally = {"would": 6, "served": 3, "right": 6, "wrong": 1, "unclear": 4, "wrong_at_most": 0.4567}
    fresh = {"would": 1, "served": 0, "right": 0, "wrong": 0, "unclear": 1, "wrong_at_most": 1.0}
    words = {
        "texts": 20, "bytes": 2**19, "raised": 2, "barred": 1, "embedders": ["minilm"],
        "agents": {"new": fresh, "a": tally},
    }  # fmt: skip
    asked["found"] = {**STATS, "in_other_words": words}
    assert main(["cache", "stats", *PLACE]) == 0
    assert capsys.readouterr().out.splitlines()[4:] == [
        "in other words: 20 texts remembered, 0.5 MiB; embedder: minilm",
        "  a: answered 3, would have answered 6 more (shadow, explored or stopped); compared with the live answer or"
        " judged: 6 the same, 1 different, 4 not to be told; wrong at most 45.7% (95 %)",
        "  new: answered 0, would have answered 1 more (shadow, explored or stopped); compared with the live answer or"
        " judged: none yet, 1 not to be told",
        "  once wrong: 2 answers are given only to nearer texts than the one they were wrong for, 1 to none",
    ]


class Weir(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    heard: list[tuple[str, Any, str | None, str | None]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        known = any(body == before for _, before, _, _ in self.heard)
        self.heard.append((self.path, body, self.headers["authorization"], self.headers["x-weir-agent"]))
        unkept = body.get("never") and "only-if-kept" in (self.headers["x-weir-cache"] or "")
        said = b'{"error": {"message": "No answer to this call can be kept (n)."}}' if unkept else b"{}"
        self.send_response(500 if body.get("bad") else 400 if unkept else 200)
        if "off" not in body:
            self.send_header("x-weir-cache", "BYPASS" if body.get("never") else "HIT" if known else "MISS")
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *arguments: Any) -> None: ...


@pytest.fixture
def listening() -> Iterator[tuple[str, list[Any]]]:
    heard: list[Any] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Listening", (Weir,), {"heard": heard})) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", heard
        server.shutdown()
        thread.join()


def test_recorded_calls_are_sent_again(
    listening: tuple[str, list[Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, heard = listening
    monkeypatch.setenv("WEIR_KEY", "weir-key")
    lines = [
        {"body": {"model": "m"}},
        {"body": {"model": "m"}, "headers": {"x-weir-agent": "a"}},
        {"path": "/v1/messages", "body": {"model": "n"}},
    ]
    file = tmp_path / "calls.jsonl"
    file.write_text("\n\n".join(map(json.dumps, lines)) + "\n")
    assert main(["cache", "warm", str(file), "--to", url, "--at-once", "1"]) == 0
    assert capsys.readouterr().out == "3 calls: 1 HIT, 2 MISS.\n"
    assert heard == [
        ("/v1/chat/completions", {"model": "m"}, "Bearer weir-key", None),
        ("/v1/chat/completions", {"model": "m"}, "Bearer weir-key", "a"),
        ("/v1/messages", {"model": "n"}, "Bearer weir-key", None),
    ]
    file.write_text(json.dumps({"body": {"bad": True}}))
    assert main(["cache", "warm", str(file), "--to", url]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err) == ("1 calls: 1 failed.\n", "line 1: answered 500\n")


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "{}", '{"body": 3}', '{"body": {}, "path": "v1"}', '{"body": {}, "headers": {"a": 1}}', '"text"'],
)
def test_a_line_that_is_no_call_is_told(line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_text('{"body": {}}\n' + line)
    assert main(["cache", "warm", str(file), "--to", "http://127.0.0.1:9"]) == 1
    assert capsys.readouterr().err.startswith("weir cache: line 2")


def test_a_weir_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_text('{"body": {}}')
    assert main(["cache", "warm", str(file), "--data", str(tmp_path)]) == 1
    assert "no Weir is known" in capsys.readouterr().err
    assert main(["cache", "warm", str(file), "--to", "ftp://x"]) == 1
    assert main(["cache", "warm", str(file), "--to", "http://127.0.0.1:9"]) == 1
    assert "line 1: no answer" in capsys.readouterr().err
    assert main(["cache", "warm", str(file), "--to", "http://127.0.0.1:9", "--at-once", "0"]) == 1


def test_what_can_never_be_kept_is_not_asked_unless_it_is_wanted(
    listening: tuple[str, list[Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, _ = listening
    file = tmp_path / "calls.jsonl"
    lines: list[Any] = [{"body": {"model": "m"}}, {"body": {"never": 1}, "headers": {"X-Weir-Cache": "ttl=5"}}]
    file.write_text("\n".join(map(json.dumps, lines)))
    assert main(["cache", "warm", str(file), "--to", url]) == 0
    told = capsys.readouterr()
    assert told.out == "2 calls: 1 MISS, 1 never kept.\n"
    assert told.err == "line 2: No answer to this call can be kept (n).\n"
    assert main(["cache", "warm", str(file), "--to", url, "--anyway"]) == 0
    assert capsys.readouterr().out == "2 calls: 1 BYPASS, 1 HIT.\n"


def test_where_nothing_is_kept_one_call_shows_it(
    listening: tuple[str, list[Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, heard = listening
    file = tmp_path / "calls.jsonl"
    file.write_text("\n".join([json.dumps({"body": {"off": number}}) for number in range(3)]))
    assert main(["cache", "warm", str(file), "--to", url]) == 1
    assert len(heard) == 1
    assert "no cache looks at these calls" in capsys.readouterr().err
    assert main(["cache", "warm", str(file), "--to", url, "--anyway"]) == 0
    assert capsys.readouterr().out == "3 calls: 3 done.\n"


def test_a_key_that_is_named_has_to_be_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOBODYS_KEY", raising=False)
    file = tmp_path / "calls.jsonl"
    file.write_text('{"body": {}}')
    assert main(["cache", "warm", str(file), "--to", "http://127.0.0.1:9", "--key-env", "NOBODYS_KEY"]) == 1
    assert capsys.readouterr().err == "weir cache: --key-env names NOBODYS_KEY, which is not set\n"
