"""`weir audit`: verify the trail (any change, removal, reordering is found), list, export its head, forget a user."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from proxy.commands.admin import Admin, AdminError, NobodyThere, add_place
from proxy.control.audit import load_key, parse_checkpoint, verify
from proxy.errors import ConfigError

ERASING_S = 3600.0
"""Days of many gigabytes are rewritten one by one."""
ERASING = (
    "Forget a user: who is behind the user's entries of the audit trail and what was said in them, and user, session "
    "and error text of the user's records. The trail stays whole; a signed entry says what was erased, by whom and why,"
    " and never names the user. It asks nothing, and can be run again: that also erases what was still in a worker's "
    "queue. Needs a running Weir and its admin token (WEIR_ADMIN_TOKEN)."
)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="weir audit", description="The audit trail: verify, list, checkpoint, erase.")
    place = argparse.ArgumentParser(add_help=False)
    add_place(place)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verifier = verbs.add_parser(
        "verify", parents=[place], help="read the whole trail; works on the files, Weir may run or not"
    )
    verifier.add_argument("--checkpoint", metavar="FILE", help="a head exported earlier: finds what was cut off since")
    lister = verbs.add_parser("list", parents=[place], help="the newest entries")
    lister.add_argument("--limit", type=int, default=20)
    verbs.add_parser("checkpoint", parents=[place], help="the signed head as JSON, to be kept elsewhere")
    eraser = verbs.add_parser("erase", parents=[place], description=ERASING, help="forget a user, in the records too")
    eraser.add_argument("--user", required=True, metavar="NAME", help="exactly as entries and records have it")
    eraser.add_argument("--why", required=True, metavar="TEXT", help="stays in the trail: must not name the user")
    eraser.add_argument(
        "--keep-texts", action="store_true", help="erase the person only; by user the texts cannot be found later"
    )
    options = parser.parse_args(arguments)
    try:
        if options.verb == "verify":
            return _verify(Path(options.data), options.checkpoint)
        if options.verb == "erase":
            sys.stdout.write(_erase(options))
            return 0
        admin = Admin.found(options)
        path = "/checkpoint" if options.verb == "checkpoint" else f"?limit={options.limit}"
        sys.stdout.write(json.dumps(admin.call("GET", f"/admin/v1/audit{path}"), indent=2, ensure_ascii=False) + "\n")
    except (AdminError, ConfigError, OSError, ValueError) as error:
        sys.stderr.write(f"weir audit: {error}\n")
        return 1
    return 0


def _erase(options: argparse.Namespace) -> str:
    wish = {"user": options.user, "why": options.why, "texts": not options.keep_texts}
    try:
        found = Admin.found(options).call("POST", "/admin/v1/audit/erase", wish, ERASING_S)
    except NobodyThere as error:
        raise AdminError(f"{error} (only a running Weir erases: start it with `weir serve`, and ask again)") from None
    try:
        entries, calls = int(found["entries"]), int(found["calls"])
    except (KeyError, TypeError, ValueError):
        raise AdminError("what answers there is no Weir that erases") from None
    if not entries and not calls:
        return "Nothing to erase: no entry of the audit trail and no record names this user.\n"
    trail = f"{entries} {'entry' if entries == 1 else 'entries'} of the audit trail"
    records = f"{calls} {'record' if calls == 1 else 'records'}"
    if options.keep_texts:
        return f"Erased: user and session of {trail}; user and session of {records}. The texts are kept.\n"
    return f"Erased: user, session and texts of {trail}; user, session and error text of {records}.\n"


def _verify(data: Path, checkpoint: str | None) -> int:
    trail = data / "audit.db"
    if not trail.exists():
        raise ConfigError(f"there is no audit trail in {data}; name its --data")
    head = parse_checkpoint(Path(checkpoint).read_text()) if checkpoint else None
    report = verify(trail, load_key(data, os.environ), head)
    if report.ok:
        sys.stdout.write(f"The audit trail is whole: {report.entries} entries.\n")
        return 0
    sys.stdout.write("The audit trail is NOT whole:\n" + "".join(f"  {line}\n" for line in report.sentences()))
    return 1
