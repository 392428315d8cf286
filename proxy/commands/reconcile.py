"""`weir reconcile EXPORT.csv`: what a provider's own export says of tokens and money, beside what Weir recorded."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from proxy.commands.admin import Admin, AdminError, add_place
from proxy.commands.bill import BadExport, Bill, Charge, alike, parsed_columns, read
from proxy.commands.table import table

AGREES, DIFFERS, FAILED = 0, 1, 2
CENT = Decimal("0.01")
"""Amounts that differ by no more agree: exports round."""
HEADS = ("DAY", "MODEL", "INPUT", "THEIRS", "OUTPUT", "THEIRS", "USD", "THEIRS", "DIFFERENCE")
STATES = {
    "agrees": "agree",
    "differs": "differ",
    "only theirs": "are only in the export: calls that did not come through Weir, or a model that goes by another name",
    "only ours": "are only in Weir's records: another key, project or workspace than the export's, perhaps",
    "unknown": "have calls here whose price is not known (config/prices.yaml sets prices of your own)",
}
Key = tuple[str, str]


@dataclass(slots=True)
class Ours:
    """What Weir's records say of a day and a model."""

    charge: Charge
    unpriced: int = 0
    estimated: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """Both sides of a day and a model; None where one of them has nothing."""

    day: str
    model: str
    ours: Ours | None
    theirs: Charge | None
    state: str


def main(arguments: list[str]) -> int:
    """0: both agree; 1: they do not; 2: they could not be compared."""
    parser = argparse.ArgumentParser(
        prog="weir reconcile",
        description="Compare a provider's usage or cost export (OpenAI's, Anthropic's, or any CSV) with Weir's "
        "records, by day (UTC) and model. Ends with 0 where both agree, 1 where they differ, 2 where that cannot be "
        "told.",
    )
    add_place(parser)
    parser.add_argument("export", metavar="EXPORT.csv")
    parser.add_argument(
        "--upstream", help="only calls of this upstream (default: those that serve the export's models)"
    )
    parser.add_argument(
        "--columns", default="", metavar="NAME=COLUMN,...",
        help="which column is what, where that cannot be told: day, model, calls, input (with cached tokens), "
        "uncached, cached, written, output, usd, currency",
    )  # fmt: skip
    parser.add_argument("--tolerance", type=float, default=1.0, metavar="PERCENT", help="what still agrees (default 1)")
    parser.add_argument("--all", action="store_true", help="list what agrees as well")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    try:
        if not 0 <= options.tolerance <= 100:
            raise BadExport("--tolerance is a number of percent, from 0 to 100")
        bill = read(Path(options.export), parsed_columns(options.columns))
        if not bill.charges:
            raise BadExport(f"{Path(options.export).name} has no usage in it")
        rows = compared(bill, _ours(Admin.found(options), bill, options.upstream), options.tolerance / 100)
    except (AdminError, BadExport) as error:
        sys.stderr.write(f"weir reconcile: {error}\n")
        return FAILED
    said = json.dumps(_document(bill, rows), indent=2) if options.json else "\n".join(_lines(bill, rows, options.all))
    sys.stdout.write(said + "\n")
    return AGREES if all(row.state == "agrees" for row in rows) else DIFFERS


def _ours(admin: Admin, bill: Bill, upstream: str | None) -> dict[Key, Ours]:
    """Of the days of the export. Without an upstream named: of those that serve one of its models."""
    after = datetime.date.fromisoformat(bill.days[-1]) + datetime.timedelta(days=1)
    query = {"since": bill.days[0], "until": after.isoformat(), **({"upstream": upstream} if upstream else {})}
    found = admin.call("GET", f"/admin/v1/usage?{urlencode(query)}")["data"]
    wanted = {model for _, model in bill.charges}
    serving = {one["upstream"] for one in found if alike(one["model"]) in wanted}
    ours: dict[Key, Ours] = {}
    for one in found:
        if serving and one["upstream"] not in serving:
            continue
        key = (one["day"], alike(one["model"]) if bill.models else "")
        row = ours.setdefault(key, Ours(Charge()))
        row.charge.add(_charge(one))
        row.unpriced += one["unpriced"]
        row.estimated += one["estimated"]
    return ours


def _charge(one: Mapping[str, Any]) -> Charge:
    asked = one["input_tokens"] + one["cache_read_tokens"] + one["cache_write_tokens"]
    usd = Decimal(one["nano_usd"]) / 10**9
    return Charge(one["calls"], asked, one["cache_read_tokens"], one["output_tokens"], usd)


