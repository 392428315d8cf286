from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from struct import Struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.control import chain
from proxy.control.audit import Problem, verify
from tests.kit import FakeClock
from tests.proxy.control.records import KEY, entry, trail

COUNT = 30
SIZE = 5
"""The blocks of the trail: the entry that begins it, then 2 to 6, 7 to 11, and so on."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A trail of 31 entries (the first is its beginning): one in five has a text."""
    ledger = trail(tmp_path)
    said = {"mode": "masked", "input": [{"text": "hello"}]}
    for first in range(1, COUNT, SIZE):
        ledger.append([entry(n, **({"content": said} if n % 5 == 0 else {})) for n in range(first, first + SIZE)])
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
        ("first", "8"),
        ("first", "6"),
        ("first", "11.5"),
        ("first", "'seven'"),
        ("first", "-9223372036854775808"),
        ("last", "10"),
        ("chained", "chained + 0.001"),
        ("chained", "'now'"),
        ("earliest", "'wr_00000000'"),
        ("earliest", "CAST(earliest AS BLOB)"),
        ("earliest", "CAST(x'fffe' AS TEXT)"),
        ("latest", "'wr_00000099'"),
        ("body", "CAST(body || ' ' AS BLOB)"),
        ("body", "CAST(replace(body, 'llm.call', 'llm.cull') AS BLOB)"),
        ("body", "substr(body, 1, length(body) - 1)"),
        ("body", "CAST(body AS TEXT)"),
        ("body", "x''"),
        ("body", "(SELECT body FROM blocks WHERE last = 16)"),
        ("mac", "zeroblob(32)"),
        ("mac", "'text'"),
        ("mac", "(SELECT mac FROM blocks WHERE last = 16)"),
    ],
)
def test_any_change_of_a_block_is_found_at_its_place_and_nowhere_else(path: Path, column: str, value: str) -> None:
    tamper(path, f"UPDATE blocks SET {column} = {value} WHERE first = 7")
    found = problems(path)
    assert found and all(7 <= first <= last <= 11 for _, first, last in found)


def test_a_removed_block_is_missed(path: Path) -> None:
    tamper(path, "DELETE FROM blocks WHERE last IN (6, 11)")
    assert problems(path) == [("missing", 2, 11)]


def test_removing_and_closing_the_gap_is_found(path: Path) -> None:
    tamper(path, "DELETE FROM blocks WHERE last = 6", "UPDATE blocks SET last = -last WHERE last > 6",
           "UPDATE blocks SET last = -last - 5, first = first - 5 WHERE last < 0")  # fmt: skip
    found = problems(path)
    assert found[0][:2] == ("changed", 2) and ("cut", COUNT - SIZE + 2, COUNT + 1) in found


def test_two_blocks_that_changed_places_are_found(path: Path) -> None:
    tamper(path, "UPDATE blocks SET last = -1 WHERE last = 11",
           "UPDATE blocks SET last = 11, first = 7 WHERE last = 16",
           "UPDATE blocks SET last = 16, first = 12 WHERE last = -1")  # fmt: skip
    places = {n for kind, first, last in problems(path) if kind == "changed" for n in range(first, last + 1)}
    assert {*range(7, 17)} <= places <= {*range(7, 22)}


