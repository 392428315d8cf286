from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from proxy.channel import AskFailed, Sender
from proxy.clock import SystemClock
from proxy.configuration import sources
from proxy.control import process
from proxy.control.audit import load_key, verify
from proxy.control.process import Control, Parts, Paths
from proxy.errors import ConfigError
from proxy.server.admin import admin_app, metrics_app
from proxy.store import block
from tests.kit import FakeMetrics
from tests.proxy.control.records import entry, line, record


class House:
    """A control process's objects in this process, with a data directory of their own."""

    def __init__(self, directory: Path, environ: dict[str, str] | None = None, **flags: Any) -> None:
        self.data, self.run, self.file = directory / "data", directory / "run", directory / "weir.yaml"
        for path in (self.data, self.run):
            path.mkdir(exist_ok=True)
        if not self.file.exists():
            self.file.write_text("bypass: false\n")
        self.metrics = FakeMetrics()
        self.environ = environ or {}
        # the records of these tests are old: retention must not take them for over-age in the middle of a test
        flags.setdefault("records.retention_days", 7300)
        read = partial(sources.read, self.file, {"admin_port": 0, "data_dir": str(self.data), **flags}, self.environ)
        parts = Parts(
            clock=SystemClock(), metrics=self.metrics, read=read, environ=self.environ,
            render=lambda accept: (b"weir_workers 0\n", "text/plain"), admin=admin_app, scrapers=metrics_app,
        )  # fmt: skip
        self.control = Control(Paths(self.data, self.run, self.file), parts)
        self.headers: dict[str, str] = {}

    async def get(self, path: str, method: str = "GET", body: Any = None) -> tuple[int, Any]:
        url = f"http://127.0.0.1:{self.control.admin_port}{path}"
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, json=body, headers=self.headers) as answer,
        ):
            raw = await answer.read()
            return answer.status, orjson.loads(raw) if answer.content_type == "application/json" else raw

    def sender(self, heard: list[Any] | None = None) -> Sender:
        sender = Sender(str(self.run / "control.sock"), slot=0)
        if heard is not None:
            sender.on_push = heard.append
        return sender

    def verified(self) -> Any:
        return verify(self.data / "audit.db", load_key(self.data, self.environ))


@asynccontextmanager
async def running(house: House) -> AsyncIterator[House]:
    await house.control.start()
    try:
        yield house
    finally:
        await house.control.stop()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with running(House(tmp_path)) as made:
        yield made


async def until(true: Any, timeout_s: float = 5.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():
            await asyncio.sleep(0.005)


async def test_what_a_worker_sends_is_seen_on_the_admin_port(house: House) -> None:
    sender = house.sender()
    await sender.start()
    for n in range(1, 11):
        sender.put(line(n))
    assert await sender.stop(5.0) == 0
    status, page = await house.get("/admin/v1/executions?limit=4")
    assert status == 200 and [row["id"] for row in page["data"]] == [f"wr_{n:08d}" for n in (10, 9, 8, 7)]
    assert (await house.get("/admin/v1/executions/wr_00000003"))[1]["cost_usd"] == 1e-6
    assert (await house.get("/admin/v1/executions?agent=agent-1"))[1]["data"][0]["agent"] == "agent-1"
    assert {row["agent"]: row["calls"] for row in (await house.get("/admin/v1/counts"))[1]["data"]}["agent-1"] == 4
    entries = (await house.get("/admin/v1/audit?action=llm.call"))[1]["data"]
    assert len(entries) == 10
    report = (await house.get("/admin/v1/audit/verify"))[1]
    assert report["ok"] and report["entries"] == 12


async def test_a_durable_line_is_on_disk_when_the_worker_goes_on(house: House) -> None:
    sender = house.sender()
    await sender.start()
    await sender.put_durable(orjson.dumps({"audit": entry(1, action="llm.call.begin")}))
    with closing(sqlite3.connect(house.data / "audit.db")) as file:
        kept = file.execute("SELECT COUNT(*) FROM blocks WHERE latest = 'wr_00000001'").fetchone()
    assert kept == (1,)
    await sender.stop(1.0)


async def test_a_caller_learns_of_its_own_calls_only(house: House) -> None:
    sender = house.sender()
    await sender.start()
    sender.put(orjson.dumps(record(1)))
    own = await sender.ask({"call": "wr_00000001", "credential": "cafe"})
    assert own["call"]["cost_usd"] == 1e-6
    assert (await sender.ask({"call": "wr_00000001", "credential": "beef"}))["call"] is None
    with pytest.raises(AskFailed):
        await sender.ask({"call": 7})
    await sender.stop(1.0)


async def test_a_changed_setting_reaches_workers_the_trail_and_the_next_start(house: House, tmp_path: Path) -> None:
    heard: list[Any] = []
    sender = house.sender(heard)
    await sender.start()
    await until(lambda: heard == [{"snapshot": 1}])
    change = {"key": "bypass", "value": True, "reason": "incident"}
    status, said = await house.get("/admin/v1/overlay", "POST", change)
    assert status == 201 and said["who"] == "local"
    await until(lambda: heard[-1] == {"snapshot": 2})
    assert orjson.loads((house.run / "snapshot.json").read_bytes())["bypass"] is True
    assert (await house.get("/admin/v1/settings"))[1]["values"]["bypass"]["value"] is True
    assert (await house.get("/admin/v1/overlay/export"))[1] == b"bypass: true\n"
    assert (await house.get("/admin/v1/overlay", "POST", {"key": "bypas", "value": 1}))[0] == 400
    assert (await house.get("/admin/v1/audit?action=overlay.apply"))[1]["data"][0]["by"] == "local"
    await sender.stop(1.0)
    await house.control.stop()
    async with running(House(tmp_path)) as again:
        assert again.control.configuration.loaded.settings.bypass is True
        assert again.control.configuration.version == 3
        assert (await again.get("/admin/v1/overlay/1", "DELETE"))[0] == 200
        assert again.control.configuration.loaded.settings.bypass is False
    assert house.verified().ok


async def test_a_wrong_file_is_said_in_metric_and_readiness_and_the_old_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "POLL_S", 0.02)
    async with running(House(tmp_path)) as house:
        sender = house.sender()
        await sender.start()
        await until(house.control.workers)
        house.file.write_text("bypass: perhaps\n")
        house.control.hang_up()
        await until(lambda: house.metrics.total("weir_settings_rejected_total") == 1)
        status, body = await house.get("/readyz")
        assert status == 200 and "bypass" in body["details"]["settings"]["errors"][0]
        assert house.metrics.total("weir_settings_version") == 1
        house.file.write_text("bypass: true\n")
        await until(lambda: house.metrics.total("weir_settings_version") == 2)  # by itself: the file is looked at
        assert "errors" not in (await house.get("/readyz"))[1]["details"]["settings"]
        await sender.stop(1.0)


