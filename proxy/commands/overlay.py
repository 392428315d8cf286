"""`weir overlay`: what was changed at run time. Through the admin API of the running Weir, so that it is audited.

Where none runs, changes are listed, undone and exported in the data directory itself (`resting`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from proxy.commands.admin import Admin, AdminError, NobodyThere, add_place
from proxy.commands.table import short, table

HEADS = ("ID", "STATE", "PATH", "VALUE", "BY", "AT", "REASON")
VALUE_CHARS = 72
DIGEST_CHARS = 8
"""Of a digest: enough to know it by."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="weir overlay", description="What was changed at run time: list, set, undo.")
    place = argparse.ArgumentParser(add_help=False)
    add_place(place)
    verbs = parser.add_subparsers(dest="verb", required=True)
    lister = verbs.add_parser("list", parents=[place], help="the newest change of each option, newest first")
    lister.add_argument("--all", action="store_true", help="every change, those undone or overtaken too")
    lister.add_argument("--json", action="store_true", help="every change with all its fields, as JSON")
    setter = verbs.add_parser(
        "set", parents=[place], help="change one option, such as: weir overlay set limits.depth 64"
    )
    setter.add_argument("key")
    setter.add_argument("value", help="JSON, or plain text")
    setter.add_argument("--reason", default="", help="kept with the change and in the audit trail")
    undo = verbs.add_parser("undo", parents=[place], help="undo changes, also where no Weir runs")
    undo.add_argument("id", type=int, nargs="+")
    verbs.add_parser("export", parents=[place], help="the changes in effect as YAML, to be moved into the file")
    options = parser.parse_args(arguments)
    try:
        sys.stdout.write(_told(options))
    except AdminError as error:
        sys.stderr.write(f"weir overlay: {error}\n")
        return 1
    return 0


def _told(options: argparse.Namespace) -> str:
    """Of the Weir that runs; where none does, of what it left."""
    try:
        return _run(Admin.found(options), options)
    except NobodyThere as nobody:
        if options.url:
            raise
        if options.verb == "set":
            raise AdminError(f"{nobody}. Only a running Weir can judge a change: write it into the file") from None
        return _resting(options)


def _resting(options: argparse.Namespace) -> str:
    resting, data = import_module("proxy.commands.resting"), Path(options.data).expanduser()
    if options.verb == "undo":
        done = resting.undo(data, options.id)
        _note(f"no Weir runs in {data}: undone there, for the next start")
        return "".join(map(_shown, done))
    told = resting.export(data) if options.verb == "export" else resting.changes(data)
    _note(f"no Weir runs in {data}: this is what the next start takes up")
    if options.verb == "export":
        return str(told)
    return _shown(told) if options.json else _listed(told["changes"], every=options.all)


def _note(words: str) -> None:
    sys.stderr.write(f"weir overlay: {words}\n")


def _run(admin: Admin, options: argparse.Namespace) -> str:
    if options.verb == "set":
        change = {"key": options.key, "value": _value(options.value), "reason": options.reason}
        return _shown(admin.call("POST", "/admin/v1/overlay", change))
    if options.verb == "undo":
        return "".join(_shown(admin.call("DELETE", f"/admin/v1/overlay/{number}")) for number in options.id)
    if options.verb == "export":
        return admin.text("/admin/v1/overlay/export")
    found = admin.call("GET", "/admin/v1/overlay")
    return _shown(found) if options.json else _listed(found["changes"], every=options.all)


def _listed(changes: list[dict[str, Any]], *, every: bool) -> str:
    """`changes`: newest first."""
    if not changes:
        return "Nothing was changed at run time.\n"
    newest: dict[str, dict[str, Any]] = {}
    for change in sorted(changes, key=lambda one: not one["in_effect"]):  # (what is in effect stands for its option)
        newest.setdefault(change["key"], change)
    kept = changes if every else [change for change in changes if newest[change["key"]] is change]
    return table(HEADS, map(_row, kept))


def _row(change: dict[str, Any]) -> tuple[str, ...]:
    state = "in effect" if change["in_effect"] else "undone" if change["undone_at"] is not None else "overtaken"
    at = datetime.fromtimestamp(change["at"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    value = short(_brief(change["new"]), VALUE_CHARS)
    return (str(change["id"]), state, change["key"], value, change["who"], at, change["reason"])


def _brief(value: Any) -> str:
    """A value in few words; of a section only what says something."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ",".join(value)
    if not isinstance(value, dict):
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(_fields(value)) or "{}"


def _fields(section: dict[str, Any]) -> Iterable[str]:
    yield from (name for name, value in section.items() if value is True)
    for name, value in section.items():
        if value is not True and value not in ("", None, False, [], {}, 0):
            cut = str(value)[:DIGEST_CHARS] if name.endswith("sha256") else _brief(value)
            yield f"{name}={cut}"


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _shown(answer: object) -> str:
    return json.dumps(answer, indent=2, ensure_ascii=False) + "\n"
