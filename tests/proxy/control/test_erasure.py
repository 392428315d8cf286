from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy.control.audit import verify
from proxy.control.erasure import Wish, erase
from proxy.control.recorder import Recorder
from proxy.control.redaction import Redactor
from proxy.errors import BadRequest, WeirError
from proxy.store.history import History
from proxy.store.journal import EntryFilter
from tests.kit import FakeClock
from tests.proxy.control.records import KEY, entry, record, trail

ANN = "canary-ann"
redact = Redactor()


@pytest.fixture
async def recorder(tmp_path: Path) -> AsyncIterator[Recorder]:
    made = Recorder(History(tmp_path / "executions", FakeClock()), trail(tmp_path), redact)
    await made.start()
    yield made
    await made.stop()


def call(number: int, user: str, *, entries: bool = True, **fields: Any) -> bytes:
    said = {"mode": "masked", "input": [{"text": f"I am {user}, call {number}"}]}
    row = record(number, user=user, session=f"of-{user}", error=f"{user} was refused", **fields)
    if entries:
        row["audit"] = entry(number, user=user, session=f"of-{user}", content=said)
    return orjson.dumps(row)


def on_disk(data: Path) -> bytes:
    return b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())


def acts(recorder: Recorder) -> list[dict[str, Any]]:
    return recorder.ledger.journal.page(EntryFilter(action="erase"), 10)


