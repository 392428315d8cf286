"""The shelf on disk: a SQLite file that outlives restarts, bounded in bytes, used in threads only."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, TypeVar

from plugins.cache.entry import ENTRY_BYTES, Entry, Filter
from plugins.cache.seal import Seal
from plugins.cache.shared import Kept
from proxy.ports import Clock, Tasks

What = TypeVar("What")
Given = TypeVar("Given")
LOG: Final = logging.getLogger("weir.cache")
LAYOUT: Final = 1
_MARK: Final = "PRAGMA user_version = 1"
BUSY_S: Final = 0.5
"""Past that a write is given up; nobody waits for it."""
LOOK_S: Final = 0.02
"""Past that a look is a miss: the caller waits for it."""
_IN_THE_WAY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
TOUCHED: Final = 1024
"""Entries whose use is noted with the next write."""
EVICTED: Final = 64
COUNT_EVERY: Final = 256
"""Writes after which the bytes are counted anew: others write as well."""
_CREATE: Final = (
    "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, ends_s REAL NOT NULL, used_s REAL NOT NULL, "
    "size INTEGER NOT NULL, made_s REAL NOT NULL, tenant TEXT NOT NULL, agent TEXT NOT NULL, model TEXT NOT NULL, "
    "id TEXT NOT NULL, call TEXT NOT NULL, person BLOB NOT NULL, sealed BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS used ON answers (used_s)",
    "CREATE INDEX IF NOT EXISTS ends ON answers (ends_s)",
)
_PUT: Final = "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_OLDEST: Final = "DELETE FROM answers WHERE key IN (SELECT key FROM answers ORDER BY used_s LIMIT ?)"
_FORGET: Final = (
    "DELETE FROM answers WHERE (:tenant = '' OR tenant = :tenant) AND (:agent = '' OR agent = :agent)"
    " AND (:model = '' OR model = :model) AND (:id = '' OR id = :id OR call = :id)"
    " AND (:person = x'' OR person = :person) AND (:before_s = 0 OR made_s <= :before_s)"
)


class Sqlite:
    """One file. What cannot be read in it is a miss; a file that is damaged is begun anew. Raises sqlite3.Error and
    OSError where the disk says no.

    Who looks has a connection of its own, and sees the file as it was before what is being written just now."""

    def __init__(self, path: str, most_bytes: int, seal: Seal, tasks: Tasks, clock: Clock) -> None:
        self.path = Path(path)
        self.most_bytes = most_bytes
        self._seal = seal
        self._tasks = tasks
        self._clock = clock
        self._lock = threading.Lock()
        self._open: sqlite3.Connection | None = None
        self._looking = threading.Lock()
        """Taken after the other, where both are."""
        self._reader: sqlite3.Connection | None = None
        self._bytes = 0
        self._writes = 0
        self._touched: dict[bytes, float] = {}

    async def get(self, key: bytes) -> Entry | None:
        sealed = await self._tasks.in_thread(self._looked, key)
        return self._seal.open(key, sealed)

    async def put(self, kept: Sequence[Kept]) -> None:
        await self._tasks.in_thread(self._done, self._put, kept)

    async def forget(self, wanted: Filter) -> int:
        return await self._tasks.in_thread(self._done, self._forget, wanted)

    async def stop(self) -> None:
        self._close()  # (threads are closed when plugins stop)

    # --- in a thread

    def _looked(self, key: bytes) -> bytes | None:
        """What is kept, or None, also where somebody is in the way. Raises OSError with what is the matter."""
        if self._reader is None:  # the first who looks, or the file was begun anew
            return self._done(self._first, key)
        if not self._looking.acquire(timeout=LOOK_S):
            return None
        try:
            return None if self._reader is None else self._get(self._reader, key)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in _IN_THE_WAY:
                return None
            raise OSError(f"the cache's file: {error}") from error
        except sqlite3.DatabaseError:
            pass  # damaged: that is seen to below
        finally:
            self._looking.release()
        return self._done(self._get, key)

    def _first(self, connection: sqlite3.Connection, key: bytes) -> bytes | None:
        with self._looking:
            if self._reader is None:
                made = sqlite3.connect(self.path, timeout=LOOK_S, isolation_level=None, check_same_thread=False)
                self._reader = made
        return self._get(connection, key)

    def _done(self, work: Callable[[sqlite3.Connection, What], Given], what: What) -> Given:
        """Raises OSError with what is the matter."""
        try:
            return self._tried(work, what)
        except sqlite3.Error as error:
            raise OSError(f"the cache's file: {error}") from error

    def _tried(self, work: Callable[[sqlite3.Connection, What], Given], what: What) -> Given:
        with self._lock:
            try:
                return work(self._opened(), what)
            except sqlite3.OperationalError:  # locked, full, or not to be opened: the file is as good as before
                raise
            except sqlite3.DatabaseError:
                LOG.error("the cache's file is damaged: it is set aside as %s.damaged, and begun anew", self.path.name)
                self._drop()
                return work(self._opened(), what)

    def _opened(self) -> sqlite3.Connection:
        if self._open is not None:
            return self._open
        self.path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        made = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            made.execute("PRAGMA journal_mode = WAL")
            made.execute("PRAGMA synchronous = NORMAL")
            made.execute("PRAGMA secure_delete = ON")
            if made.execute("PRAGMA user_version").fetchone()[0] not in (0, LAYOUT):
                made.execute("DROP TABLE IF EXISTS answers")
            for statement in _CREATE:
                made.execute(statement)
            made.execute(_MARK)
            self._bytes = _counted(made)
        except BaseException:
            made.close()
            raise
        self._open = made
        return made

    def _get(self, connection: sqlite3.Connection, key: bytes) -> bytes | None:
        now_s = self._clock.wall_s()
        row = connection.execute("SELECT sealed FROM answers WHERE key = ? AND ends_s > ?", (key, now_s)).fetchone()
        if row is None or not isinstance(row[0], bytes):
            return None
        if len(self._touched) < TOUCHED:
            self._touched[key] = now_s
        return row[0]

    def _put(self, connection: sqlite3.Connection, kept: Sequence[Kept]) -> None:
        now_s = self._clock.wall_s()
        rows = []
        for key, entry, lives_s in kept:
            sealed = self._seal.close(key, entry)
            rows.append(
                (key, entry.made_s + lives_s, now_s, ENTRY_BYTES + len(sealed), entry.made_s, entry.tenant, entry.agent,
                 entry.model, entry.id, entry.call, entry.person, sealed)
            )  # fmt: skip
        touched, self._touched = self._touched, {}
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(
                "UPDATE answers SET used_s = ? WHERE key = ?", [(at_s, key) for key, at_s in list(touched.items())]
            )
            connection.executemany(_PUT, rows)
            self._bound(connection, sum(row[3] for row in rows), now_s)
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    def _bound(self, connection: sqlite3.Connection, more: int, now_s: float) -> None:
        self._bytes += more
        self._writes += 1
        if self._bytes <= self.most_bytes and self._writes % COUNT_EVERY:
            return
        connection.execute("DELETE FROM answers WHERE ends_s <= ?", (now_s,))
        self._bytes = _counted(connection)
        while self._bytes > self.most_bytes:
            connection.execute(_OLDEST, (EVICTED,))
            self._bytes = _counted(connection)

    def _forget(self, connection: sqlite3.Connection, wanted: Filter) -> int:
        found = connection.execute(
            _FORGET,
            {"tenant": wanted.tenant, "agent": wanted.agent, "model": wanted.model, "id": wanted.id,
             "person": wanted.person, "before_s": wanted.before_s},
        ).rowcount  # fmt: skip
        with self._looking, closing(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")) as told:
            told.fetchall()
        self._bytes = _counted(connection)
        return found

    def _close(self) -> None:
        with self._lock:
            self._close_reader()
            if self._open is not None:
                self._open.close()
                self._open = None

    def _close_reader(self) -> None:
        with self._looking, suppress(sqlite3.Error):
            if self._reader is not None:
                self._reader.close()
            self._reader = None

    def _drop(self) -> None:
        self._close_reader()
        if self._open is not None:
            with suppress(sqlite3.Error):
                self._open.close()
            self._open = None
        with suppress(FileNotFoundError):  # set aside: what the operator named may be another file
            self.path.replace(f"{self.path}.damaged")
        for name in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                Path(f"{self.path}{name}").unlink()


def _counted(connection: sqlite3.Connection) -> int:
    found: int = connection.execute("SELECT COALESCE(SUM(size), 0) FROM answers").fetchone()[0]
    return found
