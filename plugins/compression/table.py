"""JSON rows as a table: arrays of alike objects lose the names of their keys in every row, and nothing else.

How a table reads
-----------------
The first line says what it is; the second names the columns; each further line is a row.
A cell is JSON; text that could not be taken for anything else stands bare; an empty cell is a key that the row lacks.
Where the rows are part of a larger JSON, `"<table A>"` stands in their place and the table follows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

LEAST_ROWS = 3
FILLED = 0.6
"""At least this share of the cells must be there."""
MOST_COLUMNS = 64
MOST_CHARS = 393_216
"""Longer JSON is not read for its rows: that would hold all other calls for too long."""
_NOT_BARE = re.compile(
    r'^(?:[\s"{\[<]|[+-]?\.?\d[\d.,]*(?:[eE][+-]?\d+)?$|(?:true|false|null)$)|[\x00-\x1f\x7f-\x9f\u2028\u2029]|\s$'
)
_SEPARATORS = (",", "|", ";")


class Number(str):
    """A number as it was written."""

    __slots__ = ()


class Doubled(ValueError):
    """An object names a key twice, or holds what is no JSON."""


def read(text: str) -> Any:
    """The value, numbers as they were written. Raises ValueError."""
    return _DECODER.decode(text)


def value_of(text: str) -> Any:
    """The value, numbers as they were written; None where it cannot be had without loss."""
    try:
        return read(text)
    except (ValueError, RecursionError):
        return None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Doubled("a key stands twice")
    return made


def _refuse(name: str) -> NoReturn:
    raise Doubled(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=_refuse, object_pairs_hook=_object)


def tabled(text: str) -> str | None:
    """A JSON text with its rows as tables; None where it has none, or is not fit for it."""
    if len(text) > MOST_CHARS:
        return None
    try:
        return _told(read(text))
    except (ValueError, RecursionError):
        return None


def tabled_lines(lines: list[str]) -> str | None:
    """The same for lines that are an object each (JSON lines)."""
    try:
        rows = [read(line) for line in lines]
        return _table(rows, "JSON lines", "") if rowlike(rows) else None
    except (ValueError, RecursionError):
        return None


def _told(value: Any) -> str | None:
    if rowlike(value):
        return _table(value, "JSON rows", "")
    tables: list[str] = []
    shape = _without(value, tables)
    if not tables or "<table " in "".join(_strings(value)):
        return None
    return "\n".join([written(shape), *tables])


def rowlike(value: Any) -> bool:
    """Whether this is an array of objects that are alike, and flat but for some short lists."""
    if type(value) is not list or len(value) < LEAST_ROWS:
        return False
    names: dict[str, None] = {}
    cells = nested = 0
    for row in value:
        if type(row) is not dict or not row:
            return False
        names.update(dict.fromkeys(row))
        cells += len(row)
        for cell in row.values():
            if (type(cell) is dict and cell) or (type(cell) is list and not all(map(_flat, cell))):
                return False
            nested += type(cell) is list
    return len(names) <= MOST_COLUMNS and cells >= FILLED * len(names) * len(value) and 4 * nested <= cells


def _flat(value: Any) -> bool:
    return type(value) is not dict and type(value) is not list


def _without(value: Any, tables: list[str]) -> Any:
    """The value with a mark in the place of each array of rows, whose tables are added."""
    if rowlike(value):
        name = f"<table {chr(ord('A') + len(tables) % 26) * (1 + len(tables) // 26)}>"
        tables.append(_table(value, "JSON rows", f" {name}"))
        return name
    if type(value) is dict:
        return {key: _without(inner, tables) for key, inner in value.items()}
    if type(value) is list:
        return [_without(inner, tables) for inner in value]
    return value


def _table(rows: list[dict[str, Any]], what: str, name: str) -> str:
    names = list(dict.fromkeys(key for row in rows for key in row))
    separator = _separator(rows)
    bare = re.compile(f"{_NOT_BARE.pattern}|{re.escape(separator)}").search
    lines = [separator.join([_cell(key, bare) for key in names])]
    absent = object()
    for row in rows:
        found = [row.get(key, absent) for key in names]
        lines.append(separator.join(["" if cell is absent else _cell(cell, bare) for cell in found]))
    told = "" if separator == "," else f', cells between "{separator}"'
    about = f"[{what} as table{name}{told}: bare text is a string, an empty cell an absent key]"
    return "\n".join([about, *lines])


def _separator(rows: list[dict[str, Any]]) -> str:
    """What stands in the fewest strings."""
    texts = "\0".join([cell for row in rows[:50] for cell in row.values() if type(cell) is str])
    return min(_SEPARATORS, key=texts.count)


def _cell(cell: Any, needs_quotes: Any) -> str:
    if type(cell) is str and cell and not needs_quotes(cell):
        return cell
    return written(cell)


def written(value: Any) -> str:
    """Compact JSON, numbers as they were written."""
    kind = type(value)
    if kind is Number:
        return str(value)
    if kind is dict:
        return "{" + ",".join([f"{written(key)}:{written(inner)}" for key, inner in value.items()]) + "}"
    if kind is list:
        return "[" + ",".join([written(inner) for inner in value]) + "]"
    return json.dumps(value, ensure_ascii=False)


def _strings(value: Any) -> Iterator[str]:
    if type(value) is str:
        yield value
    elif type(value) is dict:
        for key, inner in value.items():
            yield key
            yield from _strings(inner)
    elif type(value) is list:
        for inner in value:
            yield from _strings(inner)
