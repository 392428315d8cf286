"""The table of security events in a day's file: what guards found in a call. Calls without findings never touch it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from proxy.findings import WOULD, dumped
from proxy.store.rows import Cursor, Filter

MOST = 256
"""Events of one call that are kept."""
CHARS = 256
"""Of a name; longer ones are cut."""
SEVERITIES = ("low", "medium", "high", "critical")
COLUMNS = (
    "at", "call", "n", "type", "severity", "plugin", "agent", "user", "session", "action", "mode", "score", "detail",
)  # fmt: skip
CREATE = (
    'CREATE TABLE IF NOT EXISTS events (at REAL NOT NULL, "call" TEXT NOT NULL, n INTEGER NOT NULL, type TEXT,'
    ' severity TEXT, plugin TEXT, agent TEXT, "user" TEXT, "session" TEXT, action TEXT, mode TEXT, score REAL,'
    ' detail TEXT, UNIQUE ("call", n))',
    "CREATE INDEX IF NOT EXISTS events_at ON events (at)",
)
INSERT = " ".join(
    (
        "INSERT OR IGNORE INTO events (",
        ", ".join('"' + name + '"' for name in COLUMNS),
        ") VALUES (",
        ", ".join("?" for _ in COLUMNS),
        ")",
    )
)
PAGE = "SELECT rowid AS place, * FROM events"
ERASE = 'UPDATE events SET "user" = NULL, "session" = NULL WHERE "user" = ?'
_WITH_MORE = '[{"'
"""How the detail of a row begins that has more than most: steps, findings."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events; None means any. Times are seconds since the epoch: `since_s` included, `until_s` not."""

    type: str | None = None
    severity: str | None = None
    agent: str | None = None
    user: str | None = None
    plugin: str | None = None
    since_s: float | None = None
    until_s: float | None = None

    def covers(self, day: str) -> bool:
        """Whether events of that day can be among them."""
        return Filter(since_s=self.since_s, until_s=self.until_s).covers(day)


@dataclass(frozen=True, slots=True)
class Events:
    """A page of them."""

    rows: list[dict[str, Any]]
    next: Cursor | None


def of_rows(batch: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """What to put into the table for rows of calls (their columns in order). Of most a look at three characters."""
    found: list[tuple[Any, ...]] = []
    for row in batch:
        detail = row[-1]
        if type(detail) is str and detail.startswith(_WITH_MORE) and '"findings"' in detail:
            found += _of_row(row, detail)
    return found


def _of_row(row: Sequence[Any], detail: str) -> Iterator[tuple[Any, ...]]:
    """The events of one call; nothing of what a worker did not write as it should."""
    try:
        findings = orjson.loads(detail)[0].get("findings")
    except (ValueError, LookupError, AttributeError):
        return
    call, at, agent, user, session = str(row[0]), row[1], row[2], row[-3], row[-2]
    for n, one in enumerate(findings[:MOST] if isinstance(findings, list) else ()):
        if not isinstance(one, dict):
            continue
        action, score = _word(one.get("action")), one.get("score")
        yield (
            at, call, n, _word(one.get("type")), _word(one.get("severity")), _word(one.get("plugin")), _name(agent),
            _name(user), _name(session), action.removeprefix(WOULD),
            "shadow" if action.startswith(WOULD) else "enforce",
            float(score) if isinstance(score, int | float) else None,
            dumped([one.get("reasons") or [], one.get("counts") or [], one.get("recommended") or ""]).decode(),
        )  # fmt: skip


def _word(value: Any) -> str:
    return "" if value is None else str(value).encode("utf-8", "replace").decode()[:CHARS]


def _name(value: Any) -> str | None:
    return None if value is None else str(value).encode("utf-8", "replace").decode()


def conditions(wanted: EventFilter, cursor: Cursor | None) -> tuple[str, tuple[Any, ...]]:
    """The WHERE of a filter, made of fixed sentences only; every value is bound."""
    asked: tuple[tuple[str, Any], ...] = (
        ("type = ?", wanted.type),
        ("severity = ?", wanted.severity),
        ("agent = ?", wanted.agent),
        ('"user" = ?', wanted.user),
        ("plugin = ?", wanted.plugin),
        ("at >= ?", wanted.since_s),
        ("at < ?", wanted.until_s),
    )
    parts: list[tuple[str, tuple[Any, ...]]] = [(sentence, (value,)) for sentence, value in asked if value is not None]
    if cursor is not None:
        parts.append(("(at, rowid) < (?, ?)", (cursor.at, cursor.place)))
    if not parts:
        return "", ()
    where = "WHERE " + " AND ".join(sentence for sentence, _ in parts)
    return where, tuple(value for _, values in parts for value in values)


def read(row: sqlite3.Row) -> dict[str, Any]:
    """An event as it is told: its call, what was found, and by whom."""
    found = dict(row)
    del found["place"], found["n"]
    try:
        reasons, counts, recommended = orjson.loads(found.pop("detail") or b"")
        counts = {str(name): count for name, count in counts}
    except (ValueError, TypeError):  # whoever wrote into the file: the columns are still worth something
        reasons, counts, recommended = [], {}, ""
    return {**found, "reasons": reasons, "counts": counts, "recommended": recommended}
