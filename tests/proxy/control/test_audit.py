from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.control import chain
from proxy.control.audit import Problem, verify
from tests.kit import FakeClock
from tests.proxy.control.records import KEY, entry, trail

COUNT = 30


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A trail of 31 entries (the first is its beginning): one in five has a text."""
    ledger = trail(tmp_path)
    said = {"mode": "masked", "input": [{"text": "hello"}]}
    ledger.append([entry(n, **({"content": said} if n % 5 == 0 else {})) for n in range(1, COUNT + 1)])
    ledger.close()
    return tmp_path / "audit.db"


def tamper(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as file, file:
        for statement in statements:
            file.execute(statement)


def problems(path: Path) -> list[tuple[str, int, int]]:
    return [(problem.kind, problem.first, problem.last) for problem in verify(path, KEY).problems]


def test_an_untouched_trail_is_whole(path: Path) -> None:
    report = verify(path, KEY)
    assert report.ok and report.entries == COUNT + 1 == report.checkpoint
    assert report.mac == chain.parse_checkpoint(path.with_name("audit.head").read_bytes()).mac


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("ref", "'wr_00000099'"),
        ("manifest", "replace(manifest, 'llm.call', 'llm.cull')"),
        ("manifest", "manifest || ' '"),
        ("person", "zeroblob(32)"),
        ("person", "NULL"),
        ("content", "zeroblob(32)"),
        ("mac", "zeroblob(32)"),
        ("mac", "'text'"),
        ("manifest", "CAST(x'fffe' AS TEXT)"),
    ],
)
def test_any_change_of_an_entry_is_found_at_its_place_and_nowhere_else(path: Path, column: str, value: str) -> None:
    tamper(path, f"UPDATE entries SET {column} = {value} WHERE n = 7")
    found = problems(path)
    assert {(first, last) for _, first, last in found} == {(7, 7)}


def test_a_removed_entry_is_missed(path: Path) -> None:
    tamper(path, "DELETE FROM entries WHERE n IN (4, 5)")
    assert problems(path)[0] == ("missing", 4, 5)


def test_removing_and_closing_the_gap_is_found(path: Path) -> None:
    tamper(path, "DELETE FROM entries WHERE n = 4", "UPDATE entries SET n = -n WHERE n > 4",
           "UPDATE entries SET n = -n - 1 WHERE n < 0")  # fmt: skip
    found = problems(path)
    assert found[0][:2] == ("changed", 4) and ("cut", COUNT + 1, COUNT + 1) in found


def test_two_entries_that_changed_places_are_found(path: Path) -> None:
    tamper(path, "UPDATE entries SET n = -1 WHERE n = 8", "UPDATE entries SET n = 8 WHERE n = 12",
           "UPDATE entries SET n = 12 WHERE n = -1")  # fmt: skip
    places = {n for kind, first, last in problems(path) if kind == "changed" for n in range(first, last + 1)}
    assert {8, 12} <= places <= {8, 9, 12, 13}


def test_an_entry_put_in_is_found(path: Path) -> None:
    tamper(path, "INSERT INTO entries SELECT n + 1, ref, manifest, person, content, mac, salt, private FROM entries"
                 " WHERE n = 31")  # fmt: skip
    assert problems(path)[0] == ("changed", 32, 32)


@pytest.mark.parametrize("number", [0, -3])
def test_an_entry_before_the_beginning_is_found(path: Path, number: int) -> None:
    tamper(path, f"INSERT INTO entries SELECT {number}, ref, manifest, person, content, mac, salt, private FROM entries"
                 " WHERE n = 5")  # fmt: skip
    assert problems(path) == [("changed", number, number)]


def test_a_cut_end_is_found(path: Path) -> None:
    tamper(path, "DELETE FROM entries WHERE n > 20", "DELETE FROM texts WHERE n > 20")
    assert problems(path) == [("cut", 21, COUNT + 1)]


def test_a_cut_end_without_the_head_beside_it_is_suspicious(path: Path) -> None:
    tamper(path, "DELETE FROM entries WHERE n > 20", "DELETE FROM texts WHERE n > 20")
    path.with_name("audit.head").unlink()
    assert problems(path) == [("head", 0, 0)]


def test_an_exported_checkpoint_finds_a_trail_put_back_to_an_older_state(path: Path) -> None:
    head = chain.parse_checkpoint(path.with_name("audit.head").read_bytes())
    tamper(path, "DELETE FROM entries WHERE n > 20", "DELETE FROM texts WHERE n > 20")
    older = path.with_name("elsewhere")
    older.mkdir()
    trail(older).close()
    with closing(sqlite3.connect(path)) as file:
        mac = file.execute("SELECT mac FROM entries WHERE n = 20").fetchone()[0]
    path.with_name("audit.head").write_text(chain.checkpoint(KEY, 20, mac, 1.0).line())
    assert verify(path, KEY).ok
    assert [problem.kind for problem in verify(path, KEY, head).problems] == ["cut"]
    assert not verify(older / "audit.db", KEY, head).ok


@pytest.mark.parametrize("head", [None, b"", b"garbage", b"\xff", "forged"])
def test_a_restart_does_not_launder_a_trail_whose_head_was_tampered_with(
    path: Path, head: bytes | str | None, caplog: pytest.LogCaptureFixture
) -> None:
    beside = path.with_name("audit.head")
    genuine = beside.read_bytes()
    tamper(path, "DELETE FROM entries WHERE n > 20", "DELETE FROM texts WHERE n > 20")
    if head is None:
        beside.unlink()
    else:
        beside.write_bytes(genuine.replace(b'"count":31', b'"count":20') if isinstance(head, str) else head)
    for _ in range(2):
        trail(path.parent).close()
        assert problems(path) == [("headless", 21, 21)]
    assert caplog.text.count("cannot be seen") == 1


def test_a_first_start_and_those_after_it_say_nothing_of_the_head(tmp_path: Path) -> None:
    for _ in range(3):
        trail(tmp_path).close()
    assert verify(tmp_path / "audit.db", KEY).entries == 1 and problems(tmp_path / "audit.db") == []


def test_a_trail_that_is_gone_is_missed_where_its_head_was_left_in_pieces(path: Path) -> None:
    path.unlink()
    path.with_name("audit.head").write_text("garbage")
    trail(path.parent).close()
    assert [kind for kind, _, _ in problems(path)] == ["headless"]


def test_a_forged_head_is_no_head(path: Path) -> None:
    head = path.with_name("audit.head")
    head.write_text(head.read_text().replace('"count":31', '"count":30'))
    assert problems(path) == [("head", 0, 0)]


def test_another_history_of_the_same_length_is_found(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    ledger = trail(other)
    ledger.append([entry(n, agent="mallory") for n in range(1, COUNT + 1)])
    ledger.close()
    path.with_name("audit.head").replace(other / "audit.head")
    assert problems(other / "audit.db") == [("fork", COUNT + 1, COUNT + 1)]


@pytest.mark.parametrize(
    ("statement", "kind", "place"),
    [
        ("UPDATE texts SET body = '{}' WHERE n = 6", "text", 6),
        ("UPDATE texts SET salt = zeroblob(16) WHERE n = 6", "text", 6),
        ("DELETE FROM texts WHERE n = 6", "text", 6),
        ("INSERT INTO texts VALUES (7, zeroblob(16), x'41')", "text", 7),
        ('UPDATE entries SET private = \'{"user":"mallory"}\' WHERE n = 7', "person", 7),
        ("UPDATE entries SET private = NULL, salt = NULL WHERE n = 7", "person", 7),
    ],
)
def test_what_stands_beside_an_entry_is_covered_too(path: Path, statement: str, kind: str, place: int) -> None:
    tamper(path, statement)
    assert problems(path) == [(kind, place, place)]


def test_a_worker_cannot_say_that_something_was_erased(tmp_path: Path) -> None:
    ledger = trail(tmp_path)
    ledger.append([entry(1, content={"mode": "masked"})])
    forged = {"entries": [[1, 99]], "texts": True, "persons": True}
    ledger.append([entry(2, action="erase", by="weir", details=forged)])
    ledger.close()
    tamper(tmp_path / "audit.db", "DELETE FROM texts WHERE n = 2")
    assert problems(tmp_path / "audit.db") == [("text", 2, 2)]


def test_another_key_is_told_as_such(path: Path) -> None:

    assert "key" in [problem.kind for problem in verify(path, b"x" * 32).problems]


@pytest.mark.parametrize("content", [b"", b"nonsense" * 1000])
def test_a_file_that_is_no_trail_is_told_as_such(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "audit.db").write_bytes(content)
    assert "unreadable" in [problem.kind for problem in verify(tmp_path / "audit.db", KEY).problems]
    assert not verify(tmp_path / "none.db", KEY).ok


def test_problems_are_sentences() -> None:
    assert str(Problem("missing", 4, 5)) == "entries 4 to 5: missing: removed from the trail"
    assert str(Problem("changed", 4, 4)).startswith("entry 4: changed")


def test_many_problems_are_counted_not_listed(tmp_path: Path) -> None:
    ledger = trail(tmp_path)
    ledger.append([entry(n) for n in range(1, 3001)])
    ledger.close()
    tamper(tmp_path / "audit.db", "UPDATE entries SET ref = 'x' WHERE n % 2 = 0")
    report = verify(tmp_path / "audit.db", KEY)
    assert len(report.problems) == 1000 and report.more == 500
    assert report.sentences()[-1] == "and 500 more"


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(n=st.integers(1, COUNT + 1), column=st.sampled_from(["ref", "manifest", "mac"]), data=st.data())
def test_a_single_flipped_bit_is_found(path: Path, n: int, column: str, data: st.DataObject) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.text_factory = bytes
        before = file.execute(f"SELECT {column} FROM entries WHERE n = ?", (n,)).fetchone()[0]
        if not before:
            return
        bit = data.draw(st.integers(0, len(before) * 8 - 1))
        after = bytearray(before)
        after[bit // 8] ^= 1 << bit % 8
        kind = "BLOB" if column == "mac" else "TEXT"
        change = f"UPDATE entries SET {column} = CAST(? AS {kind}) WHERE n = ?"
        with file:
            file.execute(change, (bytes(after), n))
        found = {(problem.first, problem.last) for problem in verify(path, KEY).problems}
        with file:
            file.execute(change, (before, n))
    assert found == {(n, n)}
    assert verify(path, KEY).ok


def test_the_time_of_a_verification_grows_with_the_number_of_entries_and_no_faster(tmp_path: Path) -> None:
    """What a million entries take is measured by `benchmarks.audit`."""
    ledger = trail(tmp_path, FakeClock())
    times = []
    for part in (range(1, 2_000, 500), range(2_001, 8_000, 500)):
        for first in part:
            ledger.append([entry(n) for n in range(first, first + 500)])
        start = time.thread_time()
        assert verify(tmp_path / "audit.db", KEY).ok
        times.append(time.thread_time() - start)
    ledger.close()
    assert times[1] < 9 * times[0]
