"""`weir embeddings`: which vectors are kept, which inputs come most often (`stats`); make some in advance (`warm`)."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from proxy.commands import calling
from proxy.commands.admin import Admin, AdminError, add_place
from proxy.commands.cache import Call, Line
from proxy.commands.table import printable, table

PATH = "/v1/embeddings"
MOST_AT_ONCE = 2048
STATS = (
    "Inputs whose vectors were kept, those that were sent, and which come most often: by a keyed digest, and, where "
    "texts of the agent are kept (`content`) and personal data is masked, by how they begin."
)
WARMING = (
    "Ask for the vectors of texts through the running Weir, so that they are kept. FILE has a text on each line, or a "
    "JSON string, or a JSON object with `input` (and `model`, where it is another). The calls are real and cost what "
    "they cost; inputs whose vectors are known already cost nothing. Vectors are kept in the worker that was asked, "
    "for the tenant that asked: where several workers run, the others make theirs when they are first asked."
)


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    try:
        if options.verb == "warm":
            return _warmed(options)
        told = Admin.found(options).call("GET", "/admin/v1/embeddings")
        sys.stdout.write(json.dumps(told, indent=2) + "\n" if options.json else "\n".join(_stats(told)) + "\n")
    except (AdminError, OSError, ValueError) as error:
        sys.stderr.write(f"weir embeddings: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="weir embeddings", description="What is kept of vectors: stats, warm.")
    place = argparse.ArgumentParser(add_help=False)
    add_place(place)
    verbs = parser.add_subparsers(dest="verb", required=True)
    stats = verbs.add_parser("stats", parents=[place], description=STATS, help="of what use it was, and for what")
    stats.add_argument("--json", action="store_true", help="as JSON, each worker for itself too")
    warm = verbs.add_parser("warm", description=WARMING, help="make vectors in advance")
    warm.add_argument("file", metavar="FILE", help="the texts; - for standard input")
    warm.add_argument("--model", default="", help="the model that makes the vectors")
    calling.add_caller(warm)
    warm.add_argument("--inputs", type=int, default=64, metavar="N", help="inputs of one call (default: 64)")
    return parser


def _stats(told: dict[str, Any]) -> Iterator[str]:
    try:
        known, sent, together = int(told["known"]), int(told["sent"]), int(told["together"])
        asked = known + sent
        share = f" ({known / asked:.1%} known)" if asked else ""
        yield (
            f"kept: {told['vectors']:,} vectors, {told['bytes'] / 2**20:.1f} of {told['most_bytes'] / 2**20:.0f} MiB"
            f" in {len(told['workers'])} workers"
        )
        yield f"inputs: {known:,} known, {sent:,} sent in {told['calls']:,} calls{share}"
        yield f"put together: {together:,} inputs went out with the call of somebody else"
        frequent = told["frequent"]
    except (KeyError, TypeError, ValueError):
        raise AdminError("what answers there is no Weir with the plugin embeddings") from None
    if frequent:
        yield ""
        rows = ((f"{one['count']:,}", f"{one['size']:,}", one["input"], _begins(one)) for one in frequent)
        yield table(("AT LEAST", "SIZE", "INPUT (DIGEST)", "BEGINS"), rows).rstrip("\n")


def _begins(one: dict[str, Any]) -> str:
    return printable(str(one.get("begins") or "-"))


def _warmed(options: argparse.Namespace) -> int:
    if not 1 <= options.inputs <= MOST_AT_ONCE:
        raise ValueError(f"--inputs is a number from 1 to {MOST_AT_ONCE}")
    groups = _grouped(options.file, options.model)
    failed = inputs = 0
    with closing(Line(calling.address(options), calling.key(options))) as line:
        for model, texts in groups.items():
            for at in range(0, len(texts), options.inputs):
                part = texts[at : at + options.inputs]
                body = json.dumps({"model": model, "input": part}).encode()
                status = line.send(Call(at + 1, PATH, body, {})).status
                if status == 200:
                    inputs += len(part)
                    continue
                failed += len(part)
                said = "no answer" if not status else f"answered {status}"
                sys.stderr.write(f"{len(part)} inputs from the {at + 1}. of {model}: {said}\n")
    sys.stdout.write(f"{inputs} inputs have vectors now{f', {failed} have none' if failed else ''}.\n")
    return 1 if failed else 0


def _grouped(file: str, model: str) -> dict[str, list[Any]]:
    """Inputs by model, each once, in the order of the file. Raises ValueError with the line that is wrong."""
    text = sys.stdin.read() if file == "-" else Path(file).read_text()
    groups: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(text.splitlines(), 1):
        if not row.strip():
            continue
        given, named = _read(row, number)
        wanted = named or model
        if not wanted:
            raise ValueError(f"line {number} names no model: say --model")
        for one in given:
            groups.setdefault(wanted, {})[json.dumps(one)] = one
    return {name: list(inputs.values()) for name, inputs in groups.items()}


def _read(row: str, number: int) -> tuple[list[Any], str]:
    """The inputs of a line, and the model that it names."""
    if row[0] not in '{"':
        return [row], ""
    try:
        found = json.loads(row)
    except ValueError:
        if row[0] == '"':  # (a text may begin with one)
            return [row], ""
        raise ValueError(f"line {number} is no JSON object") from None
    if isinstance(found, str):
        return ([found] if found else []), ""
    given, model = (found.get("input"), found.get("model", "")) if isinstance(found, dict) else (None, "")
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, list) or not listed or not isinstance(model, str):
        raise ValueError(f"line {number} is no text and no object with input (and model)")
    return ([listed] if all(type(one) is int for one in listed) else listed), model
