"""The standard library's logging, written by `telemetry.logs`: one JSON object a line on stderr, or text for people."""

from __future__ import annotations

import logging
from typing import Literal

from proxy.ports import Clock
from proxy.telemetry.logs import Log

Level = Literal["debug", "info", "warning", "error"]
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Handler(logging.Handler):
    """What a record carries in `extra` becomes fields of the line."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        fields = {name: value for name, value in vars(record).items() if name not in _PLAIN}
        fields["logger"] = record.name
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            self._log.error(record.getMessage(), error, **fields)
        else:
            self._log.write(_level(record.levelno), record.getMessage(), fields)


def _level(number: int) -> Level:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warning"
    return "info" if number >= logging.INFO else "debug"


def open_log(level: Level, format_: Literal["json", "text"], clock: Clock, **bound: object) -> None:
    """From here on everything of this process goes there; libraries below warning are quiet."""
    log = Log(clock, level=level, format=format_).bind(**bound)
    root = logging.getLogger()
    root.handlers[:] = [Handler(log)]
    root.setLevel(logging.WARNING)
    logging.getLogger("weir").setLevel(level.upper())
