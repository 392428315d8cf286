"""What happened: one row per call in daily SQLite files, written by one thread, read across days newest first.

A file a day (UTC, by the start of the call) makes retention an unlink. WAL with `synchronous=NORMAL`: a killed process
loses nothing that was committed, a power cut at most the last moments, and neither damages the file.
"""

from __future__ import annotations

import datetime
import logging
import os
import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson

from proxy.findings import dumped
from proxy.ports import Clock
from proxy.store import events, feedback, savings
from proxy.store import rows as sql
from proxy.store.events import EventFilter, Events
from proxy.store.rows import COLUMNS, DETAIL, FIELDS, Cursor, Filter, Page, conditions, is_day
from proxy.store.spending import Sums, statement

LOG = logging.getLogger("weir.history")
OPEN_FILES = 3
"""Day files the writer keeps open: calls that began yesterday still end today."""
DAY_S = 86_400
LAST_S = 253_402_300_800
"""The end of the year 9999: what lies beyond is no time of a call."""
READ_TIMEOUT_S = 2.0
SMALL_BYTES = 64 * 1024 * 1024
"""A file up to this size is rewritten in memory, a larger one needs room for temporary files."""
UNSTORABLE = (
    sqlite3.InterfaceError, sqlite3.ProgrammingError, sqlite3.IntegrityError, OverflowError, UnicodeError,
)  # fmt: skip
LEAST, MOST = -(2**63), 2**63 - 1
"""Integers of a column."""

Row = Mapping[str, Any] | list[Any]
"""By name, or the values of all columns in their order, as control has them from a record's line."""


