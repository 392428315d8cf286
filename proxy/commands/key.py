"""`weir key`: callers' keys of the running Weir, made, listed, rotated, revoked; or a line for the configuration."""

from __future__ import annotations

import argparse
import hashlib
import json
import secrets
import sys
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any, get_args
from urllib.parse import quote, urlencode

from proxy.commands.admin import Admin, AdminError, NobodyThere, add_place
from proxy.commands.table import printable, table
from proxy.configuration.fields import AgentOrNone, Names

VERBS = ("create", "list", "rotate", "revoke", "make")
OFFLINE = "(without a running Weir `weir key make NAME` makes a key and the line of configuration that admits it)"
TEXTS = (
    ("--agent", "agent", "the agent it speaks for"),
    ("--tenant", "tenant", "whose data it may touch (default: default)"),
    ("--user", "user", "the one user it speaks for (default: whoever the call names)"),
    ("--certificate", "certificate", "subject or name of a client certificate: that is the credential, no key is made"),
    ("--expires", "expires", "a span such as 90d, 12h, or a time such as 2027-01-31T12:00:00Z (default: never)"),
)
NUMBERS = (
    ("--budget-usd-per-day", "usd_per_day", float, "budget in USD a day"),
    ("--budget-usd-per-month", "usd_per_month", float, "budget in USD a month"),
    ("--requests-per-minute", "requests_per_minute", int, "calls a minute"),
    ("--tokens-per-minute", "tokens_per_minute", int, "tokens a minute, in and out"),
    ("--concurrent", "concurrent", int, "calls at once"),
    ("--choices", "choices", int, "answers that one call may ask for at once (n)"),
    ("--output-tokens", "output_tokens", int, "tokens of the answer that one call may ask for"),
    ("--messages", "messages", int, "messages of one call"),
    ("--tools", "tools", int, "tools that one call may name"),
    ("--priority", "priority", int, "highest priority it may claim"),
)
HINTS = MappingProxyType({"certificate": "SUBJECT", "expires": "WHEN"})
USE = "Callers send it as `Authorization: Bearer KEY`: OPENAI_API_KEY (or ANTHROPIC_API_KEY) of an agent is the place."
KEPT = (
    "Weir keeps its sha256, in overlay.json of the data directory: `weir key list` shows what it may do, `weir key "
    "revoke {name}` ends it, `weir overlay export` gives the lines for the configuration file."
)
LIMITS = ("usd_per_day", "usd_per_month", "requests_per_minute", "tokens_per_minute", "concurrent")


def main(arguments: list[str]) -> int:
    if arguments and arguments[0] not in (*VERBS, "-h", "--help"):
        arguments = ["make", *arguments]  # `weir key NAME`, as it was first
    options = _parser().parse_args(arguments)
    try:
        if options.verb == "make":
            sys.stdout.write(_made(options.name, options.agent))
            return 0
        sys.stdout.write(_asked(Admin.found(options), options))
    except NobodyThere as error:
        sys.stderr.write(f"weir key: {error} {OFFLINE}\n")
        return 1
    except (AdminError, ValueError) as error:
        sys.stderr.write(f"weir key: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="weir key",
        description="Callers' keys. Changes go through the admin API of the running Weir (WEIR_ADMIN_TOKEN): they are "
        "audited, and in effect in all workers when the command ends. A key is shown once; Weir keeps its sha256 only.",
    )
    place = argparse.ArgumentParser(add_help=False)
    add_place(place)
    place.add_argument("--json", action="store_true", help="the answer as JSON")
    verbs = parser.add_subparsers(dest="verb", required=True)
    creating = verbs.add_parser("create", parents=[place], help="make a key and admit it")
    creating.add_argument("name", help="the key's name, as records show it")
    for flag, option, words in TEXTS:
        creating.add_argument(flag, dest=option, metavar=HINTS.get(option, "NAME"), help=words)
    creating.add_argument("--agents", action="extend", nargs="+", metavar="AGENT", help="further agents; * for any")
    creating.add_argument("--models", action="extend", nargs="+", metavar="MODEL", help="exact or ending in *")
    for flag, option, kind, words in NUMBERS:
        creating.add_argument(flag, dest=option, type=kind, metavar="USD" if kind is float else "N", help=words)
    creating.add_argument("--debug", action="store_true", default=None, help="it may ask for x-weir-debug")
    verbs.add_parser("list", parents=[place], help="every key, those of the configuration file too")
    rotating = verbs.add_parser("rotate", parents=[place], help="a new key in place of the old one")
    rotating.add_argument("name")
    rotating.add_argument(
        "--overlap", metavar="SPAN", help="how long the old one is still good, such as 24h (default: it ends at once)"
    )
    revoking = verbs.add_parser("revoke", parents=[place], help="refuse a key from now on")
    revoking.add_argument("name")
    for each in (creating, rotating, revoking):
        each.add_argument("--reason", metavar="TEXT", help="kept with the change and in the audit trail")
    making = verbs.add_parser("make", help="a key, and the line of configuration that admits it; no Weir is asked")
    making.add_argument("name", help="the key's name, as records show it")
    making.add_argument("--agent", default="", help="the agent it speaks for")
    return parser