def compared(bill: Bill, ours: Mapping[Key, Ours], tolerance: float) -> list[Row]:
    """Every day and model that one of them has, of the days of the export."""
    days = set(bill.days)
    keys = sorted({*bill.charges, *(key for key in ours if key[0] in days)})
    return [Row(*key, ours.get(key), bill.charges.get(key), _state(bill, ours, key, tolerance)) for key in keys]


def _state(bill: Bill, ours: Mapping[Key, Ours], key: Key, tolerance: float) -> str:
    here, there = ours.get(key), bill.charges.get(key)
    if here is None or there is None:
        return "only theirs" if here is None else "only ours"
    share = Decimal(str(tolerance))
    for name in ("input", "output"):
        one, other = Decimal(getattr(here.charge, name)), Decimal(getattr(there, name))
        if name in bill.knows and abs(one - other) > share * max(one, other):
            return "differs"
    if "usd" not in bill.knows:
        return "agrees"
    if here.unpriced:
        return "unknown"
    one, other = here.charge.usd, there.usd
    return "agrees" if abs(one - other) <= max(CENT, share * max(one, other)) else "differs"


def _lines(bill: Bill, rows: list[Row], every: bool) -> Iterator[str]:
    here, there = _total(rows)
    span = bill.days[0] if len(bill.days) == 1 else f"{bill.days[0]} to {bill.days[-1]}"
    yield f"{span}, {'by day and model' if bill.models else 'by day, for the export names no models'}:"
    for name, what in (("input", "tokens in"), ("output", "tokens out"), ("usd", "USD")):
        if name in bill.knows:
            one, other = getattr(here, name), getattr(there, name)
            yield f"  {what}: {_number(one)} here, {_number(other)} there{_percent(one, other)}"
    counts = {state: sum(row.state == state for row in rows) for state in STATES}
    yield from (f"  {count} {STATES[state]}" for state, count in counts.items() if count)
    if estimated := sum(row.ours.estimated for row in rows if row.ours):
        yield f"  {estimated} calls here were estimated, because the provider did not say what it used"
    if bill.skipped:
        yield f"  {bill.skipped} rows of the export have nothing to compare"
    shown = [row for row in rows if every or row.state != "agrees"]
    if shown:
        yield ""
        yield table(HEADS, (_cells(bill, row) for row in shown)).rstrip("\n")


def _total(rows: list[Row]) -> tuple[Charge, Charge]:
    here, there = Charge(), Charge()
    for row in rows:
        here.add(row.ours.charge if row.ours else Charge())
        there.add(row.theirs or Charge())
    return here, there


def _cells(bill: Bill, row: Row) -> tuple[str, ...]:
    here, there = row.ours.charge if row.ours else None, row.theirs
    cells = []
    for name in ("input", "output", "usd"):
        for side in (here, there):
            known = side is not None and (side is here or name in bill.knows)
            unknown = side is here and name == "usd" and row.ours is not None and row.ours.unpriced
            cells.append("unknown" if unknown else _number(getattr(side, name)) if known else "-")
    return (row.day, row.model or "(all)", *cells, row.state)


def _number(value: int | Decimal) -> str:
    return f"{value:,.4f}" if isinstance(value, Decimal) else f"{value:,}"


def _percent(one: int | Decimal, other: int | Decimal) -> str:
    return f" ({float((one - other) / other):+.2%})" if other else ""


def _document(bill: Bill, rows: list[Row]) -> dict[str, Any]:
    here, there = _total(rows)
    return {
        "days": bill.days,
        "compares": sorted(bill.knows),
        "skipped_rows": bill.skipped,
        "ours": _plain(here),
        "theirs": _plain(there),
        "data": [
            {
                "day": row.day, "model": row.model, "state": row.state,
                "ours": row.ours and {**_plain(row.ours.charge), "unpriced": row.ours.unpriced,
                                      "estimated": row.ours.estimated},
                "theirs": row.theirs and _plain(row.theirs),
            }
            for row in rows
        ],
    }  # fmt: skip


def _plain(charge: Charge) -> dict[str, int | float]:
    return {
        "calls": charge.calls, "input_tokens": charge.input, "cached_tokens": charge.cached,
        "output_tokens": charge.output, "usd": float(charge.usd),
    }  # fmt: skip
