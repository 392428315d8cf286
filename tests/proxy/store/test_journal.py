from __future__ import annotations

import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.errors import ConfigError
from proxy.store import block
from proxy.store.block import Block
from proxy.store.journal import EntryFilter, Journal, Writing

MAC = b"m" * 32


def line(n: int) -> bytes:
    return b'call-%d\t"w"\t%d\t\t\t' % (n, n) + b'{"action":"a%d","agent":"x"}' % (n % 2)


def made(first: int, last: int) -> Block:
    text = b"\n".join(line(n) for n in range(first, last + 1))
    refs = sorted(f"call-{n}" for n in range(first, last + 1))
    return Block(last, first, float(last), refs[0], refs[-1], MAC, block.packed(text))


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Five entries in three blocks: 1, 2 to 4, 5."""
    written = Journal(tmp_path / "audit.db")
    blocks = [made(1, 1), made(2, 4), made(5, 5)]
    written.write(Writing(blocks, workers={"w": {"last": 5, "gaps": []}}, facts={"key": "k"}))
    return written


def test_it_remembers_head_workers_and_facts(journal: Journal) -> None:
    journal.close()
    again = Journal(journal.path)
    assert again.head() == (5, MAC)
    assert again.workers() == {"w": {"last": 5, "gaps": []}} and again.fact("key") == "k" and again.fact("none") is None


def test_a_write_is_whole_or_not_at_all(journal: Journal) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        journal.write(Writing([made(6, 6), made(2, 4)], workers={"w": {"last": 9, "gaps": []}}))
    assert journal.head()[0] == 5 and journal.workers()["w"]["last"] == 5


def test_pages_filter_and_go_down(journal: Journal) -> None:
    assert [entry["n"] for entry in journal.page(EntryFilter(), 2)] == [5, 4]
    assert [entry["n"] for entry in journal.page(EntryFilter(), 2, below=4)] == [3, 2]
    assert [entry["n"] for entry in journal.page(EntryFilter(action="a1"), 9)] == [5, 3, 1]
    assert [entry["n"] for entry in journal.page(EntryFilter(agent="x", ref="call-2"), 9)] == [2]
    assert journal.page(EntryFilter(ref="call-2"), 9, below=2) == []
    assert journal.page(EntryFilter(agent="' OR 1=1 --"), 9) == []
    assert journal.page(EntryFilter(agent="w"), 9) == []  # it stands in the line, and is no agent


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limit=st.integers(1, 8), below=st.none() | st.integers(0, 7), action=st.sampled_from([None, "a0", "a1"]),
)  # fmt: skip
def test_a_page_is_what_a_look_at_every_entry_would_find(
    journal: Journal, limit: int, below: int | None, action: str | None
) -> None:
    wanted = [n for n in range(5, 0, -1) if (below is None or n < below) and action in (None, f"a{n % 2}")]
    assert [entry["n"] for entry in journal.page(EntryFilter(action=action), limit, below)] == wanted[:limit]


def test_the_time_of_an_entry_is_found_by_halving(journal: Journal) -> None:
    assert [journal.last_before(at_s) for at_s in (0, 1, 1.5, 4, 4.5, 5, 99)] == [0, 0, 1, 1, 4, 4, 5]


def test_what_a_manifest_says_of_number_caller_and_worker_is_not_believed(journal: Journal) -> None:
    text = b'call-6\t"w"\t6\t\t\t{"n":1,"call":"x","worker":"v","seq":9,"mac":"m","chained":1,"user":"ann"}'
    journal.write(Writing([Block(6, 6, 6.5, "call-6", "call-6", MAC, block.packed(text))]))
    assert journal.page(EntryFilter(), 1) == [
        {"n": 6, "call": "call-6", "worker": "w", "seq": 6, "mac": MAC.hex(), "chained": 6.5, "user": None,
         "session": None}
    ]  # fmt: skip


@pytest.mark.parametrize("body", [b"", b"x\x9c", b"\0nonsense", zlib.compress(b"a\nb\nc")[:-1], b"\0a\nb\nc\nd"])
def test_a_tampered_block_is_shown_as_unreadable_not_as_an_error(journal: Journal, body: bytes) -> None:
    with closing(sqlite3.connect(journal.path)) as file, file:
        file.execute("UPDATE blocks SET body = ? WHERE last = 4", (body,))
    assert journal.page(EntryFilter(), 9)[1:4] == [{"n": n, "unreadable": True} for n in (4, 3, 2)]
    assert [entry["n"] for entry in journal.page(EntryFilter(action="a1"), 9)] == [5, 1]


def test_a_block_that_claims_to_be_endless_is_shown_in_part(journal: Journal) -> None:
    with closing(sqlite3.connect(journal.path)) as file, file:
        file.execute(f"UPDATE blocks SET first = {-(2**63)} WHERE last = 4")
    assert [entry["n"] for entry in journal.page(EntryFilter(), 9)] == [5, 4, 3, 2, 1, 0, -1, -2, -3]


def test_only_what_is_there_is_said_to_be_there(journal: Journal) -> None:
    marks = {block.mark(line(n)) for n in (2, 5, 6)} | {b'call-3\t"w"\t4', b'call-3\t"v"\t3'}
    assert journal.present(marks) == {block.mark(line(2)), block.mark(line(5))}
    assert journal.present({b'x\t"w"\t1'}) == set()


def test_the_lines_behind_an_entry_are_told_in_order(journal: Journal) -> None:
    for above in range(6):
        assert list(journal.lines(above)) == [line(n) for n in range(above + 1, 6)]


def test_entries_are_found_by_their_numbers_and_what_is_damaged_is_shown_as_such(journal: Journal) -> None:
    whole = {entry["n"]: entry for entry in journal.page(EntryFilter(), 10_000)}
    last = max(whole)
    for numbers in ([1], [last], [1, 2, last], list(range(1, last + 1)), [last + 1], [], [3, 1]):
        found = journal.entries(numbers)
        assert found == [whole[n] for n in sorted(numbers) if n in whole]
    journal._file.execute("UPDATE blocks SET body = x'00ff' WHERE first = 1")
    assert journal.entries([1])[0] == {"n": 1, "unreadable": True}


def test_the_layout_of_before_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "audit.db")) as file, file:
        file.execute("CREATE TABLE entries (n INTEGER PRIMARY KEY)")
    with pytest.raises(ConfigError, match="stored an entry a row"):
        Journal(tmp_path / "audit.db")
