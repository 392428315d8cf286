"""The audit trail on disk: signed manifests in order; what is personal and what was said beside them, erasable.

This file only stores; what is signed, and how, is `control.chain`'s. Written by one thread. The columns `n`, `ref`,
`manifest`, `person`, `content` and `mac` never change once written; `salt`, `private` and the table of texts may go.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

CREATE = (
    "CREATE TABLE IF NOT EXISTS entries (n INTEGER PRIMARY KEY, ref TEXT NOT NULL, manifest TEXT NOT NULL,"
    " person BLOB, content BLOB, mac BLOB NOT NULL, salt BLOB, private TEXT)",
    "CREATE INDEX IF NOT EXISTS entries_ref ON entries (ref) WHERE ref <> ''",
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
INSERT = "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_TEXT = "INSERT INTO texts VALUES (?, ?, ?)"
Rows = Sequence[tuple[Any, ...]]
READ_TIMEOUT_S = 2.0


class Link(NamedTuple):
    """One entry as stored, in the order of the columns (a tuple, for there are thousands a second).
    `person` and `content` are salted hashes of `private` and `body`."""

    n: int
    ref: str
    manifest: str
    person: bytes | None
    content: bytes | None
    mac: bytes
    salt: bytes | None = None
    private: str | None = None
    body_salt: bytes | None = None
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries; None means any."""

    action: str | None = None
    agent: str | None = None
    ref: str | None = None


