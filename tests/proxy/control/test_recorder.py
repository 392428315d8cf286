from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from proxy.control.audit import verify
from proxy.control.recorder import Recorder
from proxy.control.redaction import Redactor
from proxy.control.vault import Vault
from proxy.store.history import History, Row
from proxy.store.journal import EntryFilter
from tests.kit import FakeClock
from tests.proxy.control.records import KEY, entry, line, record, trail

redact = Redactor()


class Counted:
    def __init__(self) -> None:
        self.total = 0.0

    def __call__(self, count: float) -> None:
        self.total += count


@pytest.fixture
def dropped() -> Counted:
    return Counted()


@pytest.fixture
async def recorder(tmp_path: Path, dropped: Counted) -> AsyncIterator[Recorder]:
    made = Recorder(
        History(tmp_path / "executions", FakeClock()),
        trail(tmp_path),
        redact,
        vault=Vault("a content key"),
        dropped=dropped,
    )
    await made.start()
    yield made
    await made.stop()


async def test_when_write_returns_row_and_entry_are_on_disk(recorder: Recorder, tmp_path: Path) -> None:
    await recorder.write([line(1), line(2)])
    other = History(tmp_path / "executions", FakeClock())
    found = other.find("wr_00000002")
    assert found is not None and found["cost_nano_usd"] == 1000 and "audit" not in found
    entries = recorder.ledger.journal.page(EntryFilter(ref="wr_00000002"), 5)
    assert [each["agent"] for each in entries] == ["agent-2"]


async def test_batches_that_come_together_are_written_together_and_each_is_acknowledged(recorder: Recorder) -> None:
    await asyncio.gather(*(recorder.write([line(n)]) for n in range(1, 51)))
    assert recorder.history.find("wr_00000050") is not None
    assert recorder.ledger.count == 51


async def test_sending_twice_changes_nothing(recorder: Recorder) -> None:
    for _ in range(3):
        await recorder.write([line(1), line(2)])
    assert recorder.ledger.count == 3


async def test_lines_that_are_no_records_are_counted_and_the_rest_is_kept(recorder: Recorder, dropped: Counted) -> None:
    await recorder.write([b"nonsense", b"[]", b"{}", b'{"id": 7}', b"\xff", line(1), orjson.dumps(record(2))])
    assert dropped.total == 5
    assert recorder.history.find("wr_00000001") and recorder.history.find("wr_00000002")


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


@pytest.mark.parametrize(
    "poison",
    [
        b'{"id": "x", "at": 1, "findings": ' + nested(400) + b"}",
        b'{"id": "x", "audit": {"seq": 1, "worker": "p", "metadata": ' + nested(400) + b"}}",
        b'{"id": "x", "audit": {"seq": 1, "worker": "p", "content": ' + nested(900) + b"}}",
        b'{"id": "x", "audit": {"seq": 1, "worker": "p", "content": {"mode": "full", "x": ' + nested(900) + b"}}}",
        b'{"id": "x", "audit": {"seq": "one", "worker": ["p"], "user": {"a": 1}, "call": {}, "session": 7}}',
        b'{"id": "x", "audit": {"seq": 99999999999999999999}, "status": 99999999999999999999, "agent": []}',
        b'{"id": "", "at": {}, "error": {"a": 1}, "model": 5, "path": ["x"]}',
        b'{"id": "\\u0000", "audit": {"call": "\\u0000x", "seq": -1}}',
        b'{"audit": {}}',
    ],
)
async def test_no_line_can_hold_up_the_others(recorder: Recorder, tmp_path: Path, poison: bytes) -> None:
    for _ in range(2):
        await recorder.write([line(1), poison, line(2)])
    assert recorder.history.find("wr_00000002")
    assert len(recorder.ledger.journal.page(EntryFilter(ref="wr_00000002"), 5)) == 1
    await recorder.in_writer(recorder.ledger.write_head)
    assert verify(tmp_path / "audit.db", KEY).ok


async def test_an_entry_before_its_call_is_kept_without_a_row(recorder: Recorder) -> None:
    await recorder.write([orjson.dumps({"audit": entry(1, action="llm.call.begin")})])
    await recorder.write([orjson.dumps(record(1, audit=entry(2, call="wr_00000001")))])
    found = recorder.ledger.journal.page(EntryFilter(ref="wr_00000001"), 5)
    assert [each["action"] for each in found] == ["llm.call", "llm.call.begin"]


async def test_what_others_can_write_into_a_record_is_redacted(recorder: Recorder, tmp_path: Path) -> None:
    fields = {
        "error": "bad key sk-canary0123456789 of canary@example.com",
        "model": "canary@example.com",
        "path": "/v1/files/canary@example.com",
    }
    metadata = {"path": fields["path"], "model": fields["model"]}
    await recorder.write([orjson.dumps(record(1, **fields, audit=entry(1, metadata=metadata)))])
    found = recorder.history.find("wr_00000001")
    assert found is not None and found["error"] == "bad key [SECRET_REDACTED] of [EMAIL_REDACTED]"
    await recorder.in_writer(recorder.ledger.journal.sync)
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"canary" not in path.read_bytes(), path.name