def _asked(admin: Admin, options: argparse.Namespace) -> str:
    if options.verb == "list":
        found = admin.call("GET", "/admin/v1/keys")["data"]
        return _as_json(found) if options.json else _table(found)
    path = f"/admin/v1/keys/{quote(options.name, safe='')}" if options.verb != "create" else "/admin/v1/keys"
    if options.verb == "create":
        told = admin.call("POST", path, _wish(options))
    elif options.verb == "rotate":
        said = {"overlap": options.overlap, "reason": options.reason}
        told = admin.call("POST", f"{path}/rotate", {name: value for name, value in said.items() if value})
    else:
        told = admin.call("DELETE", path + (f"?{urlencode({'reason': options.reason})}" if options.reason else ""))
    return _as_json(told) if options.json else _told(options.verb, told)


def _wish(options: argparse.Namespace) -> dict[str, Any]:
    names = ["name", "agents", "models", "debug", "reason", *(row[1] for row in TEXTS), *(row[1] for row in NUMBERS)]
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def _told(verb: str, told: dict[str, Any]) -> str:
    reach = f"{told['confirmed']} of {told['workers']} workers confirm it"
    if told["confirmed"] < told["workers"]:
        reach += "; the others take it when they are back"
    if verb == "revoke":
        return f"{told['name']} is revoked: new calls with it get 401, what runs ends as it began ({reach}).\n"
    return "\n".join(_admitted(verb, told, reach)) + "\n"


def _admitted(verb: str, told: dict[str, Any], reach: str) -> Iterator[str]:
    if "key" in told:
        yield f"key (give it to the caller, it is not shown again):\n  {told['key']}\n"
    until = f", until {told['expires']}" if told["expires"] else ""
    yield f"{told['name']} is admitted{until} ({reach})."
    if told["previous_until"]:
        yield f"The key before it is good until {told['previous_until']}."
    elif verb == "rotate":
        yield (
            "The key before it is refused from now on (401 invalid_api_key); next time `--overlap 24h` gives its "
            "callers a day to change over."
        )
    if "key" in told:
        yield USE
    elif told["certificate"]:
        yield f"Callers show the certificate {printable(told['certificate'])}; there is no key to keep."
    if verb == "create":
        yield KEPT.format(name=told["name"])


def _table(keys: list[dict[str, Any]]) -> str:
    if not keys:
        return "There are no keys.\n"
    heads = ("NAME", "STATE", "AGENT", "TENANT", "USER", "MODELS", "LIMITS", "EXPIRES", "FROM")
    return table(heads, map(_row, keys))


def _row(key: dict[str, Any]) -> tuple[str, ...]:
    agents = ",".join([key["agent"] or "default", *key["agents"]])
    limits = " ".join(f"{name}={key[name]:g}" for name in LIMITS if key[name] is not None)
    models = ",".join(key["models"])
    return (
        key["name"], key["state"], agents, key["tenant"], key["user"], models, limits, key["expires"], key["source"],
    )  # fmt: skip


def _as_json(told: object) -> str:
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _made(name: str, agent: str) -> str:
    """A key and its line of configuration. Raises ValueError for a name that `weir check` would refuse."""
    for kind, text in ((Names, name), (AgentOrNone, agent)):
        for validator in get_args(kind)[1:]:
            validator.func(text)
    key = "weir-" + secrets.token_urlsafe(32)
    digest = hashlib.sha256(key.encode()).hexdigest()
    more = f", agent: {agent}" if agent else ""
    return (
        f"key (give it to the caller, it is not shown again):\n  {key}\n\n"
        f"configuration:\n  identity:\n    keys:\n      {name}: {{sha256: {digest}{more}}}\n"
    )