class Journal:
    """The writer's side. `page` opens its own connection and may be called from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for statement in (*PRAGMAS, *CREATE):
            self._file.execute(statement)
        self._durable: bool | None = None

    def close(self) -> None:
        self._file.close()

    def head(self) -> tuple[int, bytes]:
        """Number and signature of the last entry; (0, b"") where there is none."""
        row = self._file.execute("SELECT n, mac FROM entries ORDER BY n DESC LIMIT 1").fetchone()
        return (0, b"") if row is None else (row[0], bytes(row[1]))

    def fact(self, name: str) -> str | None:
        row = self._file.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def workers(self) -> dict[str, Any]:
        """What is known of each worker's numbering, as it was last written."""
        return {name: orjson.loads(state) for name, state in self._file.execute("SELECT worker, state FROM workers")}

    def manifests(self, above_n: int) -> list[str]:
        """The manifests of the entries behind this one."""
        return [
            text for (text,) in self._file.execute("SELECT manifest FROM entries WHERE n > ? ORDER BY n", (above_n,))
        ]

    def has(self, ref: str, seq: int, worker: str) -> bool:
        """Whether this entry of this worker is in the chain already (a batch that was sent twice)."""
        for (manifest,) in self._file.execute("SELECT manifest FROM entries WHERE ref = ?", (ref,)):
            found = orjson.loads(manifest)
            if found.get("seq") == seq and found.get("worker") == worker:
                return True
        return False

    def write(
        self,
        links: Sequence[Link],
        workers: Mapping[str, Any] | None = None,
        facts: Mapping[str, str] | None = None,
        *,
        durable: bool = False,
    ) -> None:
        """Commits before it returns. `durable`: also through a power cut (an fsync)."""
        bodies = [(link[0], *link[8:]) for link in links if link[9] is not None]
        self.write_rows([link[:8] for link in links], bodies, workers, facts, durable=durable)

    def write_rows(
        self,
        entries: Rows,
        bodies: Rows,
        workers: Mapping[str, Any] | None = None,
        facts: Mapping[str, str] | None = None,
        *,
        durable: bool = False,
    ) -> None:
        """As `write`, of rows as they stand in the tables of entries and texts."""
        if durable is not self._durable:
            self._file.execute("PRAGMA synchronous = FULL" if durable else "PRAGMA synchronous = NORMAL")
            self._durable = durable
        with self._file:
            self._file.execute("BEGIN IMMEDIATE")
            self._file.executemany(INSERT, entries)
            if bodies:
                self._file.executemany(INSERT_TEXT, bodies)
            if workers:
                states = [(name, orjson.dumps(state).decode()) for name, state in workers.items()]
                self._file.executemany("INSERT OR REPLACE INTO workers VALUES (?, ?)", states)
            if facts:
                self._file.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", list(facts.items()))

    def sync(self) -> None:
        """Everything committed so far is on the disk when this returns."""
        self._file.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def erase(self, link: Link, numbers: Sequence[int], *, texts: bool, persons: bool) -> None:
        """Erases what stands beside these entries and writes `link`, the entry that says so, in one commit."""
        places = [(n,) for n in numbers]
        with self._file:
            self._file.execute("BEGIN IMMEDIATE")
            if texts:
                self._file.executemany("DELETE FROM texts WHERE n = ?", places)
            if persons:
                self._file.executemany("UPDATE entries SET salt = NULL, private = NULL WHERE n = ?", places)
            self._file.execute(INSERT, link[:8])
        # What was erased still stands in the log of pages until that is folded in and cut.
        self._file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def with_text(self, until_n: int) -> list[int]:
        """The entries up to this number that still have their text."""
        return [n for (n,) in self._file.execute("SELECT n FROM texts WHERE n <= ? ORDER BY n", (until_n,))]

    def of_user(self, user: str) -> list[int]:
        """The entries whose personal part names this user."""
        wanted = "SELECT n FROM entries WHERE private IS NOT NULL AND json_extract(private, '$.user') = ? ORDER BY n"
        return [n for (n,) in self._file.execute(wanted, (user,))]

    def last_before(self, at_s: float) -> int:
        """The number of the last entry that was chained before this moment; 0 for none."""
        low, high = 0, self.head()[0]
        while low < high:
            middle = (low + high + 1) // 2
            row = self._file.execute("SELECT manifest FROM entries WHERE n = ?", (middle,)).fetchone()
            if row is not None and orjson.loads(row[0]).get("chained", 0) < at_s:
                low = middle
            else:
                high = middle - 1
        return low

    def page(self, wanted: EntryFilter, limit: int, below: int | None = None) -> list[dict[str, Any]]:
        """The newest `limit` entries below a number, with whatever of their texts is left."""
        parts: list[tuple[str, Any]] = [] if below is None else [("entries.n < ?", below)]
        if wanted.ref is not None:
            parts.append(("ref = ?", wanted.ref))
        if wanted.action is not None:
            parts.append(
                ("CASE WHEN json_valid(manifest) THEN json_extract(manifest, '$.action') END = ?", wanted.action)
            )
        if wanted.agent is not None:
            parts.append(
                ("CASE WHEN json_valid(manifest) THEN json_extract(manifest, '$.agent') END = ?", wanted.agent)
            )
        where = "WHERE " + " AND ".join(sentence for sentence, _ in parts) if parts else ""
        begin = (
            "SELECT entries.n, ref, manifest, person, content, mac, private, body"
            " FROM entries LEFT JOIN texts ON texts.n = entries.n"
        )
        statement = " ".join((begin, where, "ORDER BY entries.n DESC LIMIT ?"))
        with closing(reader(self.path)) as file:
            return [_entry(row) for row in file.execute(statement, (*(value for _, value in parts), limit))]


def reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=READ_TIMEOUT_S)


def scan(file: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    """Every entry in the order of its number: n, ref, manifest, person, content, mac, salt, private."""
    cursor = file.execute("SELECT n, ref, manifest, person, content, mac, salt, private FROM entries ORDER BY n")
    cursor.arraysize = 1_000
    while batch := cursor.fetchmany():
        yield from batch


def scan_texts(file: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    """Every text that is kept or should be: n, the hash that was signed, salt, body (None where it is gone)."""
    return iter(
        file.execute(
            "SELECT entries.n, entries.content, texts.salt, texts.body FROM entries LEFT JOIN texts"
            " ON texts.n = entries.n WHERE entries.content IS NOT NULL OR texts.n IS NOT NULL ORDER BY entries.n"
        )
    )


def _entry(row: tuple[Any, ...]) -> dict[str, Any]:
    n, ref, manifest, person, content, mac, private, body = row
    try:
        entry = {"n": n, "call": ref or None, **orjson.loads(manifest), "mac": bytes(mac).hex()}
        entry |= {"user": None, "session": None, **(orjson.loads(private) if private else {})}
    except (ValueError, TypeError):
        return {"n": n, "unreadable": True}
    if person is not None and private is None:
        entry["person_erased"] = True
    if content is not None:
        entry["content"] = orjson.loads(body) if body is not None else None
        entry["content_erased"] = body is None
    return entry
