"""Reads tables of rows back, as somebody would who knows what their first line says."""

from __future__ import annotations

import json
import re
from typing import Any

from plugins.compression.table import read

ABOUT = re.compile(r'\[JSON (?:rows|lines) as table(?: <table ([A-Z]+)>)?(?:, cells between "(.)")?: [^\]]*\]')
_DECODER = json.JSONDecoder()


def untabled(text: str) -> Any:
    """The value that the text was made of, numbers as they were written."""
    lines = text.split("\n")
    if ABOUT.fullmatch(lines[0]):
        return rows(lines)
    tables: dict[str, Any] = {}
    starts = [at for at, line in enumerate(lines) if ABOUT.fullmatch(line)]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        found = ABOUT.fullmatch(lines[start])
        assert found is not None
        tables[f"<table {found[1]}>"] = rows(lines[start:end])
    return put(read("\n".join(lines[: starts[0]])), tables)


def put(value: Any, tables: dict[str, Any]) -> Any:
    if type(value) is str and value in tables:
        return tables[value]
    if type(value) is dict:
        return {key: put(inner, tables) for key, inner in value.items()}
    return [put(inner, tables) for inner in value] if type(value) is list else value


def rows(lines: list[str]) -> list[dict[str, Any]]:
    about = ABOUT.fullmatch(lines[0])
    assert about is not None
    separator = about[2] or ","
    names = [cell for cell in cells(lines[1], separator) if cell is not None]
    made = []
    for line in lines[2:]:
        found = cells(line, separator)
        assert len(found) == len(names), line
        made.append(
            {name: cell[0] for name, cell in zip([one[0] for one in names], found, strict=True) if cell is not None}
        )
    return made


def cells(line: str, separator: str) -> list[tuple[Any] | None]:
    """Each as a tuple of its value, None where it is empty."""
    found: list[tuple[Any] | None] = []
    at = 0
    while True:
        if line[at : at + 1] in ('"', "{", "["):
            _, end = _DECODER.raw_decode(line, at)
            found.append((read(line[at:end]),))
        else:
            end = line.find(separator, at)
            end = len(line) if end < 0 else end
            found.append(scalar(line[at:end]))
        if end >= len(line):
            return found
        assert line[end] == separator
        at = end + 1


def scalar(cell: str) -> tuple[Any] | None:
    if not cell:
        return None
    try:
        return (read(cell),)
    except ValueError:
        return (cell,)
