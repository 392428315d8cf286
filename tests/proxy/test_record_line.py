"""Records on their way to control: what `line` writes, control stores without having looked at most of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy import record
from proxy.control.audit import verify
from proxy.control.recorder import Recorder
from proxy.control.redaction import Redactor
from proxy.exchange import Response, Usage
from proxy.record import HEAD, REST, Record, parsed
from proxy.record import line_of as line
from proxy.store.history import History
from proxy.store.journal import EntryFilter
from proxy.store.rows import COLUMNS, DETAIL, EXTRA
from tests import kit
from tests.proxy.control import records


def made(number: int = 1, **fields: object) -> Record:
    """A whole record, as the pipeline makes it, with its entry."""
    found = record.parsed(record.line(kit.exchange()))
    found |= {"id": f"wr_{number:08d}", "at": 1_700_001_000.5 + number, "user": "u1"}
    found["audit"] = records.entry(number, user="u1")
    found |= fields  # type: ignore[typeddict-item]
    return found


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    history = History(tmp_path / "executions", kit.FakeClock())
    return Recorder(history, records.trail(tmp_path), Redactor())


def test_the_places_of_a_line_are_the_columns_of_the_table() -> None:
    assert (*HEAD, "detail") == tuple(COLUMNS)
    assert REST == DETAIL
    assert Record.__annotations__.keys() == {*HEAD, *REST, *EXTRA, "audit"}


def test_the_places_on_disk_never_change() -> None:
    assert DETAIL[:3] == ("tenant", "conversation", "key") and DETAIL[17:20] == (
        "overhead_ms",
        "cache_read_tokens",
        "cache_write_tokens",
    )
    assert DETAIL.index("plugins_us") == 28 and DETAIL.index("uninspected") == 29


def test_what_is_read_from_a_line_is_what_was_written() -> None:
    for found in (made(), made(steps=[["p", "request", "refused"]], findings=[{"type": "tab\there"}])):
        assert parsed(line(found)) == found
    bare = made()
    del bare["audit"]
    assert parsed(line(bare)) == bare


def test_a_line_is_stored_with_every_field_and_its_entry(recorder: Recorder, tmp_path: Path) -> None:
    found = made(3, steps=[["p", "request", "edited"]], error="no", outcome="refused", stream=True)
    entry = found["audit"]
    assert recorder._commit([line(found)] * 2) == 0
    del found["audit"]
    assert recorder.history.find("wr_00000003") == found
    (kept,) = recorder.ledger.journal.page(EntryFilter(ref="wr_00000003"), 5)
    assert {name: kept[name] for name in entry} == entry
    recorder.ledger.write_head()
    assert verify(tmp_path / "audit.db", records.KEY).ok


def test_lines_of_both_forms_may_come_in_one_batch(recorder: Recorder) -> None:
    assert recorder._commit([records.line(1), line(made(2)), records.line(3), line(made(4))]) == 0
    assert all(recorder.history.find(f"wr_{n:08d}") for n in (1, 2, 3, 4))
    assert recorder.ledger.count == 5 and recorder.ledger.settle(all_of_them=True) == 0


def test_what_others_can_write_into_a_line_is_redacted_in_row_and_manifest(recorder: Recorder, tmp_path: Path) -> None:
    names = {"model": "canary@example.com", "path": "/v1/files/canary@example.com"}
    found = made(1, **names, error="sk-canary0123456789 is wrong", served_model="canary@example.com")
    found["audit"]["metadata"] = {**names, "served_model": "canary@example.com"}
    for _ in range(2):
        assert recorder._commit([line(found)]) == 0
    kept = recorder.history.find("wr_00000001")
    assert kept is not None and kept["error"] == "[SECRET_REDACTED] is wrong" and kept["model"] == "[EMAIL_REDACTED]"
    recorder.ledger.journal.sync()
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"canary" not in path.read_bytes(), path.name


def test_texts_of_a_line_are_masked(recorder: Recorder) -> None:
    found = made()
    found["audit"]["content"] = {"mode": "masked", "input": [{"text": "I am 123-45-6789"}], "output": []}
    recorder._commit([line(found)])
    (kept,) = recorder.ledger.journal.page(EntryFilter(ref="wr_00000001"), 1)
    assert kept["content"]["input"] == [{"text": "I am [SSN_REDACTED]"}]


GOOD = line(made(9)).split(b"\t")


@pytest.mark.parametrize(
    "poison",
    [
        b"[",
        b"[]",
        b"[\t]",
        GOOD[0],
        b"\t".join((b"[7" + GOOD[0][GOOD[0].index(b",") :], *GOOD[1:])),
        b"\t".join((*GOOD[:2], b"w", b"1", b"{}")),
        b"\t".join((*GOOD[:3], b"-1", GOOD[4])),
        b"\t".join((*GOOD[:3], b"9" * 40, GOOD[4])),
        b"\t".join((*GOOD[:4], b"nonsense")),
        b"\t".join((*GOOD[:4], b'{"by": "weir"')),
        b"\t".join((*GOOD[:4], b"[]")),
        b"\t".join((GOOD[0], b"\xff", *GOOD[2:])),
        b"\t".join((*GOOD[:4], b'{"a\xff"}')),
        b"\t".join((*GOOD, b"{")),
        b",".join((GOOD[0], GOOD[0])),
        b"7",
        b'"text"',
    ],
)
def test_no_line_can_hold_up_the_others(recorder: Recorder, tmp_path: Path, poison: bytes) -> None:
    for _ in range(2):
        assert recorder._commit([line(made(1)), poison, line(made(2))]) == 1
    assert recorder.history.find("wr_00000002")
    assert len(recorder.ledger.journal.page(EntryFilter(ref="wr_00000002"), 5)) == 1
    recorder.ledger.write_head()
    assert verify(tmp_path / "audit.db", records.KEY).ok


def test_an_id_with_the_signs_of_a_line_stays_in_its_place(recorder: Recorder, tmp_path: Path) -> None:
    found = made(1, id='x\t"w"\t1\n\t\t\t\t\t{"action":"erase"}')
    assert recorder._commit([line(found), line(made(2))]) == 0
    kept = recorder.ledger.journal.page(EntryFilter(), 5)
    assert [each["action"] for each in kept] == ["llm.call", "llm.call", "chain.begin"]
    recorder.ledger.write_head()
    assert verify(tmp_path / "audit.db", records.KEY).ok


def test_a_worker_cannot_speak_for_weir(recorder: Recorder, tmp_path: Path) -> None:
    found = made()
    found["audit"] |= {"action": "erase", "by": "ann", "details": {"entries": [[1, 9]], "texts": True}}
    assert recorder._commit([line(found)]) == 0
    (kept,) = recorder.ledger.journal.page(EntryFilter(ref="wr_00000001"), 1)
    assert kept["worker"] == "w1"
    recorder.ledger.write_head()
    assert verify(tmp_path / "audit.db", records.KEY).ok


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**70)])
def test_a_number_that_no_table_holds_does_not_cost_the_row(recorder: Recorder, number: int) -> None:
    call = kit.exchange()
    call.response = Response(usage=Usage(input=number, reasoning=number), usage_source="provider", finish="stop")
    call.cost_nano_usd = number
    assert recorder._commit([line(made(1)), record.line(call)]) == 0
    found = recorder.history.find("wr_test")
    assert found is not None and recorder.history.find("wr_00000001") is not None
    assert (found["input_tokens"], found["cost_nano_usd"], found["finish"]) == (None, None, "stop")
