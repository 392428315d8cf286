"""The audit trail on disk: signed blocks of entries in order; what is personal and what was said beside them, erasable.

This file only stores; what is signed, and how, is `control.chain`'s. Written by one thread. A block never changes once
written; rows of the tables of persons and texts may go.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

import orjson

from proxy.errors import ConfigError
from proxy.store import block as blocks
from proxy.store.block import Block

CREATE = (
    "CREATE TABLE IF NOT EXISTS blocks (last INTEGER PRIMARY KEY, first INTEGER NOT NULL, chained REAL NOT NULL,"
    " earliest TEXT NOT NULL, latest TEXT NOT NULL, mac BLOB NOT NULL, body BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS persons (n INTEGER PRIMARY KEY, salt BLOB NOT NULL, body BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS texts (n INTEGER PRIMARY KEY, salt BLOB NOT NULL, body BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS workers (worker TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
)
PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA secure_delete = ON",
)
SELECT = "SELECT last, first, chained, earliest, latest, mac, body FROM blocks"
SCAN = (
    "SELECT last, first, chained, earliest, latest, mac, body, typeof(first) = 'integer' AND typeof(chained) = 'real'"
    " AND typeof(earliest) = 'text' AND typeof(latest) = 'text' AND typeof(mac) = 'blob' AND typeof(body) = 'blob'"
    " FROM blocks ORDER BY last"
)
AT = " ".join((SELECT, "WHERE last >= ? ORDER BY last LIMIT 1"))
NEWER = " ".join((SELECT, "WHERE last > ? ORDER BY last"))
# Of the blocks that are not compressed SQLite passes over those without a needle: there may be one for every call.
OLDER = " ".join((SELECT, "WHERE first < ? AND (substr(body, 1, 1) <> x'00' OR instr(body, ?)) ORDER BY last DESC"))
HOLDING = " ".join((SELECT, "WHERE earliest <= ? AND latest >= ? AND first < ? ORDER BY last DESC"))
PARTS = {
    "persons": "SELECT n, salt, body, typeof(salt) = 'blob' AND typeof(body) = 'blob' FROM persons ORDER BY n",
    "texts": "SELECT n, salt, body, typeof(salt) = 'blob' AND typeof(body) = 'blob' FROM texts ORDER BY n",
}
PERSON = "SELECT body FROM persons WHERE n = ?"
TEXT = "SELECT body FROM texts WHERE n = ?"
END = 2**63 - 1
"""Above every number."""
INSERT = "INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?)"
# A part that lies where none can be yet was left there by someone else: it must not hold up the trail.
INSERT_PERSON = "INSERT OR REPLACE INTO persons VALUES (?, ?, ?)"
TOGETHER = 25
"""Persons of one statement: nearly every entry may have one, and beginning a statement costs as much as a row."""
INSERT_PERSONS = " ".join(("INSERT OR REPLACE INTO persons VALUES", ", ".join(["(?, ?, ?)"] * TOGETHER)))
INSERT_TEXT = "INSERT OR REPLACE INTO texts VALUES (?, ?, ?)"
# Deleting a row moves its neighbours between pages, and copies of them stay behind in the room that is left there.
RENEW = {
    table: (
        "CREATE TABLE renewed (n INTEGER PRIMARY KEY, salt BLOB NOT NULL, body BLOB NOT NULL)",
        " ".join(("INSERT INTO renewed SELECT * FROM", table)),
        " ".join(("DROP TABLE", table)),
        " ".join(("ALTER TABLE renewed RENAME TO", table)),
    )
    for table in PARTS
}
Part = tuple[int, bytes, bytes]
"""An entry's erasable part: its number, the salt, the bytes."""
READ_TIMEOUT_S = 2.0
LOOKED_BACK = 4_096
"""Blocks in which a batch that may have come before is looked for: it comes again within moments, or never."""
OLD_LAYOUT = (
    "audit.db was begun by a Weir that stored an entry a row: move audit.db and audit.head away to begin another trail "
    "(the Weir that wrote them still reads and verifies them)"
)


