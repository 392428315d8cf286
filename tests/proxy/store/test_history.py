from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.record import Record
from proxy.store.history import History, walk
from proxy.store.rows import Filter
from tests.kit import FakeClock

NOON = 1_700_049_600.0  # 2023-11-15, 12:00 UTC
DAY_S = 86_400.0


def row(id: str, at: float = NOON, **fields: Any) -> dict[str, Any]:
    return {"id": id, "at": at, "agent": "a", "outcome": "ok", "model": "m", "stream": True, **fields}


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "executions", FakeClock())


def ids(history: History, wanted: Filter | None = None, step: int = 2) -> list[str]:
    return [found["id"] for found in walk(history, wanted or Filter(), step)]


def test_a_row_comes_back_as_it_was_written(history: History) -> None:
    history.write([row("a", plugins_us={"metering": 3}, findings=[{"type": "x"}], cost_nano_usd=7, later_field=[1])])
    found = history.find("a")
    assert found is not None
    assert found["stream"] is True and found["cost_nano_usd"] == 7 and found["user"] is None
    assert found["plugins_us"] == {"metering": 3} and found["later_field"] == [1]
    assert history.find("b") is None


def test_a_batch_that_is_sent_twice_is_stored_once(history: History) -> None:
    for _ in range(2):
        assert history.write([row("a"), row("b")]) == 0
    assert ids(history) == ["b", "a"]


def test_each_day_has_its_file_that_only_its_owner_reads(history: History) -> None:
    history.write([row("a", NOON), row("b", NOON + DAY_S), row("c", NOON - 1)])
    assert history.days() == ["2023-11-16", "2023-11-15"]
    for path in history.directory.iterdir():
        assert path.stat().st_mode & 0o077 == 0
    assert history.directory.stat().st_mode & 0o077 == 0


def test_pages_go_newest_first_across_days_without_gap_or_repetition(history: History) -> None:
    rows = [row(f"{n:03d}", NOON + n * DAY_S / 7) for n in range(30)]
    history.write(rows)
    for step in (1, 2, 7, 30, 100):
        assert ids(history, step=step) == [f"{n:03d}" for n in reversed(range(30))]


def test_calls_of_the_same_moment_are_all_paged(history: History) -> None:
    history.write([row(f"{n}") for n in range(9)])
    assert sorted(ids(history, step=2)) == [f"{n}" for n in range(9)]


def test_filters_combine(history: History) -> None:
    history.write([row("a", agent="x", outcome="refused"), row("b", agent="x"), row("c", agent="y", outcome="refused")])
    history.write([row("d", NOON + DAY_S, agent="x", outcome="refused", model="n", served_model="z")])
    assert ids(history, Filter(agent="x", outcome="refused")) == ["d", "a"]
    assert ids(history, Filter(model="z")) == ["d"]
    assert ids(history, Filter(since_s=NOON + 1)) == ["d"]
    assert ids(history, Filter(until_s=NOON + DAY_S)) == ["c", "b", "a"]
    assert ids(history, Filter(outcome="ok")) == ["b"]


def test_a_value_is_never_part_of_a_statement(history: History) -> None:
    history.write([row("a")])
    for nasty in ("'; DROP TABLE executions; --", "' OR '1'='1", 'a" OR ""="'):
        assert ids(history, Filter(agent=nasty)) == []
        assert history.find(nasty) is None
    assert ids(history) == ["a"]


def test_counts_sum_over_days(history: History) -> None:
    history.write([row("a", cost_nano_usd=5, input_tokens=2), row("b", NOON + DAY_S, cost_nano_usd=6)])
    history.write([row("c", outcome="refused")])
    assert history.counts(Filter()) == [
        {"agent": "a", "outcome": "ok", "calls": 2, "cost_nano_usd": 11, "input_tokens": 2, "output_tokens": 0},
        {"agent": "a", "outcome": "refused", "calls": 1, "cost_nano_usd": 0, "input_tokens": 0, "output_tokens": 0},
    ]


def test_tokens_of_kept_answers_are_nobodys(history: History) -> None:
    tokens = {"input_tokens": 30, "output_tokens": 7}
    history.write([
        row("miss", cost_nano_usd=5, usage_source="provider", **tokens),
        row("hit", cost_nano_usd=0, usage_source="cached", **tokens),
        row("free", cost_nano_usd=0, usage_source="provider", **tokens),
        row("unpriced", usage_source="cached", **tokens),
    ])  # fmt: skip
    assert history.counts(Filter()) == [
        {"agent": "a", "outcome": "ok", "calls": 4, "cost_nano_usd": 5, "input_tokens": 60, "output_tokens": 14},
    ]


