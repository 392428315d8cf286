"""Verdicts in a day's file: one for each call and name, gone with their day, their words gone with their user."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from proxy.store.feedback import LATEST, NAMES, OF_USER, Full, Told
from proxy.store.history import History
from proxy.store.rows import Filter
from tests.kit import FakeClock
from tests.proxy.control.records import record

AT = 1_700_001_001.0


@pytest.fixture
def history(tmp_path: Path) -> History:
    made = History(tmp_path, FakeClock())
    made.write([record(1, user="ann"), record(2, user="bob")])
    return made


def told(call: int = 1, n: int = 1, **fields: Any) -> Told:
    given = {"name": "answer", "at": AT, "score": 0.5, "comment": None, "tenant": "t", "agent": "a", "notes": "{}"}
    return Told(**{"call": f"wr_{call:08d}", "n": n, **given, **fields})


def latest(history: History) -> list[tuple[Any, ...]]:
    return [tuple(row)[:4] for _, rows in history.sums(LATEST, Filter(), (100,)) for row in rows]


def test_the_last_word_counts_and_the_one_before_is_told(history: History) -> None:
    assert history.judge(told(score=0.25)) is None
    assert history.judge(told(n=2, score=0.75)) == 0.25
    assert history.judge(told(n=3, name="tone")) is None
    assert latest(history) == [(3, "wr_00000001", "tone", 0.5), (2, "wr_00000001", "answer", 0.75)]


def test_a_call_has_so_many_names_and_no_more(history: History) -> None:
    for n in range(NAMES):
        history.judge(told(n=n, name=f"n{n}"))
    with pytest.raises(Full):
        history.judge(told(n=90, name="one more"))
    assert history.judge(told(n=91, name="n0", score=1.0)) == 0.5
    assert len(latest(history)) == NAMES


def test_those_that_no_plugin_learns_of_are_kept_and_not_told(history: History) -> None:
    history.judge(told(notes=""))
    assert latest(history) == []


def test_a_day_that_is_gone_takes_no_verdicts_and_comes_not_back(history: History, tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        history.judge(told(at=AT - 86_400 * 5))
    assert len(list(tmp_path.glob("*.db"))) == 1


def test_words_are_told_of_their_user_and_go_with_them(history: History, tmp_path: Path) -> None:
    history.judge(told(1, 1, comment="canary of ann"))
    history.judge(told(2, 2, comment="words of bob"))
    of_ann = [dict(row) for _, rows in history.sums(OF_USER, Filter(), ("ann",)) for row in rows]
    assert [(one["call"], one["comment"]) for one in of_ann] == [("wr_00000001", "canary of ann")]
    (day,) = history.of_user("ann")
    history.erase(day, "ann", errors=False)
    assert [row for _, rows in history.sums(OF_USER, Filter(), ("ann",)) for row in rows] == []
    assert len(latest(history)) == 2  # nobody's, and still what was said of the model
    history.close()
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert (b"canary" in held, b"words of bob" in held) == (False, True)


def test_a_file_of_an_older_weir_takes_them_as_well(history: History, tmp_path: Path) -> None:
    history.close()
    (path,) = tmp_path.glob("*.db")
    with closing(sqlite3.connect(path)) as file:
        file.execute("DROP TABLE feedback")
    assert latest(history) == []
    assert history.judge(told()) is None
    assert len(latest(history)) == 1
