"""The table of calls: its columns, its statements, and what a question to it may filter by."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

TEXT, INTEGER, REAL = "TEXT", "INTEGER", "REAL"

COLUMNS = {
    "id": "TEXT PRIMARY KEY NOT NULL",
    "at": "REAL NOT NULL",
    "agent": TEXT,
    "outcome": TEXT,
    "model": TEXT,
    "target_model": TEXT,
    "served_model": TEXT,
    "path": TEXT,
    "error": TEXT,
    "status": INTEGER,
    "total_ms": REAL,
    "cost_nano_usd": INTEGER,
    "input_tokens": INTEGER,
    "output_tokens": INTEGER,
    "user": TEXT,
    "session": TEXT,
    "detail": TEXT,
}
"""What is searched, summed or redacted, in the order in which a record's line has it (`record.HEAD`); binding a column
costs as much as ten in `detail`. A new column is added to files that lack it when they are next written."""

DETAIL = (
    "tenant", "conversation", "key", "credential", "surface", "method", "stream", "upstream", "variant", "error_code",
    "attempts", "answered_by", "finish", "complete", "ttft_ms", "queue_ms", "upstream_ms", "overhead_ms",
    "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "usage_source", "price_source", "bytes_in",
    "bytes_out", "parent", "purpose", "settings", "plugins_us", "uninspected", "cache",
)  # fmt: skip
"""The other fields: `detail` is a JSON array of them (`record.REST`), behind an object of what is neither (or null).
Names may only be added at the end, for the rows on disk have none."""
EXTRA = ("steps", "findings", "savings", "discarded", "lessons")
"""What that object has, where a call has it."""
FIELDS = (*(name for name in COLUMNS if name != "detail"), *DETAIL)

PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA trusted_schema = OFF",
)

VIEW = ", ".join(
    (
        *('"' + name + '"' for name in COLUMNS if name != "detail"),
        *("json_extract(detail, '$[" + str(place) + "]') AS \"" + name + '"' for place, name in enumerate(DETAIL, 1)),
        *("json_extract(detail, '$[0]." + name + "') AS \"" + name + '"' for name in EXTRA),
    )
)
# No index by agent: it would touch a page per agent in every batch and cost as much as the row. A page of one agent's
# newest calls is found by walking back in time.
CREATE = (
    "CREATE TABLE IF NOT EXISTS executions ("
    + ", ".join('"' + name + '" ' + kind for name, kind in COLUMNS.items())
    + ")",
    "CREATE INDEX IF NOT EXISTS executions_at ON executions (at)",
    "CREATE INDEX IF NOT EXISTS executions_trouble ON executions (at) WHERE outcome <> 'ok'",
)
CREATE_VIEW = " ".join(("CREATE VIEW calls AS SELECT", VIEW, "FROM executions"))
"""For people: every field of a call by its name."""

NAMES = ", ".join('"' + name + '"' for name in COLUMNS)
TOGETHER = 25
"""Rows of one statement: beginning a statement costs a third of what a row does."""
ROW = "(" + ", ".join("?" for _ in COLUMNS) + ")"
INSERT = " ".join(("INSERT OR IGNORE INTO executions (", NAMES, ") VALUES", ROW))
INSERT_TOGETHER = " ".join(("INSERT OR IGNORE INTO executions (", NAMES, ") VALUES", ", ".join([ROW] * TOGETHER)))
FIND = "SELECT rowid AS place, * FROM executions WHERE id = ?"
PAGE = "SELECT rowid AS place, * FROM executions"
PAGE_ORDER = "ORDER BY at DESC, rowid DESC LIMIT ?"
_FREE = "COALESCE(cost_nano_usd, 0) = 0 AND json_extract(detail, '$[{place}]') = 'cached'".format(
    place=DETAIL.index("usage_source") + 1
)
"""Nobody worked for these tokens. (What costs something is not looked into.)"""


def _worked_for(name: str) -> str:
    return "COALESCE(SUM(CASE WHEN " + _FREE + " THEN 0 ELSE " + name + " END), 0)"


COUNT = " ".join(
    ("SELECT agent, outcome, COUNT(*), COALESCE(SUM(cost_nano_usd), 0),", _worked_for("input_tokens") + ",",
     _worked_for("output_tokens"), "FROM executions")
)  # fmt: skip
COUNT_GROUPS = "GROUP BY agent, outcome"
OF_USER = 'SELECT COUNT(*) FROM executions WHERE "user" = ?'
ERASE = (
    'UPDATE executions SET "user" = NULL, "session" = NULL, error = CASE WHEN ? THEN NULL ELSE error END'
    ' WHERE "user" = ?'
)
REWRITE, REWRITTEN = "PRAGMA user_version = 1", "PRAGMA user_version = 0"
"""Whether a file may still have bytes in it of what was erased from its rows."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which calls; None means any. Times are seconds since the epoch: `since_s` included, `until_s` not."""

    agent: str | None = None
    outcome: str | None = None
    model: str | None = None
    since_s: float | None = None
    until_s: float | None = None
    user: str | None = None

    def covers(self, day: str) -> bool:
        """Whether calls of that day can be among them."""
        begin = datetime.datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=datetime.UTC).timestamp()
        if self.since_s is not None and begin + 86_400 <= self.since_s:
            return False
        return self.until_s is None or begin < self.until_s


def is_day(text: str) -> bool:
    """Whether the name is one that a day's file has."""
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of a page: the next one begins below it."""

    day: str
    at: float
    place: int


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[dict[str, Any]]
    next: Cursor | None


def conditions(wanted: Filter, cursor: Cursor | None) -> tuple[str, tuple[Any, ...]]:
    """The WHERE of a filter, made of fixed sentences only; every value is bound."""
    parts: list[tuple[str, tuple[Any, ...]]] = []
    if wanted.agent is not None:
        parts.append(("agent = ?", (wanted.agent,)))
    if wanted.outcome is not None:
        # The second half says what the planner cannot see in a bound value: the small index of trouble will do.
        parts.append(("outcome = ?" + ("" if wanted.outcome == "ok" else " AND outcome <> 'ok'"), (wanted.outcome,)))
    if wanted.model is not None:
        parts.append(("(model = ? OR served_model = ?)", (wanted.model, wanted.model)))
    if wanted.user is not None:
        parts.append(('"user" = ?', (wanted.user,)))
    if wanted.since_s is not None:
        parts.append(("at >= ?", (wanted.since_s,)))
    if wanted.until_s is not None:
        parts.append(("at < ?", (wanted.until_s,)))
    if cursor is not None:
        parts.append(("(at, rowid) < (?, ?)", (cursor.at, cursor.place)))
    if not parts:
        return "", ()
    where = "WHERE " + " AND ".join(sentence for sentence, _ in parts)
    return where, tuple(value for _, values in parts for value in values)
