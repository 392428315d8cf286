"""The table of savings in a day's file: what plugins spared of a call, net. Calls without savings never touch it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Any, Final

import orjson

from proxy.store.rows import DETAIL

MOST = 64
"""Savings of one call that are kept."""
CHARS = 256
"""Of a name or a risk; longer ones are cut."""
LEAST, GREATEST = -(2**53), 2**53
COLUMNS = (
    "at", "call", "n", "plugin", "kind", "agent", "mode", "input_tokens", "output_tokens", "nano_usd", "risk",
)  # fmt: skip
CREATE = (
    'CREATE TABLE IF NOT EXISTS savings (at REAL NOT NULL, "call" TEXT NOT NULL, n INTEGER NOT NULL, plugin TEXT,'
    " kind TEXT, agent TEXT, mode TEXT, input_tokens INTEGER, output_tokens INTEGER, nano_usd INTEGER, risk TEXT,"
    ' UNIQUE ("call", n))',
)
INSERT = " ".join(
    (
        "INSERT OR IGNORE INTO savings (",
        ", ".join('"' + name + '"' for name in COLUMNS),
        ") VALUES (",
        ", ".join("?" for _ in COLUMNS),
        ")",
    )
)
_WITH_MORE = '[{"'
"""How the detail of a row begins that has more than most: steps, findings, savings."""
NONE = "''"
BY: Final = MappingProxyType(
    {"plugin": ("plugin", NONE), "kind": ("plugin", "kind"), "agent": ("agent", NONE), "day": (NONE, NONE)}
)
"""What savings are summed by: two columns each."""
BETWEEN = "at >= ? AND at < ? AND (? IS NULL OR agent = ?)"
RISKS = " ".join(
    ("SELECT plugin, kind, mode, risk, COUNT(*) AS count FROM savings WHERE risk <> '' AND", BETWEEN,
     "GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC LIMIT 20")
)  # fmt: skip
"""What was risked most often."""


def of_rows(batch: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """What to put into the table for rows of calls (their columns in order). Of most a look at three characters."""
    found: list[tuple[Any, ...]] = []
    for row in batch:
        detail = row[-1]
        if type(detail) is str and detail.startswith(_WITH_MORE) and '"savings"' in detail:
            found += _of_row(row, detail)
    return found


def _of_row(row: Sequence[Any], detail: str) -> Iterator[tuple[Any, ...]]:
    """The savings of one call; nothing of what a worker did not write as it should."""
    try:
        savings = orjson.loads(detail)[0].get("savings")
    except (ValueError, LookupError, AttributeError):
        return
    for n, one in enumerate(savings[:MOST] if isinstance(savings, list) else ()):
        if isinstance(one, dict):
            yield (
                row[1], str(row[0]), n, _word(one.get("plugin")), _word(one.get("kind")), _word(row[2]),
                "shadow" if one.get("mode") == "shadow" else "enforce", _count(one.get("input_tokens")) or 0,
                _count(one.get("output_tokens")) or 0, _count(one.get("nano_usd")), _word(one.get("risk")),
            )  # fmt: skip


def _word(value: Any) -> str:
    return "" if value is None else str(value).encode("utf-8", "replace").decode()[:CHARS]


def _count(value: Any) -> int | None:
    return value if type(value) is int and LEAST <= value <= GREATEST else None


def statement(by: str) -> str:
    """Sums of the savings of a day between two moments (s), of one agent or all. KeyError for what nobody sums by."""
    first, second = BY[by]
    return " ".join(
        ("SELECT", first, "AS first,", second, "AS second, mode, COUNT(*) AS count,",
         'COUNT(DISTINCT "call") AS calls, SUM(input_tokens) AS input_tokens, SUM(output_tokens) AS output_tokens,',
         "COALESCE(SUM(nano_usd), 0) AS nano_usd, SUM(nano_usd IS NULL) AS unpriced, SUM(nano_usd < 0) AS losses,",
         "COALESCE(SUM(MIN(nano_usd, 0)), 0) AS lost_nano_usd, SUM(risk <> '') AS risked",
         "FROM savings WHERE", BETWEEN, "GROUP BY 1, 2, 3")
    )  # fmt: skip


def _detail(name: str) -> str:
    return "json_extract(detail, '$[" + str(DETAIL.index(name) + 1) + "]')"


_READ = "COALESCE(" + _detail("cache_read_tokens") + ", 0) + COALESCE(" + _detail("cache_write_tokens") + ", 0)"
_CHARGED = "COALESCE(" + _detail("usage_source") + ", '') <> 'cached'"
SPENT = " ".join(
    ("SELECT COALESCE(" + _detail("cache") + ", '') AS cache, SUM(" + _detail("parent") + " IS NULL) AS calls,",
     "COALESCE(SUM(cost_nano_usd), 0) AS nano_usd,",
     "SUM(cost_nano_usd IS NULL AND COALESCE(input_tokens, 0) + COALESCE(output_tokens, 0) > 0) AS unpriced,",
     "SUM(CASE WHEN", _CHARGED, "THEN COALESCE(input_tokens, 0) +", _READ, "ELSE 0 END) AS input_tokens,",
     "SUM(CASE WHEN", _CHARGED, "THEN COALESCE(output_tokens, 0) ELSE 0 END) AS output_tokens",
     "FROM executions WHERE", BETWEEN, "GROUP BY 1")
)  # fmt: skip
"""What the calls of a day took, by what the cache had for them. Sub-calls of plugins cost too; they are no calls."""
