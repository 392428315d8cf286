"""`weir privacy`: all that is held of a user, told (`export`) or forgotten (`erase`), by the Weir that runs."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from urllib.parse import urlencode

from proxy.commands.admin import Admin, AdminError, NobodyThere, add_place

ERASING_S = 3600.0
"""Days of many gigabytes are rewritten one by one."""
ERASING = (
    "Forget a user: who is behind the user's entries of the audit trail and what was said in them; user, session and "
    "error text of the user's records and security events; what plugins hold of the user (maps of masked values); keys "
    "bound to the user are revoked. The trail stays whole; a signed entry says what was erased, by whom and why, and "
    "never names the user. It asks nothing, and can be run again: that also erases what was still in a worker's queue. "
    "Needs a running Weir and its admin token (WEIR_ADMIN_TOKEN)."
)
EXPORTING = (
    "All that Weir holds of a user, as lines of JSON, each with its `kind`: about, key, record, event, audit, held. "
    "That it was asked is noted in the audit trail. Needs a running Weir and its admin token (WEIR_ADMIN_TOKEN)."
)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="weir privacy", description="What is held of a user: export, erase.")
    place = argparse.ArgumentParser(add_help=False)
    add_place(place)
    verbs = parser.add_subparsers(dest="verb", required=True)
    exporter = verbs.add_parser("export", parents=[place], description=EXPORTING, help="tell all of it")
    exporter.add_argument("user", metavar="USER", help="exactly as entries and records have it")
    exporter.add_argument("--out", metavar="FILE", help="where to write it (for its owner only); else standard output")
    eraser = verbs.add_parser("erase", parents=[place], description=ERASING, help="forget all of it")
    eraser.add_argument("user", metavar="USER", help="exactly as entries and records have it")
    add_erasing(eraser)
    options = parser.parse_args(arguments)
    try:
        sys.stdout.write(erased(options) if options.verb == "erase" else _exported(options))
    except (AdminError, OSError) as error:
        sys.stderr.write(f"weir privacy: {error}\n")
        return 1
    return 0


def add_erasing(parser: argparse.ArgumentParser) -> None:
    """What `erased` needs beside the user; `weir audit erase` is the former name of it."""
    parser.add_argument("--why", required=True, metavar="TEXT", help="stays in the trail: must not name the user")
    parser.add_argument(
        "--keep-texts", action="store_true", help="erase the person only; by user the texts cannot be found later"
    )


def erased(options: argparse.Namespace) -> str:
    """Erases, and says what. Raises AdminError."""
    wish = {"user": options.user, "why": options.why, "texts": not options.keep_texts}
    try:
        found = Admin.found(options).call("POST", "/admin/v1/privacy/erase", wish, ERASING_S)
    except NobodyThere as error:
        raise AdminError(f"{error} (only a running Weir erases: start it with `weir serve`, and ask again)") from None
    try:
        entries, calls, held, keys = int(found["entries"]), int(found["calls"]), int(found["held"]), list(found["keys"])
    except (KeyError, TypeError, ValueError):
        raise AdminError("what answers there is no Weir that erases") from None
    if not entries and not calls and not held and not keys:
        return "Nothing to erase: no entry of the audit trail and no record names this user.\n"
    trail = f"{entries} {'entry' if entries == 1 else 'entries'} of the audit trail"
    records = f"{calls} {'record' if calls == 1 else 'records'}"
    more = f"Erased: {held} of what plugins held.\n" if held else ""
    more += f"Revoked: the user's {'key' if len(keys) == 1 else 'keys'} {', '.join(keys)}.\n" if keys else ""
    if found.get("in_file"):
        more += f"The configuration's file names the user at identity.keys ({', '.join(keys)}): take it out there.\n"
    if options.keep_texts:
        return f"Erased: user and session of {trail}; user and session of {records}. The texts are kept.\n{more}"
    return f"Erased: user, session and texts of {trail}; user, session and error text of {records}.\n{more}"


def _exported(options: argparse.Namespace) -> str:
    admin = Admin.found(options)
    text = admin.text(f"/admin/v1/privacy/export?{urlencode({'user': options.user})}")
    if options.out is None:
        return text
    handle = os.open(Path(options.out), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    return f"{text.count(chr(10))} lines written to {options.out}.\n"
