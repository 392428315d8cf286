"""The output filter's rules as data: allowed hosts, examples of mail, unsafe calls of tools."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from proxy.detection.secretrules import compiled, sheet
from proxy.errors import ConfigError

PACKAGED = "output_filter.toml"
Severity = Literal["low", "medium", "high", "critical"]
_LISTS = ("hosts", "mailboxes", "domains", "parameters")
_FIELDS = frozenset(("id", "tool", "argument", "severity"))


@dataclass(frozen=True, slots=True)
class Call:
    """An unsafe call: by the tool's name, where it is known, and one of its arguments."""

    id: str
    argument: Any
    tool: Any = None
    severity: Severity = "high"


@dataclass(frozen=True, slots=True)
class Sheet:
    """All rules of the output filter."""

    hosts: tuple[str, ...] = ()
    mailboxes: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    parameters: frozenset[str] = frozenset()
    calls: tuple[Call, ...] = field(default=())


def read(files: Sequence[str] = ()) -> Sheet:
    """The packaged rules, and those of the operator's files. Raises ConfigError."""
    lists: dict[str, list[str]] = {name: [] for name in _LISTS}
    calls: dict[str, Call] = {}
    for name, text in [(f"config/{PACKAGED}", sheet(PACKAGED)), *((name, _text(name)) for name in files)]:
        found = _parsed(text, name)
        for key in _LISTS:
            lists[key] += [str(word).lower() for word in found.get(key, ())]
        calls.update((call.id, call) for call in (_call(row, name) for row in found.get("call", ())))
    return Sheet(
        tuple(lists["hosts"]), frozenset(lists["mailboxes"]), frozenset(lists["domains"]),
        frozenset(lists["parameters"]), tuple(calls.values()),
    )  # fmt: skip


def _text(name: str) -> str:
    try:
        return Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{name} cannot be read ({type(error).__name__}): name a TOML file", key="plugins.output_filter.rules"
        ) from None


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"is not TOML: {error}", file=name, line=1) from None
    unknown = sorted(set(found) - {*_LISTS, "call"})
    if unknown:
        raise ConfigError(f"{unknown[0]} is not known; there are call, {', '.join(_LISTS)}", file=name, line=1)
    return found


def _call(row: Mapping[str, Any], file: str) -> Call:
    name = str(row.get("id", ""))
    unknown = sorted(set(row) - _FIELDS)
    if unknown:
        raise ConfigError(f"call {name}: {unknown[0]} is not known; there are {', '.join(sorted(_FIELDS))}", file=file)
    if not name or not row.get("argument"):
        raise ConfigError(f"call {name or '(without id)'}: an id and an argument are needed", file=file)
    severity: Severity = row.get("severity", "high")
    if severity not in get_args(Severity):
        raise ConfigError(f"call {name}: severity is one of {', '.join(get_args(Severity))}", file=file)
    tool = compiled(str(row["tool"]), name, file) if row.get("tool") else None
    return Call(name, compiled(str(row["argument"]), name, file), tool, severity)