async def test_texts_are_masked_where_masked_was_asked_for(recorder: Recorder) -> None:
    content = {"mode": "masked", "input": [{"role": "user", "text": "I am 123-45-6789"}], "output": []}
    await recorder.write([orjson.dumps(record(1, audit=entry(1, content=content)))])
    found = recorder.ledger.journal.page(EntryFilter(), 1)[0]
    assert found["content"]["input"][0]["text"] == "I am [SSN_REDACTED]"


async def test_full_texts_are_encrypted(recorder: Recorder, tmp_path: Path) -> None:
    content = {"mode": "full", "input": [{"role": "user", "text": "canary 123-45-6789"}], "output": []}
    await recorder.write([orjson.dumps(record(1, audit=entry(1, content=content)))])
    found = recorder.ledger.journal.page(EntryFilter(), 1)[0]
    assert recorder.vault is not None
    assert recorder.vault.unlock(found["content"], "wr_00000001") == content
    await recorder.in_writer(recorder.ledger.journal.sync)
    assert not any(b"canary" in path.read_bytes() for path in tmp_path.glob("audit.db*"))


async def test_full_texts_without_a_key_are_masked(recorder: Recorder) -> None:
    recorder.vault = None
    content = {"mode": "full", "input": [{"role": "user", "text": "I am 123-45-6789"}], "output": []}
    await recorder.write([orjson.dumps(record(1, audit=entry(1, content=content)))])
    found = recorder.ledger.journal.page(EntryFilter(), 1)[0]
    assert found["content"]["mode"] == "masked" and found["content"]["input"][0]["text"] == "I am [SSN_REDACTED]"


async def test_a_failing_disk_refuses_the_batch_and_is_told_once(
    recorder: Recorder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "weir.records")
    whole = recorder.history.write

    def full(rows: object) -> int:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(recorder.history, "write", full)
    for _ in range(3):
        with pytest.raises(sqlite3.OperationalError):
            await recorder.write([line(1)])
    assert recorder.failing == "database or disk is full"
    monkeypatch.setattr(recorder.history, "write", whole)
    await recorder.write([line(1)])
    assert not recorder.failing and recorder.history.find("wr_00000001")
    assert [message.levelname for message in caplog.records] == ["ERROR", "INFO"]


async def test_a_batch_whose_entries_did_not_reach_the_trail_comes_again_and_is_chained_once(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are committed first: whatever happens before the entries are, the worker was told nothing."""
    await recorder.write([line(1)])
    whole = recorder.ledger.journal.write

    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(recorder.ledger.journal, "write", full)
    with pytest.raises(sqlite3.OperationalError):
        await recorder.write([line(2), line(3)])
    assert recorder.history.find("wr_00000003") is not None and recorder.ledger.count == 2
    monkeypatch.setattr(recorder.ledger.journal, "write", whole)
    await recorder.write([line(2), line(3)])
    await recorder.write([line(2), line(3)])
    assert recorder.ledger.count == 4
    await recorder.in_writer(recorder.ledger.write_head)
    assert verify(tmp_path / "audit.db", KEY).ok


def test_a_crash_between_rows_and_entries_leaves_nothing_out_and_nothing_twice(tmp_path: Path) -> None:
    def started() -> Recorder:
        return Recorder(History(tmp_path / "executions", FakeClock()), trail(tmp_path), redact)

    first = started()
    first._commit([line(1), line(2)])
    rows: list[Row] = []
    first._take([line(3), line(4)], rows, [])
    first.history.write(rows)
    first.ledger.journal.close()  # as a kill would leave it
    second = started()
    for _ in range(2):
        assert second._commit([line(1), line(2), line(3), line(4)]) == 0
    assert second.ledger.count == 5 and second.ledger.settle(all_of_them=True) == 0
    second.ledger.close()
    assert verify(tmp_path / "audit.db", KEY).ok


async def test_an_id_can_neither_end_a_line_of_the_trail_nor_begin_another(recorder: Recorder, tmp_path: Path) -> None:
    forged = 'x\n\t\t\t\t\t{"action":"erase","by":"weir","details":{"entries":[[1,99]],"texts":true}}'
    await recorder.write([orjson.dumps(record(1, id=forged, audit=entry(1, call=forged))), line(2)])
    await recorder.write([line(3)])
    assert recorder.ledger.count == 4 and recorder.history.find(forged) is not None
    assert [each["action"] for each in recorder.ledger.journal.page(EntryFilter(), 9)][:3] == ["llm.call"] * 3
    await recorder.in_writer(recorder.ledger.write_head)
    assert verify(tmp_path / "audit.db", KEY).ok


async def test_stopping_signs_the_end(tmp_path: Path) -> None:
    recorder = Recorder(History(tmp_path / "executions", FakeClock()), trail(tmp_path), redact)
    await recorder.start()
    await recorder.write([line(n) for n in range(1, 20)])
    await recorder.admin("ann", "overlay.apply", {"key": "bypass"})
    await recorder.stop()
    report = verify(tmp_path / "audit.db", KEY)
    assert report.ok and report.checkpoint == report.entries == 21
