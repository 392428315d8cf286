from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from proxy.store.journal import EntryFilter, Journal, Link


def link(n: int) -> Link:
    return Link(n, f"call-{n}", f'{{"action":"a{n % 2}","agent":"x","chained":{n}}}', None, None, bytes([n]) * 32)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    made = Journal(tmp_path / "audit.db")
    made.write([link(n) for n in range(1, 6)], {"w": {"last": 5, "gaps": []}}, {"key": "k"})
    return made


def test_it_remembers_head_workers_and_facts(journal: Journal) -> None:
    journal.close()
    again = Journal(journal.path)
    assert again.head() == (5, bytes([5]) * 32)
    assert again.workers() == {"w": {"last": 5, "gaps": []}} and again.fact("key") == "k" and again.fact("none") is None


def test_a_write_is_whole_or_not_at_all(journal: Journal) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        journal.write([link(6), link(3)], {"w": {"last": 9, "gaps": []}})
    assert journal.head()[0] == 5 and journal.workers()["w"]["last"] == 5


def test_pages_filter_and_go_down(journal: Journal) -> None:
    assert [entry["n"] for entry in journal.page(EntryFilter(), 2)] == [5, 4]
    assert [entry["n"] for entry in journal.page(EntryFilter(), 2, below=4)] == [3, 2]
    assert [entry["n"] for entry in journal.page(EntryFilter(action="a1"), 9)] == [5, 3, 1]
    assert [entry["n"] for entry in journal.page(EntryFilter(agent="x", ref="call-2"), 9)] == [2]
    assert journal.page(EntryFilter(agent="' OR 1=1 --"), 9) == []


def test_the_time_of_an_entry_is_found_by_halving(journal: Journal) -> None:
    assert [journal.last_before(at_s) for at_s in (0, 1, 1.5, 3, 99)] == [0, 0, 1, 2, 5]


def test_a_tampered_entry_is_shown_as_unreadable_not_as_an_error(journal: Journal) -> None:
    with closing(sqlite3.connect(journal.path)) as file, file:
        file.execute("UPDATE entries SET manifest = 'nonsense' WHERE n = 4")
    assert journal.page(EntryFilter(), 9)[1] == {"n": 4, "unreadable": True}
    assert [entry["n"] for entry in journal.page(EntryFilter(action="a1"), 9)] == [5, 3, 1]
