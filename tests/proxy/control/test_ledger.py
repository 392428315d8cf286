from __future__ import annotations

import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.control import chain
from proxy.control.audit import load_key, verify
from proxy.control.ledger import BLOCK_ENTRIES, GRACE_S, Ledger, Numbering
from proxy.errors import ConfigError
from proxy.store.journal import EntryFilter
from tests.kit import FakeClock
from tests.proxy.control.records import KEY, entry, trail


def test_an_entry_says_who_did_what_when(tmp_path: Path) -> None:
    ledger = trail(tmp_path)
    ledger.append([entry(1, content={"mode": "masked", "input": [{"text": "hi"}], "output": []})])
    found = ledger.journal.page(EntryFilter(), 1)[0]
    assert (found["n"], found["action"], found["agent"], found["user"]) == (2, "llm.call", "agent-1", "user-1")
    assert found["plugins"] == {"metering": []} and found["content"]["input"] == [{"text": "hi"}]
    assert found["at"] == 1_700_001_001.0 and found["call"] == "wr_00000001"


def test_a_batch_that_is_sent_twice_is_chained_once(tmp_path: Path) -> None:
    ledger = trail(tmp_path)
    batch = [entry(1), entry(2)]
    assert ledger.append(batch) == 2
    assert ledger.append([*batch, entry(3)]) == 1
    assert ledger.append([entry(4), entry(4)]) == 1
    ledger.close()
    again = trail(tmp_path)
    assert again.append([*batch, entry(3), entry(4)]) == 0
    again.close()
    assert verify(tmp_path / "audit.db", KEY).ok


def test_duplicates_are_recognised_across_blocks_and_runs(tmp_path: Path) -> None:
    ledger = trail(tmp_path)
    for first in range(1, 200, 4):
        ledger.append([entry(n) for n in range(first, first + 4)])
    ledger.append_admin("ann", "overlay.apply", {})
    assert ledger.append([entry(n) for n in (199, 3, 200, 77, 201, 77, 1)]) == 1
    ledger.close()
    again = trail(tmp_path)
    assert again.append([entry(n) for n in range(1, 203)]) == 1
    assert [each["seq"] for each in again.journal.page(EntryFilter(action="llm.call"), 500)] == [*range(202, 0, -1)]
    again.close()
    report = verify(tmp_path / "audit.db", KEY)
    assert report.ok and report.lost == 0


def test_an_entry_is_recognised_by_reference_worker_and_number_together(tmp_path: Path) -> None:
    ledger = trail(tmp_path)
    ledger.append([entry(1), entry(2), entry(1, worker="w2")])
    assert ledger.append([entry(1), entry(2, call="wr_00000001"), entry(1, worker="w3"), entry(1, worker="w2")]) == 2


def test_a_block_that_cannot_be_read_does_not_hold_up_the_trail(tmp_path: Path) -> None:
    ledger = trail(tmp_path)
    ledger.append([entry(1), entry(2)])
    with closing(sqlite3.connect(tmp_path / "audit.db")) as file, file:
        file.execute("UPDATE blocks SET body = x'78' WHERE last = 3")
    assert ledger.append([entry(1), entry(3)]) == 2


def test_parts_that_someone_left_where_none_can_be_do_not_hold_up_the_trail(tmp_path: Path) -> None:
    ledger = trail(tmp_path)
    with closing(sqlite3.connect(tmp_path / "audit.db")) as file, file:
        file.execute("INSERT INTO persons VALUES (2, zeroblob(16), x'41')")
        file.execute("INSERT INTO texts VALUES (2, zeroblob(16), x'41')")
    assert ledger.append([entry(1, content={"mode": "masked"})]) == 1
    ledger.close()
    assert verify(tmp_path / "audit.db", KEY).ok


