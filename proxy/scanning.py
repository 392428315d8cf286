"""`weir scan`: one plugin's judgement over JSON lines, order kept, as if it were on and enforcing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from proxy.plugin import Plugin

ROLES = ("user", "tool", "system")


class BadRow(Exception):
    """A line that is no row or cannot be judged: says which and why."""


def scan(plugin: Plugin[Any], options: Any, lines: Iterable[bytes]) -> Iterator[bytes]:
    """Each row with the judgement added. Raises BadRow at the first line that cannot be; what came before is out."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row = read(number, line, plugin.rows)
        row.update(judged(number, plugin, row, options, "scan with"))
        try:
            written = orjson.dumps(row)
        except TypeError as error:
            raise BadRow(f"line {number}: the plugin failed on it ({type(error).__name__}: {error})") from error
        yield written


def judged(number: int, plugin: Plugin[Any], row: dict[str, Any], options: Any, to: str) -> dict[str, Any]:
    """What the plugin says of a row. Raises BadRow where it judges no texts (there is nothing `to` do), or failed."""
    try:
        return plugin.scan(row, options)
    except NotImplementedError as error:
        raise BadRow(f"plugin {plugin.name!r} judges no texts: there is nothing to {to}") from error
    except Exception as error:
        raise BadRow(f"line {number}: the plugin failed on it ({type(error).__name__}: {error})") from error


def read(number: int, line: bytes, texts: Sequence[str] = ("text",)) -> dict[str, Any]:
    """A row that has all these `texts`, and a role that there is. Raises BadRow."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadRow(f"line {number} is not JSON: {error}") from error
    example = ", ".join(f'"{name}": "..."' for name in texts)
    if not isinstance(row, dict):
        raise BadRow(f"line {number} is not an object; write one object a line, such as {{{example}}}")
    for name in texts:
        if not isinstance(row.get(name), str):
            raise BadRow(f"line {number} has no `{name}`, or one that is no string")
    role = row.get("role", "user")
    if role not in ROLES:
        raise BadRow(f"line {number}: role is {role!r}; it may be {', '.join(ROLES)}")
    return row
