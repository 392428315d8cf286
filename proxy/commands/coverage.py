"""`weir coverage`: which guard sees the texts at which place of a call, and what nobody can read."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from proxy.commands.admin import Admin, AdminError, add_place
from proxy.commands.table import table


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="weir coverage",
        description="For every surface, side and position of text: what each guard of the running Weir does there "
        "(enforce, shadow, off); and what is not inspected.",
    )
    add_place(parser)
    parser.add_argument("--surface", help="only this one: chat, responses, completions, embeddings, messages")
    parser.add_argument("--json", action="store_true", help="the whole matrix as JSON")
    options = parser.parse_args(arguments)
    try:
        found = Admin.found(options).call("GET", "/admin/v1/coverage")
    except AdminError as error:
        sys.stderr.write(f"weir coverage: {error}\n")
        return 1
    if options.json:
        sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
        return 0
    rows = [row for row in found["data"] if options.surface in (None, row["surface"])]
    if not rows:
        known = ", ".join(sorted({row["surface"] for row in found["data"]}))
        sys.stderr.write(f"weir coverage: there is no surface {options.surface!r}; there are: {known}\n")
        return 1
    sys.stdout.write(_matrix(rows, [guard["name"] for guard in found["guards"]]) + _rest(found))
    return 0


def _matrix(rows: list[dict[str, Any]], guards: list[str]) -> str:
    forms: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        states = [row["guards"][name] for name in guards]
        forms.setdefault((row["surface"], row["side"], row["position"], *states), []).append(row["form"])
    heads = ("SURFACE", "SIDE", "POSITION", "FORM", *(name.upper() for name in guards))
    return table(heads, ((*place[:3], "+".join(form), *place[3:]) for place, form in forms.items()))


def _rest(found: dict[str, Any]) -> str:
    lines = [""]
    for guard in found["guards"]:
        for agent, changed in guard["agents"].items():
            words = " ".join(f"{name}={value}" for name, value in changed.items())
            lines.append(f"For agent {agent} {guard['name']} has settings of its own: {words}.")
        if guard["when"]:
            lines.append(f"{guard['name']} runs for some calls only: {json.dumps(guard['when'])}.")
    lines += ["Not inspected, for no codec reads it:", ""]
    heads = ("WHAT", "SIDE", "POLICY", "BY", "MEANS")
    rows = ((one["what"], one["side"], one["policy"], one["by"], one["says"]) for one in found["uninspected"])
    return "\n".join(lines) + "\n" + table(heads, rows)
