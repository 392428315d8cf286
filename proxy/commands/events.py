"""`weir events`: what guards found, newest last; `--follow` tells what is found from now on."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from proxy.clock import SystemClock
from proxy.commands.admin import Admin, AdminError, add_place
from proxy.commands.table import printable, table

EVERY_S = 1.0
BEHIND_S = 600.0
"""An event has the time at which its call began; a call may take as long as this and its events are still followed."""
PAGE = 1000
SEEN = 20_000
FILTERS = ("type", "severity", "agent", "user", "plugin", "since", "until")
HEADS = ("TIME", "SEVERITY", "TYPE", "PLUGIN", "ACTION", "AGENT", "SCORE", "FOUND", "CALL")
Event = dict[str, Any]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="weir events",
        description="Security events of the running Weir, the newest last; never with a text. `weir explain` tells "
        "what guards would find in a call.",
    )
    add_place(parser)
    for name in FILTERS:
        words = (
            "a time in ISO 8601, or seconds since the epoch" if name in ("since", "until") else f"only of this {name}"
        )
        parser.add_argument(f"--{name}", help=words)
    parser.add_argument("--limit", type=int, default=50, help="how many at most (default 50, 1000 at most)")
    parser.add_argument("--follow", "-f", action="store_true", help="go on with what is found from now on")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each, with reasons, user and session")
    options = parser.parse_args(arguments)
    try:
        admin = Admin.found(options)
        wanted = {name: value for name in FILTERS if (value := getattr(options, name)) is not None}
        seen = dict.fromkeys(map(_key, _since(admin, wanted, _behind_s()) if options.follow else ()))
        found = _page(admin, {**wanted, "limit": str(options.limit)})["data"][::-1]
        sys.stdout.write(_shown(found, as_json=options.json) or ("" if options.follow else "Nothing was found.\n"))
        if options.follow:
            _follow(admin, wanted, seen | dict.fromkeys(map(_key, found)), as_json=options.json)
    except AdminError as error:
        sys.stderr.write(f"weir events: {error}\n")
        return 1
    return 0


def _page(admin: Admin, query: dict[str, str]) -> Any:
    return admin.call("GET", f"/admin/v1/events?{urlencode(query)}")


def _behind_s() -> float:
    return SystemClock().wall_s() - BEHIND_S


def _follow(admin: Admin, wanted: dict[str, str], seen: dict[str, None], *, as_json: bool) -> None:
    """Until the command is ended. `seen`: what was told, or was there before."""
    while True:
        sys.stdout.flush()
        time.sleep(EVERY_S)
        fresh = [one for one in _since(admin, wanted, _behind_s()) if _key(one) not in seen][::-1]
        seen |= dict.fromkeys(map(_key, fresh))
        while len(seen) > SEEN:
            del seen[next(iter(seen))]
        sys.stdout.write(_shown(fresh, as_json=as_json, heads=False))


def _since(admin: Admin, wanted: dict[str, str], since_s: float) -> Iterator[Event]:
    query = {**wanted, "since": f"{since_s:.3f}", "limit": str(PAGE)}
    for _ in range(SEEN // PAGE):
        page = _page(admin, query)
        yield from page["data"]
        if page["next"] is None:
            return
        query["cursor"] = page["next"]


def _key(one: Event) -> str:
    return json.dumps([one["call"], one["plugin"], one["type"], one["action"], one["counts"], one["reasons"]])


def _shown(events: list[Event], *, as_json: bool, heads: bool = True) -> str:
    if as_json:
        return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in events)
    if not events:
        return ""
    return table(HEADS, map(_row, events)) if heads else "".join("  ".join(_row(one)) + "\n" for one in events)


def _row(one: Event) -> tuple[str, ...]:
    action = f"would {one['action']}" if one["mode"] == "shadow" else one["action"]
    score = "" if one["score"] is None else f"{one['score']:.2f}"
    found = " ".join(f"{name}={count}" for name, count in one["counts"].items()) or ", ".join(one["reasons"])
    cells = (one["severity"], one["type"], one["plugin"], action, one["agent"] or "", score, found, one["call"])
    return (one["time"], *(printable(str(cell)) or "-" for cell in cells))
