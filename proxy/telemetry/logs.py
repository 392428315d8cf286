"""One line of JSON (or plain text) per event, safe to print: nothing a caller sends can break or forge a line.

Log lines hold names, numbers and Weir's own sentences, never the texts of calls.
"""

from __future__ import annotations

import json
import logging
import os
import re
import select
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal

import orjson

from proxy.ports import Clock, Counter

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["json", "text"]
LEVELS: Mapping[str, int] = MappingProxyType({"debug": 10, "info": 20, "warning": 30, "error": 40})
NOTHING: Mapping[str, Any] = MappingProxyType({})
VALUE_CHARACTERS = 1000
"""A line should fit into what a pipe takes in one piece (4 KB), or writing it may wait for the reader."""
# DEL, C1 controls, line and paragraph separators, marks that reorder what one reads, the byte order mark: JSON allows
# them raw, terminals and line-based readers act on them. (JSON itself escapes what is below U+0020.)
_UNSAFE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")


class Log:
    """Writes to a descriptor that others share, one `write` per line. Never waits: where the reader of a pipe does not
    keep up, lines are dropped, counted, and their number is said in the next line that gets through."""

    __slots__ = ("_bound", "_clock", "_dropped", "_fd", "_format", "_least", "_lost", "_poll")

    def __init__(
        self,
        clock: Clock,
        *,
        level: Level = "info",
        format: Format = "json",
        fd: int = 2,
        dropped: Counter | None = None,
    ) -> None:
        self._clock = clock
        self._least = LEVELS[level]
        self._format = format
        self._fd = fd
        self._dropped = dropped
        self._bound: dict[str, Any] = {}
        self._lost = [0]
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    def bind(self, **fields: Any) -> Log:
        """A log that adds these fields to every line."""
        bound = Log.__new__(Log)
        for name in Log.__slots__:
            setattr(bound, name, getattr(self, name))
        bound._bound = {**self._bound, **fields}
        return bound

    def debug(self, event: str, **fields: Any) -> None:
        if self._least <= 10:
            self._write("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        if self._least <= 20:
            self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        if self._least <= 30:
            self._write("warning", event, fields)

    def error(self, event: str, error: BaseException | None = None, **fields: Any) -> None:
        """With `error`, its type, message and place are added."""
        if error is not None:
            fields = {**fields, **describe(error)}
        self._write("error", event, fields)

    def write(self, level: Level, event: str, fields: Mapping[str, Any]) -> None:
        """For those who have the level as a value."""
        if self._least <= LEVELS[level]:
            self._write(level, event, fields)

    def _write(self, level: Level, event: str, fields: Mapping[str, Any]) -> None:
        if self._lost[0]:
            fields = {**fields, "lines_dropped": self._lost[0]}
        at_s = self._clock.wall_s()
        make = json_line if self._format == "json" else text_line
        line = make(at_s, level, event, {**self._bound, **fields})
        try:
            if self._poll.poll(0):
                os.write(self._fd, line)
                self._lost[0] = 0
                return
        except OSError:
            pass  # nobody reads any more; that is no reason to fail
        self._lost[0] += 1
        if self._dropped is not None:
            self._dropped.add()


def json_line(at_s: float, level: str, event: str, fields: Mapping[str, Any]) -> bytes:
    """One line, in the order time, level, event, fields."""
    row: dict[str, Any] = {"time": _time(at_s), "level": level, "event": event}
    for name, value in fields.items():
        row[name if name not in row else f"{name}_"] = _short(value)
    try:
        line = orjson.dumps(row, default=_said, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # lone surrogates, integers over 64 bits: rare, and no reason to lose the line
        line = _anyhow(row)
    if line.isascii() and b"\x7f" not in line:
        return line + b"\n"
    return _UNSAFE.sub(_escape, line.decode()).encode() + b"\n"


def _anyhow(row: dict[str, Any]) -> bytes:
    try:
        return json.dumps(row, default=_said, skipkeys=True).encode()
    except (TypeError, ValueError, RecursionError):  # it contains itself
        return json.dumps({name: _said(value) for name, value in row.items()}).encode()


def _said(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 a value that cannot even be named must not end the caller
        return type(value).__name__


def text_line(at_s: float, level: str, event: str, fields: Mapping[str, Any]) -> bytes:
    """For eyes: `2026-11-22T09:00:00.000Z INFO started port=8080`. Values are JSON, so they stay on the line."""
    parts = [_time(at_s), level.upper(), _bare(event)]
    parts += [f"{_bare(str(name))}={_bare(_short(value))}" for name, value in fields.items()]
    return " ".join(parts).encode() + b"\n"


def describe(error: BaseException) -> dict[str, Any]:
    """Type, message and the innermost place of an error, as fields."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    return {"error": type(error).__name__, "message": str(error), "where": where}


def _time(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > VALUE_CHARACTERS:
        return f"{value[:VALUE_CHARACTERS]} [{len(value) - VALUE_CHARACTERS} characters more]"
    return value


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found.group()):04x}"


def _bare(value: Any) -> str:
    """As it is where that is one plain word, else as JSON."""
    if isinstance(value, str) and value.isascii() and value.isprintable() and value and not set(value) & set(' ="'):
        return value
    try:
        text = json.dumps(value, default=_said, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = json.dumps(_said(value), ensure_ascii=False)
    return _UNSAFE.sub(_escape, text).encode("utf-8", "backslashreplace").decode()


class Bridge(logging.Handler):
    """Carries what libraries say through `logging` into a `Log`; of our own lines the `call` they name and the mapping
    `fields` that they bring as `extra` too."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"logger": record.name, **getattr(record, "fields", NOTHING)}
        if (call := getattr(record, "call", None)) is not None:
            fields["call"] = call
        if record.exc_info and record.exc_info[1] is not None:
            fields |= describe(record.exc_info[1])
        try:
            said = record.getMessage()
        except (TypeError, ValueError):
            said = str(record.msg)
        self._log.write(_level(record.levelno), said, fields)


def _level(number: int) -> Level:
    if number >= 40:
        return "error"
    if number >= 30:
        return "warning"
    return "info" if number >= 20 else "debug"


def install(log: Log, level: Level = "warning") -> None:
    """Makes `logging` write through `log`, from `level` up, and nowhere else."""
    root = logging.getLogger()
    root.handlers[:] = [Bridge(log)]
    root.setLevel(LEVELS[level])