@dataclass(slots=True)
class Writing:
    """What one commit adds."""

    blocks: list[Block] = field(default_factory=list)
    persons: list[Part] = field(default_factory=list)
    texts: list[Part] = field(default_factory=list)
    workers: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries; None means any."""

    action: str | None = None
    agent: str | None = None
    ref: str | None = None


class Journal:
    """The writer's side. `page` opens its own connection and may be called from any thread. ConfigError where the file
    has the layout of an older Weir."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            refuse_old(self._file)
            for statement in (*PRAGMAS, *CREATE):
                self._file.execute(statement)
        except BaseException:
            self._file.close()
            raise
        self._durable: bool | None = None
        self._folded = False
        """Whether nothing erased can stand in the log of pages any more; a process that was killed may have left it."""

    def close(self) -> None:
        self._file.close()

    def head(self) -> tuple[int, bytes]:
        """Number of the last entry and signature of its block; (0, b"") where there is none."""
        row = self._file.execute("SELECT last, mac FROM blocks ORDER BY last DESC LIMIT 1").fetchone()
        return (0, b"") if row is None else (row[0], bytes(row[1]))

    def fact(self, name: str) -> str | None:
        row = self._file.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def workers(self) -> dict[str, Any]:
        """What is known of each worker's numbering, as it was last written."""
        return {name: orjson.loads(state) for name, state in self._file.execute("SELECT worker, state FROM workers")}

    def lines(self, above_n: int) -> Iterator[bytes]:
        """The entries behind this one, as signed."""
        for row in self._file.execute(NEWER, (above_n,)):
            block = Block(*row)
            yield from islice(blocks.lines(block), max(0, above_n + 1 - block.first), None)

    def present(self, marks: Set[bytes]) -> set[bytes]:
        """Which of these entries (`block.mark`) are in the chain already: batches that were sent twice."""
        refs = [mark[: mark.index(b"\t")].decode() for mark in marks]
        found: set[bytes] = set()
        for row in islice(self._file.execute(HOLDING, (max(refs), min(refs), END)), LOOKED_BACK):
            found |= marks & _marks(Block(*row))
            if len(found) == len(marks):
                break
        return found

    def write(self, writing: Writing, *, durable: bool = False) -> None:
        """Commits before it returns. `durable`: also through a power cut (an fsync)."""
        if durable is not self._durable:
            self._file.execute("PRAGMA synchronous = FULL" if durable else "PRAGMA synchronous = NORMAL")
            self._durable = durable
        with self._file:
            self._file.execute("BEGIN IMMEDIATE")
            self._file.executemany(INSERT, writing.blocks)
            if writing.persons:
                whole = len(writing.persons) - len(writing.persons) % TOGETHER
                for at in range(0, whole, TOGETHER):
                    self._file.execute(INSERT_PERSONS, list(chain.from_iterable(writing.persons[at : at + TOGETHER])))
                self._file.executemany(INSERT_PERSON, writing.persons[whole:])
            if writing.texts:
                self._file.executemany(INSERT_TEXT, writing.texts)
            if writing.workers:
                states = [(name, orjson.dumps(state).decode()) for name, state in writing.workers.items()]
                self._file.executemany("INSERT OR REPLACE INTO workers VALUES (?, ?)", states)
            if writing.facts:
                self._file.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", list(writing.facts.items()))

    def sync(self) -> None:
        """Everything committed so far is on the disk when this returns."""
        self._file.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def erase(self, block: Block, numbers: Sequence[int], *, texts: bool, persons: bool) -> None:
        """Erases what stands beside these entries and writes `block`, whose entry says so, in one commit. Where persons
        go the tables are written anew: no byte of what was in them stays."""
        self._folded = False
        places = [(n,) for n in numbers]
        with self._file:
            self._file.execute("BEGIN IMMEDIATE")
            if texts:
                self._file.executemany("DELETE FROM texts WHERE n = ?", places)
            if persons:
                self._file.executemany("DELETE FROM persons WHERE n = ?", places)
            for table in PARTS if persons and numbers else ():
                for statement in RENEW[table] if texts or table == "persons" else ():
                    self._file.execute(statement)
            self._file.execute(INSERT, block)
        self.fold(wait=True)

    def fold(self, *, wait: bool = False) -> bool:
        """What was erased still stands in the log of pages until that is folded in and cut. False where somebody reads
        the trail as it was before: to be tried again."""
        if self._folded:
            return True
        try:
            self._file.execute("PRAGMA busy_timeout = 1000" if wait else "PRAGMA busy_timeout = 0")
            busy = self._file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        finally:
            self._file.execute("PRAGMA busy_timeout = 5000")
        self._folded = not busy
        return self._folded

    def with_text(self, until_n: int) -> list[int]:
        """The entries up to this number that still have their text."""
        return [n for (n,) in self._file.execute("SELECT n FROM texts WHERE n <= ? ORDER BY n", (until_n,))]

    def with_person(self, until_n: int) -> list[int]:
        """The entries up to this number that still tell user and session."""
        return [n for (n,) in self._file.execute("SELECT n FROM persons WHERE n <= ? ORDER BY n", (until_n,))]

    def of_user(self, user: str) -> list[int]:
        """The entries whose personal part names this user."""
        rows = self._file.execute("SELECT n, body FROM persons WHERE instr(body, ?) ORDER BY n", (orjson.dumps(user),))
        return [n for n, body in rows if _names(body, user)]

    def last_before(self, at_s: float) -> int:
        """The number of the last entry that was chained before this moment; 0 for none."""
        low, high = 0, self.head()[0]
        while low < high:
            middle = (low + high + 1) // 2
            wanted = "SELECT first, last, chained FROM blocks WHERE last >= ? ORDER BY last LIMIT 1"
            first, last, chained = self._file.execute(wanted, (middle,)).fetchone()
            if chained < at_s:
                low = last
            else:
                high = min(first, middle) - 1
        return low

    def page(self, wanted: EntryFilter, limit: int, below: int | None = None) -> list[dict[str, Any]]:
        """The newest `limit` entries below a number, with whatever of their persons and texts is left."""
        with closing(reader(self.path)) as file:
            file.execute("BEGIN")  # so that what is erased meanwhile is wholly there or wholly gone
            return list(islice(_walk(file, wanted, END if below is None else below), limit))

    def entries(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """These entries, with whatever of their persons and texts is left."""
        found: list[dict[str, Any]] = []
        with closing(reader(self.path)) as file:
            file.execute("BEGIN")
            block, texts = None, list[bytes]()
            for n in sorted(numbers):
                if block is None or n > block.last:
                    row = file.execute(AT, (n,)).fetchone()
                    if row is None:
                        break
                    block = Block(*row)
                    texts = [text for _, text in _with([], block)][::-1]
                if n >= block.first:
                    found.append(_entry(file, n, texts[n - block.first], block))
        return found


def refuse_old(file: sqlite3.Connection) -> None:
    """ConfigError where the trail has the layout of an older Weir."""
    if file.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'entries'").fetchone():
        raise ConfigError(OLD_LAYOUT)


def reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=READ_TIMEOUT_S)