async def test_weir_is_ready_where_a_worker_takes_calls(house: House) -> None:
    assert await house.get("/livez") == (200, {"status": "ok"})
    status, body = await house.get("/readyz")
    assert (status, body["status"], body["details"]["workers"]) == (503, "no worker", 0)
    sender = house.sender()
    await sender.start()
    await until(house.control.workers)
    assert (await house.get("/readyz"))[0] == 200
    sender.draining()
    await until(lambda: not house.control.readiness()[0])
    status, body = await house.get("/readyz")
    assert (status, body["status"], body["details"]["workers"]) == (503, "draining", 1)
    await sender.stop(1.0)
    await house.control.stop()
    assert house.control.readiness()[1]["state"] == "stopping"


async def test_a_disk_that_is_full_is_called_full_and_the_workers_stay_ready(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*rows: Any, **more: Any) -> Any:
        raise sqlite3.OperationalError("database or disk is full")

    recorder = house.control._recorder
    assert recorder is not None
    sender = house.sender()
    await sender.start()
    with monkeypatch.context() as patch:
        patch.setattr(recorder.history, "write", full)
        patch.setattr(recorder.ledger, "append_admin", full)
        sender.put(line(1))
        await until(lambda: recorder.failing)
        for _ in range(5):
            status, body = await house.get("/readyz")
            assert (status, body["details"]["workers"]) == (200, 1)
        assert body["details"]["records"] == "cannot be written: database or disk is full"
        status, body = await house.get("/admin/v1/overlay", "POST", {"key": "bypass", "value": True})
        assert status == 500 and "disk is full" in body["error"]["message"]
    assert await sender.stop(5.0) == 0