class History:
    """`write`, `sweep`, `erase`, `judge` and `close` belong to one thread; the rest may be called from any."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self.directory = directory
        self._clock = clock
        self._files: OrderedDict[str, sqlite3.Connection] = OrderedDict()
        self._head = itemgetter(*FIELDS[: len(COLUMNS) - 1])
        self._detail = itemgetter(*DETAIL)
        self._empty: dict[str, Any] = dict.fromkeys(FIELDS)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(self, rows: Iterable[Row]) -> int:
        """Commits before it returns, one transaction per day touched; rows already there are left as they are.
        Returns how many could not be stored because of what they are; raises sqlite3.Error where the disk is at fault.
        """
        by_day: dict[str, list[Sequence[Any]]] = {}
        begin, end = 0.0, 0.0
        batch: list[Sequence[Any]] = []
        for row in rows:
            values = row if type(row) is list else self._shape(row)  # type: ignore[arg-type]  # a list, or by name
            at = values[1]
            if type(at) is not float or not begin <= at < end:
                values, day = self._dated(values)
                begin, batch = day * DAY_S, by_day.setdefault(_name(day), [])
                end = begin + DAY_S
            batch.append(values)
        return sum(self._commit(day, batch) for day, batch in by_day.items())

    def sweep(self, keep_days: int) -> list[str]:
        """Unlinks the files of days older than `keep_days` (0 keeps all) and returns those days."""
        if keep_days <= 0:
            return []
        oldest = day_of(self._clock.wall_s() - keep_days * DAY_S)
        gone = [day for day in self.days() if day < oldest]
        for day in gone:
            self._close(day)
            for suffix in ("", "-wal", "-shm"):
                self._path(day).with_name(f"{day}.db{suffix}").unlink(missing_ok=True)
        return gone

    def of_user(self, user: str) -> dict[str, int]:
        """Days to be erased of this user, and how many calls each has; none where nobody knows: the file cannot be
        read, or an erasing of it came to no end."""
        found = {}
        for day in self.days():
            try:
                with closing(self._reader(day)) as file:
                    ((calls,),) = file.execute(sql.OF_USER, (user,))
                    ((begun,),) = file.execute("PRAGMA user_version")
            except sqlite3.DatabaseError:
                calls, begun = 0, 1
            if calls or begun:
                found[day] = calls
        return found

    def erase(self, day: str, user: str, *, errors: bool) -> int:
        """Makes the calls of this user nobody's, without the texts of their errors where asked, and returns how many
        there were. The file is written anew: bytes of older states lie between its rows. Raises sqlite3.Error."""
        path = self._path(day)
        self._close(day)
        if not path.exists():
            return 0
        with closing(_open(path)) as file:
            file.execute("PRAGMA secure_delete = ON")
            if path.stat().st_size <= SMALL_BYTES:
                file.execute("PRAGMA temp_store = MEMORY")
            with file:
                file.execute("BEGIN IMMEDIATE")
                file.execute(sql.REWRITE)
                file.execute(feedback.ERASE, (user,))
                calls = file.execute(sql.ERASE, (errors, user)).rowcount
                file.execute(events.ERASE, (user,))
            file.execute("VACUUM")
            if file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                raise sqlite3.OperationalError("somebody is reading them")
            file.execute(sql.REWRITTEN)
        return calls

    def judge(self, told: feedback.Told) -> float | None:
        """Keeps a verdict beside its call, in the place of an earlier one, whose score it gives. Raises feedback.Full,
        KeyError where the day of the call is not kept any more, and sqlite3.Error."""
        day = day_of(told.at)
        if not self._path(day).exists():
            raise KeyError(day)
        return feedback.put(self._file(day), told)

    def close(self) -> None:
        for day in list(self._files):
            self._close(day)

    def days(self) -> list[str]:
        """The days on disk, newest first."""
        return sorted(filter(is_day, (path.stem for path in self.directory.glob("????-??-??.db"))), reverse=True)

    def find(self, id: str) -> dict[str, Any] | None:
        """The row of one call, newest day first."""
        for day in self.days():
            for row in self._read(day, sql.FIND, (id,)):
                return _record(row)
        return None

    def page(self, wanted: Filter, limit: int, cursor: Cursor | None = None) -> Page:
        """The newest `limit` calls that `wanted` describes, from the cursor on downwards."""
        found: list[sqlite3.Row] = []
        days = [day for day in self.days() if wanted.covers(day) and (cursor is None or day <= cursor.day)]
        for day in days:
            where, values = conditions(wanted, cursor if cursor is not None and cursor.day == day else None)
            statement = " ".join((sql.PAGE, where, sql.PAGE_ORDER))
            found += self._read(day, statement, (*values, limit + 1 - len(found)))
            if len(found) > limit:
                return Page([_record(row) for row in found[:limit]], _cursor(found[limit - 1]))
        return Page([_record(row) for row in found], None)

    def counts(self, wanted: Filter) -> list[dict[str, Any]]:
        """Calls, money and tokens per agent and outcome; what was kept or shared took no tokens."""
        sums: dict[tuple[str, str], list[int]] = {}
        where, values = conditions(wanted, None)
        statement = " ".join((sql.COUNT, where, sql.COUNT_GROUPS))
        for day in self.days():
            if not wanted.covers(day):
                continue
            for agent, outcome, *numbers in self._read(day, statement, values):
                total = sums.setdefault((agent or "", outcome or ""), [0, 0, 0, 0])
                for place, number in enumerate(numbers):
                    total[place] += number
        names = ("calls", "cost_nano_usd", "input_tokens", "output_tokens")
        return [
            {"agent": agent, "outcome": outcome, **dict(zip(names, total, strict=True))}
            for (agent, outcome), total in sorted(sums.items())
        ]

    def events(self, wanted: EventFilter, limit: int, cursor: Cursor | None = None) -> Events:
        """The newest `limit` security events that `wanted` describes, from the cursor on downwards."""
        found: list[sqlite3.Row] = []
        for day in self.days():
            if not wanted.covers(day) or (cursor is not None and day > cursor.day):
                continue
            where, values = events.conditions(wanted, cursor if cursor is not None and cursor.day == day else None)
            statement = " ".join((events.PAGE, where, sql.PAGE_ORDER))
            found += self._read(day, statement, (*values, limit + 1 - len(found)))
            if len(found) > limit:
                return Events([events.read(row) for row in found[:limit]], _cursor(found[limit - 1]))
        return Events([events.read(row) for row in found], None)

    def spent(self, day: str, by: str, until_s: float, *, models: bool) -> list[Sums]:
        """What that day's calls took that began before a moment, by whom limits of this kind count."""
        return [tuple(row) for row in self._read(day, statement(by, models=models), (until_s,))]

    def sums(self, statement: str, span: Filter, values: Sequence[Any]) -> Iterator[tuple[str, list[sqlite3.Row]]]:
        """What a statement of this package gives for each day of a span; its first two values are the span's ends."""
        since_s, until_s = span.since_s or 0.0, LAST_S if span.until_s is None else span.until_s
        for day in self.days():
            if span.covers(day):
                yield day, self._read(day, statement, (since_s, until_s, *values))

    def _shape(self, row: Mapping[str, Any]) -> Sequence[Any]:
        values = {**self._empty, **row}
        extra = None
        if len(values) > len(self._empty):
            extra = {name: values[name] for name in values.keys() - self._empty.keys()}
        return (*self._head(values), dumped([extra, *self._detail(values)]).decode())

    def _dated(self, values: Sequence[Any]) -> tuple[Sequence[Any], int]:
        """The row and its day (since 1970). A time that is none becomes now."""
        at = values[1]
        if not isinstance(at, (int, float)) or not 0 <= at < LAST_S:
            at = self._clock.wall_s()
            values = [values[0], at, *values[2:]]
        return values, int(at // DAY_S)

    def _commit(self, day: str, batch: Sequence[Sequence[Any]]) -> int:
        try:
            return self._insert(self._file(day), batch)
        except sqlite3.OperationalError:
            self._close(day)
            raise
        except sqlite3.DatabaseError:
            self._close(day)
            self._set_aside(day)
            return self._insert(self._file(day), batch)

    def _insert(self, file: sqlite3.Connection, batch: Sequence[Sequence[Any]]) -> int:
        try:
            with file:
                file.execute("BEGIN IMMEDIATE")
                whole = len(batch) - len(batch) % sql.TOGETHER
                for at in range(0, whole, sql.TOGETHER):
                    file.execute(sql.INSERT_TOGETHER, list(chain.from_iterable(batch[at : at + sql.TOGETHER])))
                file.executemany(sql.INSERT, batch[whole:])
                if found := events.of_rows(batch):
                    file.executemany(events.INSERT, found)
                if spared := savings.of_rows(batch):
                    file.executemany(savings.INSERT, spared)
            return 0
        except UNSTORABLE:
            return self._insert_one_by_one(file, batch)

    def _insert_one_by_one(self, file: sqlite3.Connection, batch: Sequence[Sequence[Any]]) -> int:
        bad = 0
        with file:
            file.execute("BEGIN IMMEDIATE")
            for values in batch:
                storable = [_storable(value) for value in values]
                try:
                    file.execute(sql.INSERT, storable)
                    file.executemany(events.INSERT, events.of_rows([storable]))
                    file.executemany(savings.INSERT, savings.of_rows([storable]))
                except UNSTORABLE:
                    bad += 1
        return bad

    def _file(self, day: str) -> sqlite3.Connection:
        file = self._files.get(day)
        if file is not None:
            self._files.move_to_end(day)
            return file
        try:
            file = _open(self._path(day))
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            self._set_aside(day)
            file = _open(self._path(day))
        self._files[day] = file
        while len(self._files) > OPEN_FILES:
            self._close(next(iter(self._files)))
        return file

    def _set_aside(self, day: str) -> None:
        """A file that is no database any more is kept for whoever can read it, and a new one begun."""
        aside = self._path(day).with_name(f"{day}.damaged-{self._clock.wall_s():.0f}")
        self._path(day).rename(aside)
        for suffix in ("-wal", "-shm"):
            self._path(day).with_name(f"{day}.db{suffix}").unlink(missing_ok=True)
        LOG.error("the records of %s are damaged: the file was set aside as %s", day, aside.name)

    def _close(self, day: str) -> None:
        file = self._files.pop(day, None)
        if file is not None:
            file.close()

    def _path(self, day: str) -> Path:
        return self.directory / f"{day}.db"

    def _reader(self, day: str) -> sqlite3.Connection:
        uri = f"{self._path(day).absolute().as_uri()}?mode=ro"
        return sqlite3.connect(uri, uri=True, timeout=READ_TIMEOUT_S)

    def _read(self, day: str, statement: str, values: Sequence[Any]) -> list[sqlite3.Row]:
        """Rows of one day; a file that was just unlinked, just begun or is damaged has none."""
        try:
            with closing(self._reader(day)) as file:
                file.row_factory = sqlite3.Row
                return file.execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            if self._path(day).exists() and "no such table" not in str(error):
                LOG.warning("the records of %s cannot be read: %s", day, error)
            return []


def _storable(value: Any) -> Any:
    """A number that no column holds is not known; of what is neither number nor text its JSON is kept."""
    if isinstance(value, int):
        return value if LEAST <= value <= MOST else None
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return value if value is None or isinstance(value, float) else dumped(value).decode()


def day_of(at_s: float) -> str:
    """The UTC day of a moment, as the files are named."""
    return _name(int(at_s // DAY_S))


@lru_cache(maxsize=64)
def _name(day: int) -> str:
    return datetime.datetime.fromtimestamp(day * DAY_S, datetime.UTC).strftime("%Y-%m-%d")


def _open(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for statement in (*sql.PRAGMAS, *sql.CREATE, *events.CREATE, *savings.CREATE, *feedback.CREATE):
            file.execute(statement)
        present = {row[1] for row in file.execute("PRAGMA table_info(executions)")}
        for name, kind in COLUMNS.items():
            if name not in present:
                file.execute("ALTER TABLE executions ADD COLUMN " + name + " " + kind)
        view = file.execute("SELECT sql FROM sqlite_master WHERE name = 'calls'").fetchone()
        if view is None or view[0] != sql.CREATE_VIEW:
            file.execute("DROP VIEW IF EXISTS calls")
            file.execute(sql.CREATE_VIEW)
    except sqlite3.Error:
        file.close()
        raise
    return file


def _record(row: sqlite3.Row) -> dict[str, Any]:
    found = dict.fromkeys(FIELDS) | dict(row)
    del found["place"]
    try:
        detail = orjson.loads(found.pop("detail") or b"{}")
    except ValueError:  # whoever wrote into the file: the columns are still worth something
        detail = {}
    if isinstance(detail, list):
        extra, *values = detail
        detail = {**dict(zip(DETAIL, values, strict=False)), **(extra or {})}
    for name in ("stream", "complete"):  # columns of files of an older Weir
        if found.get(name) is not None:
            found[name] = bool(found[name])
    return {**found, **detail}


def _cursor(row: sqlite3.Row) -> Cursor:
    return Cursor(day_of(row["at"]), row["at"], row["place"])


def walk(history: History, wanted: Filter, step: int = 500) -> Iterator[dict[str, Any]]:
    """Every call that `wanted` describes, newest first, read in pages."""
    cursor: Cursor | None = None
    while True:
        page = history.page(wanted, step, cursor)
        yield from page.rows
        if page.next is None:
            return
        cursor = page.next
