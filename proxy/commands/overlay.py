"""`weir overlay`: what was changed at run time. Through the admin API of the running Weir, so that it is audited."""

from __future__ import annotations

import argparse
import json
import sys

from proxy.commands.admin import Admin, AdminError, add_place


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="weir overlay", description="What was changed at run time: list, set, undo.")
    place = argparse.ArgumentParser(add_help=False)
    add_place(place)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list", parents=[place], help="all changes, newest first")
    setter = verbs.add_parser(
        "set", parents=[place], help="change one option, such as: weir overlay set limits.depth 64"
    )
    setter.add_argument("key")
    setter.add_argument("value", help="JSON, or plain text")
    setter.add_argument("--reason", default="", help="kept with the change and in the audit trail")
    undo = verbs.add_parser("undo", parents=[place], help="undo a change")
    undo.add_argument("id", type=int)
    verbs.add_parser("export", parents=[place], help="the changes in effect as YAML, to be moved into the file")
    options = parser.parse_args(arguments)
    try:
        sys.stdout.write(_run(Admin.found(options), options))
    except AdminError as error:
        sys.stderr.write(f"weir overlay: {error}\n")
        return 1
    return 0


def _run(admin: Admin, options: argparse.Namespace) -> str:
    if options.verb == "set":
        change = {"key": options.key, "value": _value(options.value), "reason": options.reason}
        return _shown(admin.call("POST", "/admin/v1/overlay", change))
    if options.verb == "undo":
        return _shown(admin.call("DELETE", f"/admin/v1/overlay/{options.id}"))
    if options.verb == "export":
        return admin.text("/admin/v1/overlay/export")
    return _shown(admin.call("GET", "/admin/v1/overlay"))


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _shown(answer: object) -> str:
    return json.dumps(answer, indent=2, ensure_ascii=False) + "\n"