@pytest.mark.parametrize("wrong", ["", "Host: a\r\nHost: b\r\n"])
async def test_a_call_without_one_host_is_told_so_in_json_and_not_logged(
    house: House, caplog: pytest.LogCaptureFixture, wrong: str
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.control.admin_port)
    writer.write(f"GET /admin/v1 HTTP/1.1\r\n{wrong}\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    assert b" 400 " in head.split(b"\r\n")[0]
    assert orjson.loads(body)["error"]["code"] == "malformed_request"
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_what_steals_keys_needs_the_token_and_what_loads_code_is_never_served(tmp_path: Path) -> None:
    stealing = {"key": "upstreams.openai.url", "value": "http://127.0.0.1:28311/v1"}
    loading = {"key": "plugins.metering.uses", "value": "os:system"}
    for environ in ({}, {"WEIR_ADMIN_TOKEN": "a-long-enough-token"}):
        async with running(House(tmp_path, environ)) as house:
            house.headers = {"Authorization": "Bearer a-long-enough-token"} if environ else {}
            assert (await house.get("/admin/v1/overlay", "POST", loading))[0] == 403
            status, body = await house.get("/admin/v1/overlay", "POST", stealing)
            assert status == (201 if environ else 403)
            assert environ or "WEIR_ADMIN_TOKEN" in body["error"]["message"]
    async with running(House(tmp_path)) as house:
        assert (await house.get("/admin/v1/overlay/1", "DELETE"))[0] == 403


async def test_workers_are_listed_while_they_are_connected(house: House) -> None:
    sender = house.sender()
    await sender.start()
    await until(house.control.workers)
    assert (await house.get("/admin/v1/workers"))[1]["data"][0]["pid"] == os.getpid()
    await sender.stop(1.0)
    await until(lambda: not house.control.workers())


async def test_the_token_opens_the_admin_port(tmp_path: Path) -> None:
    environ = {"WEIR_ADMIN_TOKEN": "a-long-enough-token"}
    async with running(House(tmp_path, environ, metrics_listen="127.0.0.1:0")) as house:
        assert (await house.get("/admin/v1/settings"))[0] == 401
        house.headers = {"Authorization": "Bearer a-long-enough-token"}
        status, body = await house.get("/admin/v1/settings")
        assert status == 200 and "a-long-enough-token" not in str(body)
        house.headers = {}
        house.control.admin_port = house.control.metrics_port or 0
        assert (await house.get("/metrics"))[1] == b"weir_workers 0\n"
        assert (await house.get("/admin/v1/settings"))[0] in (401, 404)


async def test_beyond_this_machine_it_refuses_to_start_without_a_token(tmp_path: Path) -> None:
    with pytest.raises((ConfigError, sources.ConfigErrors), match=r"(?i)token"):
        async with running(House(tmp_path, admin_host="0.0.0.0")):
            pass


async def test_a_taken_port_is_a_sentence(house: House, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = House(tmp_path / "other", admin_port=house.control.admin_port)
    try:
        with pytest.raises(
            ConfigError, match=r"cannot be opened: Address already in use; choose another with --admin-port"
        ):
            await other.control.start()
    finally:
        await other.control.stop()


async def test_old_records_are_deleted(tmp_path: Path) -> None:
    old = tmp_path / "data" / "executions"
    old.mkdir(parents=True)
    (old / "2001-01-01.db").touch()
    async with running(House(tmp_path)):
        await until(lambda: not (old / "2001-01-01.db").exists())


CONTROL = """
import asyncio, sys
from functools import partial
from pathlib import Path
from proxy.configuration import sources
from proxy.clock import SystemClock
from proxy.control.process import Control, Parts, Paths
from proxy.server.admin import admin_app, metrics_app
from tests.kit import FakeMetrics

async def main():
    data, run = Path(sys.argv[1]), Path(sys.argv[2])
    flags = {"admin_port": 0, "data_dir": str(data), "records.retention_days": 7300}
    read = partial(sources.read, None, flags, {})
    parts = Parts(SystemClock(), FakeMetrics(), read, lambda accept: (b"", "text/plain"), {}, admin_app, metrics_app)
    await Control(Paths(data, run), parts).start()
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.slow
async def test_control_may_be_killed_at_any_moment_and_every_record_arrives_once(tmp_path: Path) -> None:
    house = House(tmp_path)
    sender = house.sender()
    await sender.start()
    sent = 0
    for life in range(3):
        killed = subprocess.Popen(
            [sys.executable, "-c", CONTROL, str(house.data), str(house.run)], stdout=subprocess.PIPE, cwd=os.getcwd()
        )
        assert killed.stdout is not None
        assert await asyncio.to_thread(killed.stdout.readline) == b"ready\n"
        for _ in range(30 + 20 * life):
            for _ in range(20):
                sent += 1
                sender.put(line(sent))
            await asyncio.sleep(0.003)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        killed.stdout.close()
    async with running(house):
        assert await sender.stop(10.0) == 0
        report = (await house.get("/admin/v1/audit/verify"))[1]
        assert report["ok"] and report["lost"] == 0
        calls = sum(row["calls"] for row in (await house.get("/admin/v1/counts"))[1]["data"])
        assert calls == sent
    for path in (*house.data.glob("*.db"), *house.data.glob("executions/*.db")):
        with closing(sqlite3.connect(path)) as file:
            assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with closing(sqlite3.connect(house.data / "audit.db")) as file:
        rows = list(file.execute("SELECT last, first, chained, earliest, latest, mac, body FROM blocks"))
    entries = [block.parsed(each) for row in rows for each in block.lines(block.Block(*row))]
    refs = [each.ref for each in entries if each.ref]
    assert len(refs) == len(set(refs)) == sent