def test_old_days_are_unlinked_whole(tmp_path: Path) -> None:
    clock = FakeClock()
    history = History(tmp_path, clock)
    today = clock.wall_s()
    history.write([row(f"{back}", today - back * DAY_S) for back in range(5)])
    assert len(history.sweep(2)) == 2
    assert ids(history) == ["0", "1", "2"]
    assert history.sweep(0) == []
    history.write([row("again", today - 4 * DAY_S)])
    assert "again" in ids(history)


def test_a_row_that_cannot_be_stored_does_not_take_its_batch_with_it(history: History) -> None:
    assert history.write([row("a"), ["x", NOON], row("b")]) == 1
    assert ids(history) == ["b", "a"]


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**70])
def test_a_value_that_no_column_holds_does_not_take_its_row_with_it(history: History, number: int) -> None:
    odd = row("b", status=number, cost_nano_usd=-5, agent={"a": 1}, error="\ud800!", attempts=number, finish="\udc00")
    assert history.write([row("a"), odd, row("c", input_tokens=2**63 - 1)]) == 0
    assert ids(history) == ["c", "b", "a"]
    found = history.find("b")
    assert found is not None
    assert (found["status"], found["cost_nano_usd"], found["agent"], found["error"]) == (None, -5, '{"a":1}', "?!")
    assert (found["finish"], found["model"]) == ("?", "m")
    assert history.counts(Filter())[0]["calls"] == 2


def test_the_view_for_people_has_every_field_by_its_name(history: History) -> None:
    found = {"type": "x", "score": 1.0}
    history.write([row("a", steps=[["pii", "request", "edited 1"]], findings=[found], parent="p"), row("b")])
    history.close()
    with closing(sqlite3.connect(history.directory / "2023-11-15.db")) as file:
        file.row_factory = sqlite3.Row
        first, second = file.execute("SELECT * FROM calls ORDER BY id").fetchall()
    assert set(first.keys()) == set(Record.__annotations__) - {"audit"}
    assert (first["parent"], orjson.loads(first["steps"])) == ("p", [["pii", "request", "edited 1"]])
    assert (orjson.loads(first["findings"]), second["findings"]) == ([found], None)


def test_a_view_of_an_older_weir_is_made_anew(history: History) -> None:
    history.write([row("a")])
    history.close()
    with closing(sqlite3.connect(history.directory / "2023-11-15.db")) as file, file:
        file.execute("DROP VIEW calls")
        file.execute("CREATE VIEW calls AS SELECT id FROM executions")
    history.write([row("b")])
    with closing(sqlite3.connect(history.directory / "2023-11-15.db")) as file:
        assert file.execute("SELECT count(findings), count(id) FROM calls").fetchone() == (0, 2)


