"""`weir audit`: verify the trail (any change, removal, reordering is found), list it, export its head."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from proxy.commands.admin import Admin, AdminError, add_place
from proxy.commands.privacy import ERASING, add_erasing, erased
from proxy.control.audit import load_key, parse_checkpoint, verify
from proxy.errors import ConfigError


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="weir audit", description="The audit trail: verify, list, checkpoint.")
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
    eraser = verbs.add_parser("erase", parents=[place], description=ERASING, help="as `weir privacy erase`")
    eraser.add_argument("--user", required=True, metavar="NAME", help="exactly as entries and records have it")
    add_erasing(eraser)
    options = parser.parse_args(arguments)
    try:
        if options.verb == "verify":
            return _verify(Path(options.data), options.checkpoint)
        if options.verb == "erase":
            sys.stdout.write(erased(options))
            return 0
        admin = Admin.found(options)
        path = "/checkpoint" if options.verb == "checkpoint" else f"?limit={options.limit}"
        sys.stdout.write(json.dumps(admin.call("GET", f"/admin/v1/audit{path}"), indent=2, ensure_ascii=False) + "\n")
    except (AdminError, ConfigError, OSError, ValueError) as error:
        sys.stderr.write(f"weir audit: {error}\n")
        return 1
    return 0


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
