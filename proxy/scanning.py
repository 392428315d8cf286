"""`weir scan`: one plugin's judgement over JSON lines, order kept, as if it were on and enforcing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from proxy.plugin import Plugin

ROLES = ("user", "tool", "system")


class BadRow(Exception):
    """A line that is no row: says which and what it should be."""


def scan(plugin: Plugin[Any], options: Any, lines: Iterable[bytes]) -> Iterator[bytes]:
    """Each row with the judgement added. Raises BadRow at the first line that is none; what came before is out."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row = read(number, line)
        row.update(plugin.scan(row, options))
        yield orjson.dumps(row)


def read(number: int, line: bytes) -> dict[str, Any]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadRow(f"line {number} is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise BadRow(f'line {number} is not an object; write one object a line, such as {{"text": "..."}}')
    if not isinstance(row.get("text"), str):
        raise BadRow(f"line {number} has no `text`, or one that is no string")
    role = row.get("role", "user")
    if role not in ROLES:
        raise BadRow(f"line {number}: role is {role!r}; it may be {', '.join(ROLES)}")
    return row