def test_many_entries_become_several_blocks(tmp_path: Path) -> None:
    ledger = trail(tmp_path)
    assert ledger.append([entry(n) for n in range(1, 2 * BLOCK_ENTRIES + 2)]) == 2 * BLOCK_ENTRIES + 1
    ledger.close()
    with closing(sqlite3.connect(tmp_path / "audit.db")) as file:
        assert file.execute("SELECT last - first + 1 FROM blocks ORDER BY last").fetchall() == [
            (1,), (BLOCK_ENTRIES,), (BLOCK_ENTRIES,), (1,),
        ]  # fmt: skip
    assert verify(tmp_path / "audit.db", KEY).entries == 2 * BLOCK_ENTRIES + 2


def test_a_worker_that_numbers_anew_under_its_old_name_loses_nothing(tmp_path: Path) -> None:
    ledger = trail(tmp_path)
    ledger.append([entry(n) for n in (1, 2, 3)])
    assert ledger.append([entry(1, call="other-1"), entry(2, call="other-2")]) == 2


def test_a_gap_becomes_a_signed_entry_after_its_grace(tmp_path: Path) -> None:
    clock = FakeClock()
    ledger = trail(tmp_path, clock)
    ledger.append([entry(1), entry(5)])
    assert ledger.settle() == 0
    clock.jump(GRACE_S + 0.1)
    assert ledger.settle() == 3
    assert ledger.settle() == 0
    found = ledger.journal.page(EntryFilter(action="lost"), 10)
    assert [each["details"] for each in found] == [{"worker": "w1", "from": 2, "to": 4}]
    ledger.close()
    report = verify(tmp_path / "audit.db", KEY)
    assert report.ok and report.lost == 3


def test_what_comes_out_of_order_is_not_lost(tmp_path: Path) -> None:
    clock = FakeClock()
    ledger = trail(tmp_path, clock)
    ledger.append([entry(1), entry(4), entry(2)])
    ledger.append([entry(3)])
    clock.jump(GRACE_S * 2)
    assert ledger.settle() == 0


def test_what_comes_after_it_was_given_up_is_still_kept(tmp_path: Path) -> None:
    clock = FakeClock()
    ledger = trail(tmp_path, clock)
    ledger.append([entry(1), entry(3)])
    clock.jump(GRACE_S + 1)
    assert ledger.settle() == 1
    assert ledger.append([entry(2)]) == 1


def test_a_gap_outlives_the_process_that_saw_it(tmp_path: Path) -> None:
    clock = FakeClock()
    first = trail(tmp_path, clock)
    first.append([entry(1), entry(3)])
    first.journal.close()  # as a kill would leave it
    second = trail(tmp_path, clock)
    clock.jump(GRACE_S + 1)
    assert second.settle() == 1


def test_administrators_are_in_the_trail_too(tmp_path: Path) -> None:
    ledger = trail(tmp_path)
    number = ledger.append_admin("ann", "overlay.apply", {"key": "bypass", "new": True})
    found = ledger.journal.page(EntryFilter(action="overlay.apply"), 1)[0]
    assert found["n"] == number and found["by"] == "ann" and found["details"]["key"] == "bypass"


def test_a_batch_the_disk_refused_can_come_again(tmp_path: Path) -> None:
    ledger = trail(tmp_path)
    ledger.append([entry(1)])
    pages = ledger.journal._file.execute("PRAGMA page_count").fetchone()[0]
    ledger.journal._file.execute(f"PRAGMA max_page_count = {pages}")
    batch = [entry(n, metadata={"path": os.urandom(1500).hex()}) for n in range(2, 40)]
    with pytest.raises(sqlite3.OperationalError):
        ledger.append(batch)
    ledger.journal._file.execute("PRAGMA max_page_count = 1000000")
    assert ledger.append(batch) == len(batch)
    ledger.close()
    report = verify(tmp_path / "audit.db", KEY)
    assert report.ok and report.lost == 0 and report.entries == 40


def test_erased_texts_leave_the_chain_whole_and_are_gone_from_the_disk(tmp_path: Path) -> None:
    ledger = trail(tmp_path)
    ledger.append([entry(n, content={"mode": "masked", "input": [{"text": f"canary-{n}"}]}) for n in (1, 2, 3)])
    assert ledger.erase([2, 3], "ann", "asked by the user") == 2
    ledger.close()
    report = verify(tmp_path / "audit.db", KEY)
    assert report.ok and report.erased_texts == 2 and report.erased_persons == 0
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"canary-3" in raw and b"canary-1" not in raw and b"canary-2" not in raw


