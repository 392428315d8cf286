"""Every package of the card is at work in the default run, each for what it is best at.

The default run is that of `make run`: real processes. What a process has loaded is read from its memory map, and what a
package does is seen from outside.
"""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from tests.running import WAIT_S, DefaultRun, default_run

LINUX = Path("/proc/self/maps").exists()
on_linux = pytest.mark.skipif(not LINUX, reason="only Linux shows the memory map of a process")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DefaultRun]:
    with default_run(tmp_path_factory.mktemp("packages")) as run:
        run.call("one call, so that everything has been used once")
        run.executions()
        yield run


def mapped(run: DefaultRun, role: str) -> str:
    """The names of the files that the one process of this role has in its memory."""
    (pid,) = run.processes(role)
    return "\n".join(sorted({line.split()[-1] for line in Path(f"/proc/{pid}/maps").read_text().splitlines()}))


def until(holds: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + WAIT_S
    while not (found := holds()):
        assert time.monotonic() < end, f"in vain: {what}"
        time.sleep(0.02)
    return found


@on_linux
@pytest.mark.parametrize("role", ["worker", "control"])
def test_uvloop_runs_the_event_loops(running: DefaultRun, role: str) -> None:
    assert "/uvloop/loop." in mapped(running, role)


@on_linux
def test_aiohttp_serves_the_admin_port_and_is_loaded_by_a_worker_only_for_what_is_rare(running: DefaultRun) -> None:
    """Websockets and outbound proxies; calls are framed by llhttp in plain protocols."""
    assert "/aiohttp/_http_parser." in mapped(running, "control")
    assert "/httptools/parser/" in mapped(running, "worker")
    assert "/aiohttp/" not in mapped(running, "worker")


@on_linux
@pytest.mark.parametrize("role", ["worker", "control"])
def test_orjson_reads_and_writes_the_json(running: DefaultRun, role: str) -> None:
    assert "/orjson/orjson." in mapped(running, role)


@on_linux
def test_xxhash_makes_the_fingerprints_that_are_no_secret(running: DefaultRun) -> None:
    """Conversations: equal openings have one fingerprint, and it has the 128 bits of XXH3."""
    assert "/xxhash/_xxhash." in mapped(running, "worker")
    before = len(running.executions())
    for _ in range(2):
        running.call("the same opening", user="u-1")
    running.call("another opening", user="u-1")
    newest, second, first = (row["conversation"] for row in running.executions(before + 3)[:3])
    assert first == second != newest
    assert re.fullmatch(r"[0-9a-f]{32}", newest)


def test_tiktoken_counts_where_the_provider_gives_no_usage(running: DefaultRun) -> None:
    before = len(running.executions())
    running.call("[[sim usage=0 text='one two three four five']]")
    row = running.executions(before + 1)[0]
    assert row["usage_source"] == "estimated"
    assert row["output_tokens"] == 5
    assert row["input_tokens"] > 0
    if LINUX:
        assert "/tiktoken/_tiktoken." in mapped(running, "worker")


def test_prometheus_client_exposes_the_metrics_in_both_of_its_formats(running: DefaultRun) -> None:
    plain = {family.name for family in text_families(running.get("/metrics").decode())}
    accept = "application/openmetrics-text; version=1.0.0"
    opened = {
        family.name
        for family in open_families(running.get("/metrics", Accept=accept).decode())  # type: ignore[no-untyped-call]
    }
    assert {"weir_requests", "weir_response_seconds", "weir_tokens"} <= plain & opened


def test_presidio_anonymizer_keeps_personal_data_out_of_what_is_kept(running: DefaultRun) -> None:
    """Where callers can write into a record: here, the model's name."""
    before = len(running.executions())
    running.call("hello", model="gpt-4o-mini-for-ada@example.org")
    row = running.executions(before + 1)[0]
    assert "[EMAIL_REDACTED]" in row["model"]
    (day,) = (running.place / ".weir" / "executions").glob("*.db")
    with sqlite3.connect(f"file:{day}?mode=ro", uri=True) as found:
        assert "ada@example.org" not in json.dumps(found.execute("select * from executions").fetchall(), default=str)


def test_redis_keeps_the_hot_state_where_a_new_worker_finds_it(running: DefaultRun) -> None:
    """The embedded Valkey, spoken to by redis-py: which upstream keeps a stored response outlives a worker."""
    stored = json.loads(running.call("", path="/v1/responses", messages=None, input="remember this"))
    assert stored["id"].startswith("resp_")
    if LINUX:
        assert "/hiredis/" in mapped(running, "worker")
    socket_path = str(running.place / ".weir" / "run" / "valkey.sock")
    assert until(lambda: [key for key in _keys(socket_path) if stored["id"].encode() in key], "the id in Valkey")


@on_linux
def test_a_worker_holds_nothing_that_only_the_cold_path_needs(running: DefaultRun) -> None:
    held = mapped(running, "worker")
    assert [name for name in ("pydantic_core", "_yaml.", "_sqlite3.", "/cryptography/") if name in held] == []


@on_linux
def test_a_worker_whose_store_is_memory_does_not_pay_for_redis(tmp_path: Path) -> None:
    with default_run(tmp_path, {"WEIR_STORE": "memory"}) as run:
        run.call("hello")
        assert "/hiredis/" not in mapped(run, "worker")


def test_the_data_directory_is_its_owners_only(running: DefaultRun) -> None:
    data = running.place / ".weir"
    folders = [data, *(path for path in data.iterdir() if path.is_dir())]
    assert {str(path): oct(path.stat().st_mode & 0o777) for path in folders} == {str(path): "0o700" for path in folders}


def _keys(path: str) -> list[bytes]:
    """All keys, asked of the server in its own words."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(b"*2\r\n$4\r\nKEYS\r\n$1\r\n*\r\n")
        reader = connection.makefile("rb")
        count = int(reader.readline()[1:])
        return [reader.read(int(reader.readline()[1:]) + 2)[:-2] for _ in range(count)]