def test_two_bodies_that_changed_places_are_found(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file, file:
        bodies = dict(file.execute("SELECT last, body FROM blocks WHERE last IN (11, 21)"))
        file.execute("UPDATE blocks SET body = ? WHERE last = 11", (bodies[21],))
        file.execute("UPDATE blocks SET body = ? WHERE last = 21", (bodies[11],))
    assert problems(path) == [("changed", 7, 11), ("changed", 17, 21)]


@pytest.mark.parametrize(("last", "first"), [(32, 32), (36, 32), (32, 27), (40, 36), (32, 40), (2**63 - 1, 32)])
def test_a_block_put_in_is_found(path: Path, last: int, first: int) -> None:
    tamper(path, f"INSERT INTO blocks SELECT {last}, {first}, chained, earliest, latest, mac, body FROM blocks"
                 " WHERE last = 31")  # fmt: skip
    assert problems(path)[0][1] == 32


@pytest.mark.parametrize("number", [0, -3, -(2**63)])
def test_a_block_before_the_beginning_is_found(path: Path, number: int) -> None:
    tamper(path, f"INSERT INTO blocks SELECT {number}, {number}, chained, earliest, latest, mac, body FROM blocks"
                 " WHERE last = 6")  # fmt: skip
    assert problems(path) == [("changed", number, number)]


CUT = ("DELETE FROM blocks WHERE last > 21", "DELETE FROM texts WHERE n > 21", "DELETE FROM persons WHERE n > 21")


def test_a_cut_end_is_found(path: Path) -> None:
    tamper(path, *CUT)
    assert problems(path) == [("cut", 22, COUNT + 1)]


def test_a_cut_end_is_found_though_its_persons_and_texts_were_left(path: Path) -> None:
    tamper(path, CUT[0])
    assert problems(path) == [("cut", 22, COUNT + 1)]


def test_a_cut_end_without_the_head_beside_it_is_suspicious(path: Path) -> None:
    tamper(path, *CUT)
    path.with_name("audit.head").unlink()
    assert problems(path) == [("head", 0, 0)]


def test_an_exported_checkpoint_finds_a_trail_put_back_to_an_older_state(path: Path) -> None:
    head = chain.parse_checkpoint(path.with_name("audit.head").read_bytes())
    tamper(path, *CUT)
    older = path.with_name("elsewhere")
    older.mkdir()
    trail(older).close()
    with closing(sqlite3.connect(path)) as file:
        mac = file.execute("SELECT mac FROM blocks WHERE last = 21").fetchone()[0]
    path.with_name("audit.head").write_text(chain.checkpoint(KEY, 21, mac, 1.0).line())
    assert verify(path, KEY).ok
    assert [problem.kind for problem in verify(path, KEY, head).problems] == ["cut"]
    assert not verify(older / "audit.db", KEY, head).ok


def test_a_trail_and_a_head_put_back_to_an_older_state_are_found_by_an_exported_checkpoint(tmp_path: Path) -> None:
    ledger = trail(tmp_path)
    ledger.append([entry(1), entry(2)])
    ledger.close()
    kept = {name: (tmp_path / name).read_bytes() for name in ("audit.db", "audit.head")}
    ledger = trail(tmp_path)
    ledger.append([entry(3), entry(4)])
    exported = ledger.checkpoint()
    ledger.close()
    for name, content in kept.items():
        (tmp_path / name).write_bytes(content)
    assert verify(tmp_path / "audit.db", KEY).ok
    assert [str(each) for each in verify(tmp_path / "audit.db", KEY, exported).problems] == [
        "entries 4 to 5: missing: the trail was cut behind its last entry"
    ]


def test_a_checkpoint_within_a_block_is_of_another_history(path: Path) -> None:
    other = chain.checkpoint(KEY, 9, b"m" * 32, 1.0)
    assert [problem.kind for problem in verify(path, KEY, other).problems] == ["fork"]


@pytest.mark.parametrize("head", [None, b"", b"garbage", b"\xff", "forged"])
def test_a_restart_does_not_launder_a_trail_whose_head_was_tampered_with(
    path: Path, head: bytes | str | None, caplog: pytest.LogCaptureFixture
) -> None:
    beside = path.with_name("audit.head")
    genuine = beside.read_bytes()
    tamper(path, *CUT)
    if head is None:
        beside.unlink()
    else:
        beside.write_bytes(genuine.replace(b'"count":31', b'"count":21') if isinstance(head, str) else head)
    for _ in range(2):
        trail(path.parent).close()
        assert problems(path) == [("headless", 22, 22)]
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
        ("UPDATE texts SET body = CAST(body AS TEXT) WHERE n = 6", "text", 6),
        ("UPDATE texts SET n = 7 WHERE n = 6", "text", 7),
        ("INSERT INTO texts VALUES (99, zeroblob(16), x'41')", "text", 99),
        ("INSERT INTO texts VALUES (-1, zeroblob(16), x'41')", "text", -1),
        ('UPDATE persons SET body = CAST(\'{"user":"mallory"}\' AS BLOB) WHERE n = 7', "person", 7),
        ("UPDATE persons SET body = (SELECT body FROM persons WHERE n = 8) WHERE n = 7", "person", 7),
        ("UPDATE persons SET salt = 'x' WHERE n = 7", "person", 7),
        ("DELETE FROM persons WHERE n = 7", "person", 7),
        ("INSERT INTO persons VALUES (1, zeroblob(16), x'41')", "person", 1),
        ("INSERT INTO persons VALUES (32, zeroblob(16), x'41')", "person", 32),
    ],
)
def test_what_stands_beside_an_entry_is_covered_too(path: Path, statement: str, kind: str, place: int) -> None:
    tamper(path, statement)
    assert (kind, place, place) in problems(path)
    assert {each for each, _, _ in problems(path)} == {kind} and len(problems(path)) <= 2


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
    tamper(tmp_path / "audit.db", "UPDATE persons SET body = x'41' WHERE n % 2 = 0")
    report = verify(tmp_path / "audit.db", KEY)
    assert len(report.problems) == 1000 and report.more == 500
    assert report.sentences()[-1] == "and 500 more"