def test_a_user_can_be_erased_with_every_text(tmp_path: Path) -> None:
    ledger = trail(tmp_path)
    said = {"mode": "masked", "input": []}
    ledger.append([entry(n, user=user, content=said) for n, user in ((1, "canary-ann"), (2, "bob"), (3, "canary-ann"))])
    numbers = ledger.journal.of_user("canary-ann")
    ledger.erase(numbers, "admin", "right to erasure", persons=True)
    assert ledger.journal.of_user("canary-ann") == []
    ledger.close()
    report = verify(tmp_path / "audit.db", KEY)
    assert report.ok and report.erased_persons == 2 and report.erased_texts == 2
    assert b"canary-ann" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_users_erased_one_after_another_leave_no_byte_behind(tmp_path: Path) -> None:
    """Whatever moved between the pages of the file when others were erased before."""
    ledger, chance, users = trail(tmp_path), random.Random(7), [f"canary-{n:02d}" for n in range(12)]
    for first in range(1, 1200, 30):
        asked = [(n, users[n % 7 + chance.randrange(6)]) for n in range(first, first + 30)]
        said = [(n, user, f"{user} " * chance.randrange(1, 60)) for n, user in asked]
        ledger.append([entry(n, user=user, content={"mode": "masked", "input": [text]}) for n, user, text in said])
    for gone in range(len(users)):
        ledger.erase(ledger.journal.of_user(users[gone]), "admin", "asked", persons=True)
        raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert [user for user in users if user.encode() in raw] == users[gone + 1 :]
    ledger.close()
    report = verify(tmp_path / "audit.db", KEY)
    assert report.ok and report.erased_persons == report.erased_texts == 1200


def test_one_person_of_a_block_is_erased_and_the_others_stay(tmp_path: Path) -> None:
    ledger = trail(tmp_path)
    ledger.append([entry(n, user="canary-ann" if n == 60 else f"user-{n}") for n in range(1, 101)])
    assert ledger.erase(ledger.journal.of_user("canary-ann"), "admin", "right to erasure", persons=True) == 1
    found = ledger.journal.page(EntryFilter(action="llm.call"), 200)
    assert [each["user"] for each in found if each["seq"] != 60] == [f"user-{n}" for n in range(100, 0, -1) if n != 60]
    (gone,) = [each for each in found if each["seq"] == 60]
    assert gone["person_erased"] and gone["user"] is None and gone["call"] == "wr_00000060"
    ledger.close()
    report = verify(tmp_path / "audit.db", KEY)
    assert report.ok and report.erased_persons == 1 and report.entries == 102
    assert b"canary-ann" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_texts_expire_and_entries_stay(tmp_path: Path) -> None:
    clock = FakeClock()
    ledger = trail(tmp_path, clock)
    ledger.append([entry(1, content={"mode": "masked"})])
    clock.jump(100)
    ledger.append([entry(2, content={"mode": "masked"})])
    assert ledger.expire_texts(50) == 1
    assert ledger.expire_texts(50) == 0
    ledger.close()
    assert verify(tmp_path / "audit.db", KEY).ok


def test_another_key_is_refused_at_start(tmp_path: Path) -> None:
    trail(tmp_path).close()
    with pytest.raises(ConfigError, match="another key"):
        Ledger(tmp_path, b"x" * 32, FakeClock())


def test_a_trail_that_was_cut_while_weir_was_away_says_so_for_ever(tmp_path: Path) -> None:
    ledger = trail(tmp_path)
    for n in range(1, 11):
        ledger.append([entry(n)])
    ledger.close()
    with closing(sqlite3.connect(tmp_path / "audit.db")) as file, file:
        file.execute("DELETE FROM blocks WHERE last > 5")
        file.execute("DELETE FROM persons WHERE n > 5")
    again = trail(tmp_path)
    again.append([entry(n) for n in range(11, 40)])
    again.close()
    assert [problem.kind for problem in verify(tmp_path / "audit.db", KEY).problems] == ["short"]


