"""Callers judge answers of a Weir that runs: every worker learns of it, and so does the next Weir on the same data."""

from __future__ import annotations

import json
import os
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from proxy.cli import main
from tests.serving import Served, provided, serve

CONFIG = """
workers: 2
plugins:
  - audit
  - metering
  - routing:
      options:
        sticky_s: 0
        pools:
          - asked: [strong]
            models: [{target: cheap, context_tokens: 9000}, {target: strong, context_tokens: 9000}]
            bar: 0.8
"""
BAD = 40


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with provided() as url:
        yield url


@pytest.fixture
def file(tmp_path: Path) -> str:
    made = tmp_path / "weir.yaml"
    made.write_text(CONFIG)
    return str(made)


def post(weir: Served, path: str, doc: Any, key: str = "sk-t") -> tuple[int, Any, Any]:
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}", "connection": "close"}
    request = urllib.request.Request(weir.root + path, json.dumps(doc).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=10.0) as answer:
            return answer.status, json.loads(answer.read()), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read()), error.headers


def ask(weir: Served, text: str = "hi") -> tuple[str, str]:
    """The id of the call, and the model that answered. Each over a connection of its own, and so by any worker."""
    doc = {"model": "strong", "messages": [{"role": "user", "content": text}]}
    status, _, headers = post(weir, "/v1/chat/completions", doc)
    assert status == 200
    return headers["x-weir-request-id"], headers["x-weir-model"]


def all_go_to(weir: Served, model: str) -> bool:
    """So many calls that each worker has some of them."""
    return {ask(weir)[1] for _ in range(16)} == {model}


def test_what_callers_say_of_a_model_reaches_all_workers_and_the_next_start(
    provider: str, tmp_path: Path, file: str
) -> None:
    data = tmp_path / "data"
    with serve(provider, data, "--config", file) as weir:
        assert all_go_to(weir, "cheap")
        judged = [ask(weir)[0] for _ in range(BAD)]
        told = [post(weir, "/weir/feedback", {"request_id": one, "good": False}) for one in judged]
        assert {status for status, _, _ in told} == {200}
        assert told[0][1] == {
            "request_id": judged[0], "name": "answer", "score": 0.0, "before": None, "taught": ["routing"],
        }  # fmt: skip
        weir.until(lambda: all_go_to(weir, "strong"), "what was learnt in every worker")
        worker, *_ = weir.pids("worker")
        os.kill(worker, 9)
        weir.until(lambda: worker not in weir.pids("worker") and len(weir.pids("worker")) == 2, "another worker")
        weir.until(lambda: all_go_to(weir, "strong"), "what the new worker was told")
        weir.stop()
    with serve(provider, data, "--config", file) as weir:
        weir.until(lambda: all_go_to(weir, "strong"), "what was learnt before")
        for one in judged:
            assert post(weir, "/v1/feedback", {"request_id": one, "score": 1.0})[1]["before"] == 0.0
        weir.until(lambda: all_go_to(weir, "cheap"), "the words that count now")
    (day,) = (data / "executions").glob("*.db")
    with closing(sqlite3.connect(day)) as kept:
        assert kept.execute("SELECT COUNT(*), MIN(score), MAX(score) FROM feedback").fetchone() == (BAD, 1.0, 1.0)


def test_only_the_tenants_own_calls_are_judged_and_a_command_does_it(
    provider: str, tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WEIR_KEY", "sk-t")
    with serve(provider, tmp_path / "data", "--config", file) as weir:
        id_, _ = ask(weir)
        status, said, _ = post(weir, "/weir/feedback", {"request_id": id_, "good": True}, "sk-another")
        assert (status, said["error"]["code"]) == (403, "not_your_call")
        status, said, _ = post(weir, "/weir/feedback", {"request_id": "wr_0", "good": True})
        assert (status, said["error"]["code"]) == (404, "call_not_found")
        place = ["--data", str(weir.data)]
        assert main(["feedback", id_, "--good", "--comment", "just right", *place]) == 0
        assert capsys.readouterr().out == f"Kept: answer of {id_} is 1; learnt from by routing.\n"
        assert main(["feedback", id_, "--score", "0.25", *place]) == 0
        assert "is 0.25, in place of 1;" in capsys.readouterr().out
        assert main(["feedback", "wr_0", "--bad", *place]) == 1
        assert capsys.readouterr().err.startswith("weir feedback: there is no call with this id")
