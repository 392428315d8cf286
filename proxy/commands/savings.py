"""`weir savings`: what plugins saved, net, in money and tokens, beside what was spent; and who waits unstreamed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from proxy.commands.admin import Admin, AdminError, add_place
from proxy.commands.table import printable, table

BY = ("plugin", "kind", "agent", "day")
STATES = ("HIT", "SEMANTIC", "COALESCED", "MISS", "BYPASS")
STREAM = (
    "They would read while it is written if they asked with `stream: true`. Until they do, `streaming: on` of an agent "
    "(streams.streaming: auto for all) has at least Weir stream such answers from the provider."
)
Json = Any


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="weir savings",
        description="What was saved, net of what saving it cost: enforced and in shadow (would have been saved) apart. "
        "Without --since: as long as records are kept.",
    )
    add_place(parser)
    parser.add_argument("--by", choices=BY, default="plugin")
    parser.add_argument("--agent", help="only calls of this agent")
    for name in ("since", "until"):
        parser.add_argument(f"--{name}", help="a time in ISO 8601 (UTC), or seconds since the epoch")
    parser.add_argument("--unstreamed", action="store_true", help="instead: agents that wait for long answers")
    parser.add_argument("--over", type=int, help="with --unstreamed: answers of more characters than this")
    parser.add_argument("--json", action="store_true", help="as the admin API tells it")
    options = parser.parse_args(arguments)
    try:
        told = _asked(Admin.found(options), options)
    except AdminError as error:
        sys.stderr.write(f"weir savings: {error}\n")
        return 1
    if options.json:
        sys.stdout.write(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("\n".join(_waiting(told) if options.unstreamed else _lines(told)) + "\n")
    return 0


def _asked(admin: Admin, options: argparse.Namespace) -> Json:
    names = ("since", "until", "over") if options.unstreamed else ("since", "until", "by", "agent")
    query = {name: value for name in names if (value := getattr(options, name)) is not None}
    path = "/admin/v1/unstreamed" if options.unstreamed else "/admin/v1/savings"
    return admin.call("GET", f"{path}?{urlencode(query)}")


def _lines(told: Json) -> Iterator[str]:
    spent, enforced = told["spent"], told["enforce"]
    yield f"{spent['calls']} calls took {_usd(spent['usd'])} and {_tokens(spent)}."
    if enforced["count"]:
        yield (
            f"Without Weir they would have taken {_usd(spent['without_usd'])}{_share(spent['money_saved_share'])} and "
            f"{spent['without_input_tokens'] + spent['without_output_tokens']:,} tokens"
            f"{_share(spent['tokens_saved_share'])}."
        )
    else:
        yield "Nothing was saved."
    if told["shadow"]["count"]:
        shadow = told["shadow"]
        yield f"In shadow another {_usd(shadow['usd'])} and {_tokens(shadow)} would have been saved."
    for what, sums in (("calls", spent), ("savings", enforced), ("savings in shadow", told["shadow"])):
        if sums["unpriced"]:
            yield f"{sums['unpriced']} {what} have no known price: their money is in none of these figures."
    yield from _cache(told["cache"])
    if told["data"]:
        yield ""
        yield _table(told).rstrip("\n")
    if told["risks"]:
        yield "\nWhat was risked for it:"
        for one in told["risks"]:
            mode = " (shadow)" if one["mode"] == "shadow" else ""
            yield f"  {one['count']:>7}  {one['plugin']} {one['kind']}{mode}: {printable(one['risk'])}"


def _cache(cache: Json) -> Iterator[str]:
    counted = [f"{cache[state]:,} {state}" for state in STATES if cache.get(state)]
    if counted:
        shared = ", shared answers apart" if cache.get("COALESCED") else ""
        rate = "" if cache["hit_rate"] is None else f": {cache['hit_rate']:.1%} of those it could have answered{shared}"
        yield f"The cache had {', '.join(counted)}{rate}; {cache['hit_rate_of_all']:.1%} of all calls."


def _table(told: Json) -> str:
    by = told["by"]
    names = ("plugin", "kind") if by == "kind" else (by,)
    heads = (*map(str.upper, names), "MODE", "CALLS", "USD", "INPUT", "OUTPUT", "LOSSES", "LOST USD", "UNPRICED")
    return table(heads, (_row(names, one) for one in told["data"]))


def _row(names: tuple[str, ...], one: Json) -> tuple[str, ...]:
    counts = (f"{one[name]:,}" for name in ("input_tokens", "output_tokens"))
    said = (printable(str(one[name])) or "-" for name in names)
    lost = f"{one['lost_nano_usd'] / 1e9:.6f}" if one["losses"] else "-"
    return (
        *said, one["mode"], f"{one['calls']:,}", f"{one['usd']:.6f}", *counts, str(one["losses"] or "-"), lost,
        str(one["unpriced"] or "-"),
    )  # fmt: skip


def _waiting(told: Json) -> Iterator[str]:
    if not told["data"]:
        yield f"No agent waits for whole answers of more than {told['over']:,} characters."
        return
    yield f"Agents that wait for whole answers of more than {told['over']:,} characters (about four to a token):"
    heads = ("AGENT", "CALLS", "UNSTREAMED", "LONG", "LONGEST", "MEAN WAIT")
    rows = (
        (printable(one["agent"]) or "-", f"{one['calls']:,}", f"{one['unstreamed']:,}", f"{one['long']:,}",
         f"{one['longest_characters']:,}", f"{one['mean_wait_ms'] / 1000:.1f} s")
        for one in told["data"]
    )  # fmt: skip
    yield table(heads, rows).rstrip("\n")
    yield STREAM


def _usd(amount: float) -> str:
    return f"{'-' if amount < 0 else ''}${abs(amount):,.4f}"


def _tokens(sums: Json) -> str:
    return f"{sums['input_tokens']:,} tokens in, {sums['output_tokens']:,} out"


def _share(share: float | None) -> str:
    return "" if share is None else f" ({share:.1%} {'saved' if share >= 0 else 'more was spent'})".replace("(-", "(")
