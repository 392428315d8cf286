"""The table of verdicts in a day's file: what callers say of answers, beside the call."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

NAMES = 8
"""Names under which one call is judged."""
COLUMNS = ("call", "name", "at", "n", "score", "comment", "tenant", "agent", "notes")
CREATE = (
    'CREATE TABLE IF NOT EXISTS feedback ("call" TEXT NOT NULL, name TEXT NOT NULL, at REAL NOT NULL,'
    " n INTEGER NOT NULL, score REAL NOT NULL, comment TEXT, tenant TEXT, agent TEXT, notes TEXT NOT NULL,"
    ' PRIMARY KEY ("call", name)) WITHOUT ROWID',
)
PUT = " ".join(
    (
        "INSERT OR REPLACE INTO feedback (",
        ", ".join('"' + name + '"' for name in COLUMNS),
        ") VALUES (",
        ", ".join("?" for _ in COLUMNS),
        ")",
    )
)
OF_CALL = 'SELECT name, score FROM feedback WHERE "call" = ?'
LATEST = (
    'SELECT n, "call", name, score, tenant, agent, notes FROM feedback'
    " WHERE at >= ? AND at < ? AND notes <> '' ORDER BY n DESC LIMIT ?"
)
"""Those that some plugin learns of."""
OF_USER = (
    'SELECT f."call" AS "call", f.name AS name, f.n AS n, f.score AS score, f.comment AS comment, f.agent AS agent'
    ' FROM feedback AS f JOIN executions AS e ON e.id = f."call"'
    ' WHERE f.at >= ? AND f.at < ? AND e."user" = ? ORDER BY f.n'
)
ERASE = 'UPDATE feedback SET comment = NULL WHERE "call" IN (SELECT id FROM executions WHERE "user" = ?)'
"""While the calls are still theirs."""


class Told(NamedTuple):
    """One verdict, as it is kept."""

    call: str
    name: str
    at: float
    """Start of the call, seconds since the epoch: it says in which day's file this is."""
    n: int
    """When it was told, in microseconds since the epoch; no two have the same."""
    score: float
    """From 0 (bad) to 1 (good)."""
    comment: str | None
    tenant: str
    agent: str
    notes: str
    """What plugins left with the call, as JSON; empty: nothing."""


class Full(Exception):
    """The call has been judged under as many names as there may be."""


def put(file: sqlite3.Connection, told: Told) -> float | None:
    """In the place of what was said of the call under this name before; gives the score of that. Raises Full."""
    with file:
        file.execute("BEGIN IMMEDIATE")
        before = dict(file.execute(OF_CALL, (told.call,)).fetchall())
        if told.name not in before and len(before) >= NAMES:
            raise Full
        file.execute(PUT, told)
    return before.get(told.name)