async def test_a_person_is_in_no_byte_and_all_others_are_whole(recorder: Recorder, tmp_path: Path) -> None:
    days = [0.0, 86_400.0, 10 * 86_400.0]
    for n in range(1, 61):
        await recorder.write(
            [call(n, ANN if n % 3 == 0 else f"bob-{n}", at=1_700_001_000.0 + days[n % 2 + n % 3 // 2])]
        )
    assert on_disk(tmp_path).count(ANN.encode()) > 60
    assert await erase(recorder, Wish(ANN, "right to erasure", "admin")) == {"entries": 20, "calls": 20}

    assert ANN.encode() not in on_disk(tmp_path)
    await recorder.in_writer(recorder.ledger.write_head)
    report = verify(tmp_path / "audit.db", KEY)
    assert report.ok and report.erased_persons == report.erased_texts == 20
    left = [each for each in recorder.ledger.journal.page(EntryFilter(action="llm.call"), 100) if each["user"]]
    assert [each["user"] for each in left] == [f"bob-{n}" for n in range(60, 0, -1) if n % 3]
    for each in left:
        assert each["session"] == f"of-{each['user']}" and each["user"] in each["content"]["input"][0]["text"]
    for n in range(1, 61):
        row = recorder.history.find(f"wr_{n:08d}")
        assert row is not None and row["cost_nano_usd"] == 1000
        whole = (f"bob-{n}", f"of-bob-{n}", f"bob-{n} was refused")
        assert (row["user"], row["session"], row["error"]) == (whole if n % 3 else (None, None, None))


async def test_a_signed_entry_says_who_erased_what_and_why_and_never_whom(recorder: Recorder) -> None:
    await recorder.write([call(1, ANN), call(2, "bob"), call(3, ANN)])
    await erase(recorder, Wish(ANN, "ticket 7", "admin"))
    (act,) = acts(recorder)
    assert act["by"] == "admin" and act["details"] == {
        "entries": [[2, 2], [4, 4]], "texts": True, "persons": True, "why": "ticket 7", "calls": 2,
    }  # fmt: skip


async def test_asking_again_or_for_somebody_unknown_erases_and_notes_nothing(recorder: Recorder) -> None:
    await recorder.write([call(1, ANN)])
    for user, found in ((ANN, 1), (ANN, 0), ("canary", 0), (ANN.upper(), 0)):
        assert await erase(recorder, Wish(user, "asked", "admin")) == {"entries": found, "calls": found}
    assert len(acts(recorder)) == 1


async def test_what_arrives_later_is_erased_by_asking_again(recorder: Recorder, tmp_path: Path) -> None:
    for n in (1, 2):
        await recorder.write([call(n, ANN)])
        assert await erase(recorder, Wish(ANN, "asked", "admin")) == {"entries": 1, "calls": 1}
    assert ANN.encode() not in on_disk(tmp_path)


async def test_texts_may_stay_behind_without_their_person(recorder: Recorder) -> None:
    await recorder.write([call(1, ANN)])
    assert await erase(recorder, Wish(ANN, "asked", "admin", texts=False)) == {"entries": 1, "calls": 1}
    (found,) = recorder.ledger.journal.page(EntryFilter(action="llm.call"), 10)
    assert found["person_erased"] and found["user"] is None and found["content"]["input"]
    row = recorder.history.find("wr_00000001")
    assert row is not None and row["user"] is None and row["error"] == f"{ANN} was refused"


async def test_records_without_entries_are_erased_and_that_is_noted(recorder: Recorder, tmp_path: Path) -> None:
    await recorder.write([call(1, ANN, entries=False)])
    assert await erase(recorder, Wish(ANN, "asked", "admin")) == {"entries": 0, "calls": 1}
    (act,) = acts(recorder)
    assert act["details"]["entries"] == [] and act["details"]["calls"] == 1
    assert verify(tmp_path / "audit.db", KEY).ok


async def test_a_day_that_cannot_be_read_is_told_and_holds_up_no_other(recorder: Recorder, tmp_path: Path) -> None:
    await recorder.write([call(1, ANN)])
    damaged = tmp_path / "executions" / "2023-11-20.db"
    damaged.write_bytes(b"no database at all" * 100)
    with pytest.raises(WeirError, match=r"not in the records of 2023-11-20 \(file is not a database\): ask again"):
        await erase(recorder, Wish(ANN, "asked", "admin"))
    assert damaged.read_bytes() == b"no database at all" * 100
    assert ANN.encode() not in on_disk(tmp_path)
    damaged.unlink()
    assert await erase(recorder, Wish(ANN, "asked", "admin")) == {"entries": 0, "calls": 0}


async def test_a_trail_that_cannot_be_written_leaves_the_records_alone(recorder: Recorder) -> None:
    await recorder.write([call(1, ANN)])
    await recorder.in_writer(recorder.ledger.journal._file.execute, "PRAGMA query_only = ON")
    with pytest.raises(WeirError, match="the audit trail cannot be written") as caught:
        await erase(recorder, Wish(ANN, "asked", "admin"))
    assert caught.value.code == "not_written" and recorder.history.of_user(ANN) == {"2023-11-14": 1}
    await recorder.in_writer(recorder.ledger.journal._file.execute, "PRAGMA query_only = OFF")


async def test_what_is_still_read_is_cut_from_the_log_when_its_reader_is_gone(
    recorder: Recorder, tmp_path: Path
) -> None:
    await recorder.write([call(1, ANN)])
    journal = recorder.ledger.journal
    reading = sqlite3.connect(tmp_path / "audit.db", isolation_level=None)
    reading.execute("BEGIN")
    reading.execute("SELECT count(*) FROM persons").fetchone()
    await recorder.write([call(2, "bob")])
    assert not await recorder.in_writer(journal.fold)
    reading.close()
    assert await recorder.in_writer(journal.fold)
    assert (tmp_path / "audit.db-wal").stat().st_size == 0


@pytest.mark.parametrize(
    ("user", "why", "param"),
    [
        ("", "asked", "user"),
        (" \n", "asked", "user"),
        ("x" * 1001, "asked", "user"),
        ("ann", "", "why"),
        ("ann", "  ", "why"),
        ("ann", "x" * 1001, "why"),
        ("ann", "Ann asked us to", "why"),
        ("a.b@c.example", "mail from A.B@c.example", "why"),
    ],
)
def test_a_wish_that_cannot_be_noted_is_refused(user: str, why: str, param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        Wish(user, why, "admin")
    assert caught.value.param == param


def test_a_why_may_have_words_with_the_name_in_them() -> None:
    assert Wish("ann", "cannot be kept: annual clearing", "admin").why