COLUMNS = ("last", "first", "chained", "earliest", "latest", "mac", "body")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, COUNT // SIZE), column=st.sampled_from(COLUMNS), data=st.data())
def test_a_single_flipped_bit_is_found(path: Path, place: int, column: str, data: st.DataObject) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.text_factory = bytes
        block = file.execute("SELECT * FROM blocks ORDER BY last LIMIT 1 OFFSET ?", (place,)).fetchone()
        last, first, before = block[0], block[1], block[COLUMNS.index(column)]
        number = Struct("d" if column == "chained" else "q")
        raw = before if isinstance(before, bytes) else number.pack(before)
        if not raw:
            return
        bits = flipped(raw, data.draw(st.integers(0, len(raw) * 8 - 1)))
        after = bits if isinstance(before, bytes) else number.unpack(bits)[0]
        taken = column == "last" and file.execute("SELECT 1 FROM blocks WHERE last = ?", (after,)).fetchone()
        if taken or after != after:
            return
        kind = {"earliest": "TEXT", "latest": "TEXT", "mac": "BLOB", "body": "BLOB"}.get(column, "NUMERIC")
        change = f"UPDATE blocks SET {column} = CAST(? AS {kind}) WHERE last = ?"
        with file:
            file.execute(change, (after, last))
        found = [(problem.first, problem.last) for problem in verify(path, KEY).problems]
        with file:
            file.execute(change, (before, after if column == "last" else last))
    assert found
    if column != "last":  # a block that pretends to be elsewhere is found there, and missed where it was
        assert all(first <= begin <= end <= last for begin, end in found)
    assert verify(path, KEY).ok


def flipped(raw: bytes, bit: int) -> bytes:
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=st.sampled_from(["persons", "texts"]), data=st.data())
def test_a_single_flipped_bit_of_a_part_is_found(path: Path, table: str, data: st.DataObject) -> None:
    with closing(sqlite3.connect(path)) as file:
        rows = file.execute(f"SELECT n, salt, body FROM {table} ORDER BY n").fetchall()
        n, salt, body = data.draw(st.sampled_from(rows))
        column, before = data.draw(st.sampled_from([("salt", salt), ("body", body)]))
        change = f"UPDATE {table} SET {column} = ? WHERE n = ?"
        with file:
            file.execute(change, (flipped(before, data.draw(st.integers(0, len(before) * 8 - 1))), n))
        found = problems(path)
        with file:
            file.execute(change, (before, n))
    assert found == [("person" if table == "persons" else "text", n, n)]


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
