"""Security events: written with the calls that have them, paged like them, erased and unlinked with them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from proxy.exchange import Finding
from proxy.record import line, parsed
from proxy.store.events import MOST, EventFilter, of_rows
from proxy.store.history import History
from proxy.store.rows import COLUMNS, Cursor
from tests import kit
from tests.kit import FakeClock

NOON = 1_700_049_600.0
DAY_S = 86_400.0


def finding(type_: str = "word", **fields: Any) -> dict[str, Any]:
    plain = {"plugin": "g", "type": type_, "severity": "high", "action": "refuse", "score": 0.5, "reasons": ["r"],
             "counts": [["WORD", 2]], "recommended": ""}  # fmt: skip
    return {**plain, **fields}


def row(id: str, *findings: dict[str, Any], at: float = NOON, **fields: Any) -> dict[str, Any]:
    made = {"id": id, "at": at, "agent": "a", "user": "ann", "session": "s", **fields}
    return {**made, "findings": list(findings)} if findings else made


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "executions", FakeClock())


def told(history: History, wanted: EventFilter | None = None, step: int = 100) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    cursor: Cursor | None = None
    while True:
        page = history.events(wanted or EventFilter(), step, cursor)
        found += [(one["call"], one["type"]) for one in page.rows]
        if page.next is None:
            return found
        cursor = page.next


def test_an_event_is_what_was_found_of_a_call_and_by_whom(history: History) -> None:
    history.write([row("a", finding("jailbreak", action="would refuse", recommended="review"), model="m")])
    (event,) = history.events(EventFilter(), 10).rows
    assert event == {
        "at": NOON, "call": "a", "type": "jailbreak", "severity": "high", "plugin": "g", "agent": "a", "user": "ann",
        "session": "s", "action": "refuse", "mode": "shadow", "score": 0.5, "reasons": ["r"], "counts": {"WORD": 2},
        "recommended": "review",
    }  # fmt: skip


def test_calls_without_findings_leave_none(history: History) -> None:
    history.write([row("a"), row("b", steps=[["g", "request", "edited 1"]])])
    assert told(history) == []


def test_the_line_of_a_call_brings_them_as_well(history: History) -> None:
    call = kit.exchange(user="bob")
    call.find(Finding("g", "odd", "low", "tag", counts=(("X", 1),)))
    call.at_s = NOON
    found: Any = parsed(line(call))
    history.write([found])
    (event,) = history.events(EventFilter(), 10).rows
    assert (event["call"], event["type"], event["user"], event["mode"]) == (call.id, "odd", "bob", "enforce")


def test_they_are_paged_newest_first_across_days_without_gap_or_repetition(history: History) -> None:
    history.write([row(f"{n:02d}", finding("x"), finding("y"), at=NOON + n * DAY_S / 3) for n in range(9)])
    whole = [(f"{n:02d}", type_) for n in reversed(range(9)) for type_ in ("y", "x")]
    for step in (1, 2, 5, 100):
        assert told(history, step=step) == whole


def test_filters_combine(history: History) -> None:
    history.write([row("a", finding("x"), finding("y", severity="low"), agent="one")])
    history.write([row("b", finding("x", plugin="h"), at=NOON + DAY_S, user="bob")])
    assert told(history, EventFilter(type="x")) == [("b", "x"), ("a", "x")]
    assert told(history, EventFilter(severity="low")) == [("a", "y")]
    assert told(history, EventFilter(agent="one", type="x")) == [("a", "x")]
    assert told(history, EventFilter(user="bob")) == [("b", "x")]
    assert told(history, EventFilter(plugin="h")) == [("b", "x")]
    assert told(history, EventFilter(since_s=NOON + 1)) == [("b", "x")]
    assert told(history, EventFilter(until_s=NOON + 1, type="y")) == [("a", "y")]
    for nasty in ("'; DROP TABLE events; --", "' OR '1'='1", 'x" OR ""="'):
        assert told(history, EventFilter(type=nasty)) == []


def test_a_batch_that_is_sent_twice_is_stored_once(history: History) -> None:
    for _ in range(2):
        history.write([row("a", finding("x"), finding("y"))])
    assert told(history) == [("a", "y"), ("a", "x")]


def test_an_erased_user_is_in_no_event_and_no_byte(history: History) -> None:
    history.write([row("a", finding("x"), user="anastasia"), row("b", finding("x"), user="bob")])
    (day,) = history.days()
    history.erase(day, "anastasia", errors=True)
    assert {(one["call"], one["user"], one["session"]) for one in history.events(EventFilter(), 9).rows} == {
        ("a", None, None), ("b", "bob", "s"),
    }  # fmt: skip
    for path in history.directory.iterdir():
        assert b"anastasia" not in path.read_bytes()


def test_they_go_with_their_day(tmp_path: Path) -> None:
    clock = FakeClock()
    history = History(tmp_path, clock)
    now = clock.wall_s()
    history.write([row("old", finding(), at=now - 3 * DAY_S), row("new", finding(), at=now)])
    history.sweep(2)
    assert told(history) == [("new", "word")]


def test_days_of_an_older_weir_have_none_and_get_their_table_when_they_are_written(history: History) -> None:
    history.write([row("a", finding())])
    history.close()
    path = history.directory / f"{history.days()[0]}.db"
    with closing(sqlite3.connect(path)) as file:
        file.execute("DROP TABLE events")
    assert told(history) == []
    history.write([row("b", finding())])
    assert told(history) == [("b", "word")]


@pytest.mark.parametrize(
    "detail",
    ["", "[", "[null]", '[{"findings":null}]', '[{"findings":{}}]', '[{"findings":[1,null,"x"]}]', '[{"findings":1}]'],
)
def test_what_a_worker_did_not_write_as_it_should_is_no_event(detail: str) -> None:
    values: list[Any] = [None] * (len(COLUMNS) - 1)
    assert of_rows([[*values, detail]]) == []


def test_odd_values_cost_neither_the_event_nor_the_call(history: History) -> None:
    odd = finding("t\ud800", score="x", reasons=None, counts=None, action=7, severity=None)
    assert history.write([row("a", odd, *[finding() for _ in range(2 * MOST)])]) == 0
    found = history.events(EventFilter(), 1000).rows
    assert len(found) == MOST
    assert found[-1] | {"type": "t?", "score": None, "action": "7", "severity": ""} == found[-1]