@pytest.mark.parametrize("count", [24, 25, 26, 60])
def test_a_batch_of_any_size_is_stored_whole_and_once(history: History, count: int) -> None:
    rows = [row(f"{n:03d}", float(n)) for n in range(count)]
    assert history.write(rows[: count // 2]) == 0
    assert history.write([*rows, *rows]) == 0
    assert len(history.page(Filter(), 1000).rows) == count
    odd: list[Any] = [row("x", 1.0, status=2**70), row("y", 1.0, agent={"a": 1}), ["z", 1.0]]
    assert history.write([*(row(f"more-{n}", float(n)) for n in range(count)), *odd, row("end", 1.0)]) == 1
    assert len(history.page(Filter(), 1000).rows) == 2 * count + 3
    found = history.find("more-7")
    assert found is not None and found["at"] == 7.0


@pytest.mark.parametrize("at", [float("nan"), float("inf"), -5, None, "now", 1e18])
def test_a_time_that_is_none_becomes_now(tmp_path: Path, at: Any) -> None:
    clock = FakeClock()
    history = History(tmp_path, clock)
    assert history.write([row("a", at)]) == 0
    found = history.find("a")
    assert found is not None and found["at"] == clock.wall_s()


def test_a_damaged_file_is_set_aside_and_a_new_one_begun(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "2023-11-15.db").write_bytes(b"this is no database at all" * 100)
    history = History(tmp_path, FakeClock())
    history.write([row("a")])
    assert ids(history) == ["a"]
    assert len(list(tmp_path.glob("2023-11-15.damaged-*"))) == 1
    assert "set aside" in caplog.text


def test_a_file_of_an_older_weir_gets_the_new_columns(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "2023-11-15.db")) as file, file:
        file.execute(
            "CREATE TABLE executions (id TEXT PRIMARY KEY NOT NULL, at REAL NOT NULL, agent TEXT, outcome TEXT)"
        )
        file.execute("INSERT INTO executions VALUES ('old', 1700049600.0, 'a', 'ok')")
    history = History(tmp_path, FakeClock())
    history.write([row("new", NOON + 1)])
    assert ids(history) == ["new", "old"]


def test_a_full_disk_is_raised_and_the_same_rows_can_come_again(history: History) -> None:
    history.write([row("a")])
    file = history._files["2023-11-15"]
    pages = file.execute("PRAGMA page_count").fetchone()[0]
    file.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError):
        history.write([row(f"{n}", error="x" * 5000) for n in range(50)])
    assert ids(history) == ["a"]
    assert history.write([row("b")]) == 0
    assert ids(history) == ["b", "a"]


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 3 * DAY_S)), max_size=30), st.integers(1, 7))
def test_pages_are_a_sorted_copy_of_what_was_written(rows: list[tuple[int, float]], step: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        history = History(Path(directory), FakeClock())
        history.write([row(f"{number}", NOON + at) for number, at in rows])
        found = list(walk(history, Filter(), step))
        assert [each["at"] for each in found] == sorted((each["at"] for each in found), reverse=True)
        by_day = {(f"{number}", int((NOON + at) // DAY_S)) for number, at in rows}
        assert {(each["id"], int(each["at"] // DAY_S)) for each in found} == by_day
        assert len(found) == len(by_day)
        history.close()


WRITER = """
import sys
from pathlib import Path
from proxy.clock import SystemClock
from proxy.store.history import History
history = History(Path(sys.argv[1]), SystemClock())
start = int(sys.argv[2])
for batch in range(10_000):
    history.write([{"id": f"{start}-{batch}-{n}", "at": 1700049600.0, "error": "x" * 300} for n in range(20)])
    print(batch, flush=True)
"""


def test_a_killed_writer_loses_nothing_it_committed_and_damages_nothing(tmp_path: Path) -> None:
    for life in range(4):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(life)], stdout=subprocess.PIPE, text=True, cwd=os.getcwd()
        )
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(5 + 7 * life)]
        writer.send_signal(signal.SIGKILL)
        said += [int(rest) for rest in writer.stdout.read().split("\n")[:-1]]
        writer.wait()
        writer.stdout.close()
        with closing(sqlite3.connect(tmp_path / "2023-11-15.db")) as file:
            assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            kept = file.execute("SELECT COUNT(*) FROM executions WHERE id LIKE ?", (f"{life}-%",)).fetchone()[0]
        assert kept % 20 == 0 and kept >= (max(said) + 1) * 20


def test_the_calls_of_a_user_become_nobodys_and_their_bytes_are_gone(history: History) -> None:
    rows = [
        row(
            f"{n}", NOON + n, user="canary-ann" if n % 3 == 0 else "bob", session=f"s{n % 3}-canary", error="canary-ann"
        )
        for n in range(300)
    ]
    history.write(rows)
    history.write([row("later", NOON + DAY_S, user="bob")])
    assert history.of_user("canary-ann") == {"2023-11-15": 100} and history.of_user("ann") == {}
    assert history.erase("2023-11-15", "canary-ann", errors=True) == 100
    found = list(walk(history, Filter()))
    assert len(found) == 301 and history.of_user("canary-ann") == {}
    assert {(each["user"], each["session"], each["error"]) for each in found if each["user"] is None} == {(None,) * 3}
    whole = {each["id"]: each for each in found if each["user"] == "bob" and each["id"] != "later"}
    assert len(whole) == 200 and all(each["error"] == "canary-ann" for each in whole.values())
    raw = b"".join(path.read_bytes() for path in history.directory.iterdir())
    assert b"s0-canary" not in raw and raw.count(b"canary-ann") == 200 and b"s1-canary" in raw
    history.write([row("after", NOON + 999, user="bob")])
    assert history.find("after") is not None
    history.close()


def test_errors_of_a_user_are_kept_where_only_the_person_is_to_go(history: History) -> None:
    history.write([row("a", user="ann", session="s", error="too long")])
    assert history.erase("2023-11-15", "ann", errors=False) == 1
    found = history.find("a")
    assert found is not None and (found["user"], found["session"], found["error"]) == (None, None, "too long")
    history.close()


def test_an_erasing_that_was_cut_short_is_finished_by_the_next_one(history: History) -> None:
    history.write([row("a", user="bob")])
    history.close()
    file = history.directory / "2023-11-15.db"
    with closing(sqlite3.connect(file)) as begun:
        begun.execute("PRAGMA user_version = 1")
    assert history.of_user("ann") == {"2023-11-15": 0}
    assert history.erase("2023-11-15", "ann", errors=True) == 0
    assert history.of_user("ann") == {}
    assert history.erase("2023-11-14", "ann", errors=True) == 0 and history.days() == ["2023-11-15"]