def test_a_trail_that_vanished_with_its_entries_says_so(tmp_path: Path) -> None:
    ledger = trail(tmp_path)
    ledger.append([entry(1)])
    ledger.close()
    for path in tmp_path.glob("audit.db*"):
        path.unlink()
    trail(tmp_path).close()
    assert [problem.kind for problem in verify(tmp_path / "audit.db", KEY).problems] == ["short"]


def test_the_files_are_their_owners_only(tmp_path: Path) -> None:
    key = load_key(tmp_path, {})
    Ledger(tmp_path, key, FakeClock()).close()
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert load_key(tmp_path, {}) == key


def test_a_key_from_outside_is_preferred_and_the_same_text_is_the_same_key(tmp_path: Path) -> None:
    own = load_key(tmp_path, {})
    text = (tmp_path / "audit.key").read_text()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(text)
    assert load_key(tmp_path / "none", {"WEIR_AUDIT_KEY": text.strip()}) == own
    assert load_key(tmp_path / "none", {"WEIR_AUDIT_KEY_FILE": str(elsewhere)}) == own
    assert not (tmp_path / "none").exists()
    for wrong in ({"WEIR_AUDIT_KEY": "short"}, {"WEIR_AUDIT_KEY_FILE": str(tmp_path / "nothing")}):
        with pytest.raises(ConfigError):
            load_key(tmp_path, wrong)


def test_a_lost_key_is_not_silently_replaced(tmp_path: Path) -> None:
    Ledger(tmp_path, load_key(tmp_path, {}), FakeClock()).close()
    (tmp_path / "audit.key").unlink()
    with pytest.raises(ConfigError, match=r"audit\.key is gone"):
        load_key(tmp_path, {})


@given(st.lists(st.integers(1, 30), max_size=60))
def test_numbering_knows_exactly_what_never_came(numbers: list[int]) -> None:
    numbering = Numbering()
    seen: set[int] = set()
    for number in numbers:
        assert numbering.see(number, 0.0) == (number not in seen)
        seen.add(number)
    missing = {n for first, last in numbering.overdue(0.0) for n in range(first, last + 1)}
    assert missing == set(range(1, max(seen, default=0) + 1)) - seen


def test_a_checkpoint_survives_its_journey_and_no_forgery_does() -> None:
    head = chain.checkpoint(KEY, 7, b"m" * 32, 123.4567)
    assert chain.genuine(KEY, chain.parse_checkpoint(head.line()))
    assert not chain.genuine(b"x" * 32, head)
    forged = orjson.loads(head.line()) | {"count": 6}
    assert not chain.genuine(KEY, chain.parse_checkpoint(orjson.dumps(forged)))
    for nonsense in (b"", b"[]", b"{}", b'{"count": null, "mac": 1, "at": 2, "signature": 3}'):
        with pytest.raises(ValueError):
            chain.parse_checkpoint(nonsense)


def test_a_trail_in_the_layout_of_before_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "audit.db")) as file, file:
        file.execute("CREATE TABLE entries (n INTEGER PRIMARY KEY, ref TEXT)")
    before = (tmp_path / "audit.db").read_bytes()
    with pytest.raises(ConfigError, match=r"move audit\.db and audit\.head away"):
        trail(tmp_path)
    with pytest.raises(ConfigError, match=r"begun by a Weir that stored an entry a row"):
        verify(tmp_path / "audit.db", KEY)
    assert (tmp_path / "audit.db").read_bytes() == before
    assert not (tmp_path / "audit.head").exists()


@pytest.mark.parametrize("garbage", [b"no database at all, but long enough to be looked at\n" * 20, b"\xff" * 5000])
def test_a_trail_that_is_none_is_a_sentence(tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / "audit.db").write_bytes(garbage)
    with pytest.raises(ConfigError, match=r"audit trail cannot be opened \(file is not a database\)"):
        trail(tmp_path)


def test_a_key_that_is_no_text_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "audit.key").write_bytes(b"\xff\xfe" * 40)
    with pytest.raises(ConfigError, match="put the right one back"):
        load_key(tmp_path, {})