def scan(file: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    """Every block in the order of its place, as stored, and whether its columns are of the kinds that they should."""
    return iter(file.execute(SCAN))


def scan_parts(file: sqlite3.Connection, table: Literal["persons", "texts"]) -> Iterator[tuple[Any, ...]]:
    """What is left in the table of `persons` or of `texts`, in the order of the entries: n, salt, body, and whether the
    two are of the kind that they should."""
    cursor = file.execute(PARTS[table])
    cursor.arraysize = 1_000
    while batch := cursor.fetchmany():
        yield from batch


def _marks(block: Block) -> set[bytes]:
    try:
        return {blocks.mark(line) for line in blocks.unpacked(block.body).split(b"\n")}
    except (ValueError, TypeError):  # whoever wrote into the file must not hold up the trail
        return set()


def _walk(file: sqlite3.Connection, wanted: EntryFilter, below: int) -> Iterator[dict[str, Any]]:
    # Values as they stand in a line: where they do not stand in the bytes nothing need be parsed.
    needles = [orjson.dumps(value) for value in (wanted.action, wanted.agent) if value is not None]
    if wanted.ref is None:
        rows = file.execute(OLDER, (below, needles[0] if needles else b""))
    else:
        needles.append(wanted.ref.encode() + b"\t")
        rows = file.execute(HOLDING, (wanted.ref, wanted.ref, below))
    for row in rows:
        block = Block(*row)
        for n, line in _with(needles, block):
            entry = _entry(file, n, line, block) if n < below else {}
            if entry and _fits(entry, wanted):
                yield entry


def _with(needles: list[bytes], block: Block) -> Iterator[tuple[int, bytes]]:
    """The entries of a block, the last first, that have all of this in them; nothing is in those of a block that
    cannot be read."""
    try:
        text = blocks.unpacked(block.body)
        lines = text.split(b"\n") if all(needle in text for needle in needles) else []
    except (ValueError, TypeError):  # whoever wrote into the file
        text, lines = b"", []
    if not lines and needles:
        return
    for n in range(block.last, block.first - 1, -1):
        line = lines[n - block.first] if n - block.first < len(lines) else b""
        if all(needle in line for needle in needles):
            yield n, line


def _fits(entry: Mapping[str, Any], wanted: EntryFilter) -> bool:
    asked = (("action", wanted.action), ("agent", wanted.agent), ("call", wanted.ref))
    return all(value is None or entry.get(name) == value for name, value in asked)


def _entry(file: sqlite3.Connection, n: int, line: bytes, block: Block) -> dict[str, Any]:
    """An entry as it is shown. What stands in its line goes before what its manifest says."""
    try:
        ref, worker, seq, person, content, manifest = blocks.parsed(line)
        entry = {"n": n, "call": ref.decode() or None, **orjson.loads(manifest), "chained": block.chained}
        if worker:
            entry |= {"worker": orjson.loads(worker), "seq": int(seq)}
        private = _left(file, PERSON, n) if person else None
        entry |= {"n": n, "call": ref.decode() or None, "mac": block.mac.hex(), "user": None, "session": None}
        entry |= private or {}
        if content:
            entry["content"] = _left(file, TEXT, n)
            entry["content_erased"] = entry["content"] is None
    except (ValueError, TypeError, AttributeError):
        return {"n": n, "unreadable": True}
    if person and private is None:
        entry["person_erased"] = True
    return entry


def _left(file: sqlite3.Connection, statement: str, n: int) -> Any:
    row = file.execute(statement, (n,)).fetchone()
    return None if row is None else orjson.loads(row[0])


def _names(body: Any, user: str) -> bool:
    try:
        return bool(orjson.loads(body)["user"] == user)
    except (ValueError, TypeError, LookupError):
        return False
