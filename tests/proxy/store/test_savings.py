"""Savings in a day's file: of calls that have some, whoever wrote them, and gone with the day."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from proxy.findings import Saving
from proxy.store import savings
from proxy.store.history import History
from proxy.store.rows import Filter
from tests.kit import FakeClock

NOON = 1_700_049_600.0


def call(number: int, *found: Saving, **more: Any) -> dict[str, Any]:
    row = {"id": f"wr_{number}", "at": NOON + number, "agent": "a", "user": "ann", **more}
    return row | ({"savings": [asdict(one) for one in found]} if found else {})


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "executions", FakeClock())


def rows(history: History) -> list[tuple[Any, ...]]:
    found = []
    for day in history.days()[::-1]:
        with closing(sqlite3.connect(history.directory / f"{day}.db")) as file:
            found += file.execute('SELECT "call", n, plugin, kind, agent, mode, nano_usd FROM savings').fetchall()
    return found


def test_what_was_spared_is_kept_with_its_call(history: History) -> None:
    history.write([
        call(1, Saving("cache", "hit", 10, 20, 300), Saving("routing", "routed", nano_usd=None, mode="shadow")),
        call(2),
    ])  # fmt: skip
    assert rows(history) == [
        ("wr_1", 0, "cache", "hit", "a", "enforce", 300), ("wr_1", 1, "routing", "routed", "a", "shadow", None),
    ]  # fmt: skip


def test_a_call_that_is_sent_again_is_counted_once(history: History) -> None:
    for _ in range(2):
        history.write([call(1, Saving("cache", "hit", nano_usd=5))])
    assert len(rows(history)) == 1


def test_what_is_no_saving_is_left_out_and_the_call_kept(history: History) -> None:
    for number, odd in enumerate(("x", {"a": 1}, [7, None], [{"nano_usd": 2**70, "plugin": 3, "input_tokens": "m"}])):
        history.write([{**call(number), "savings": odd}])
    assert rows(history) == [("wr_3", 0, "3", "", "a", "enforce", None)]
    assert history.find("wr_0") is not None


def test_a_call_has_at_most_so_many(history: History) -> None:
    history.write([call(1, *[Saving("cache", "hit")] * (savings.MOST + 9))])
    assert len(rows(history)) == savings.MOST


def test_savings_go_with_their_day_and_name_no_user(history: History) -> None:
    history.write([call(1, Saving("cache", "hit"))])
    with closing(sqlite3.connect(next(iter(history.directory.glob("*.db"))))) as file:
        assert not {"user", "session"} & {row[1] for row in file.execute("PRAGMA table_info(savings)")}
    assert history.erase(history.days()[0], "ann", errors=True) == 1
    assert len(rows(history)) == 1
    history._clock.jump(400 * 86_400)  # type: ignore[attr-defined]
    history.sweep(30)
    assert rows(history) == []


def test_sums_are_of_the_span_and_of_each_day_for_itself(history: History) -> None:
    history.write([call(n, Saving("cache", "hit", nano_usd=n)) for n in (1, 2, 3, 86_400)])
    found = [
        (day, [row["nano_usd"] for row in part])
        for day, part in history.sums(savings.statement("plugin"), Filter(since_s=NOON + 2), (None, None))
    ]
    assert found == [("2023-11-16", [86_400]), ("2023-11-15", [5])]
    until = history.sums(savings.statement("plugin"), Filter(until_s=NOON + 2), ("a", "a"))
    assert [[row["nano_usd"] for row in part] for _, part in until] == [[1]]


def test_a_file_of_an_older_weir_has_none_until_it_is_written(history: History) -> None:
    history.write([call(1, Saving("cache", "hit"))])
    history.close()
    path = next(iter(history.directory.glob("*.db")))
    with closing(sqlite3.connect(path)) as file:
        file.execute("DROP TABLE savings")
    assert [part for _, part in history.sums(savings.statement("day"), Filter(), (None, None))] == [[]]
    history.write([call(2, Saving("cache", "hit"))])
    assert len(rows(history)) == 1
