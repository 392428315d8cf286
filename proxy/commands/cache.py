"""`weir cache`: figures of what is kept of answers (`stats`), drop some of it (`invalidate`), fill it (`warm`)."""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from proxy.commands import calling
from proxy.commands.admin import Admin, AdminError, add_place

CALL_S = 600.0
MOST_AT_ONCE = 64
CONTROL, BYPASS = "x-weir-cache", "BYPASS"
DROPPING = (
    "Drop kept answers, in every worker and wherever else they are kept. What is named must all fit. That it was asked "
    "is noted in the audit trail. Needs a running Weir and its admin token, where it has one (WEIR_ADMIN_TOKEN)."
)
WARMING = (
    "Send recorded calls through the running Weir, so that their answers are kept. FILE has a JSON object on each "
    'line: {"path": "/v1/chat/completions", "body": {...}, "headers": {...}}; path and headers may be left out. The '
    "calls are real and cost what they cost; those whose answers are known already cost nothing. Answers are kept for "
    "the agent (header x-weir-agent, or a path with /agents/NAME) and the tenant that asked: a caller who brings a key "
    "finds only what was asked with that key (--key-env). Calls whose answers can never be kept are not sent on, and "
    "told; nothing is sent where nothing is kept."
)


class Call(NamedTuple):
    """One line of the file."""

    number: int
    path: str
    body: bytes
    headers: dict[str, str]


class Came(NamedTuple):
    """An answer: status (0: nobody answered), what the cache had, and of an error its words."""

    status: int
    state: str = ""
    said: str = ""

    @property
    def unkept(self) -> bool:
        """It was refused, for no answer to it can be kept."""
        return self.status >= 400 and self.state == BYPASS


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    try:
        if options.verb == "stats":
            sys.stdout.write(_stats(Admin.found(options).call("GET", "/admin/v1/cache"), options.json))
        elif options.verb == "invalidate":
            sys.stdout.write(_invalidated(options))
        else:
            return _warmed(options)
    except (AdminError, OSError, ValueError) as error:
        sys.stderr.write(f"weir cache: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="weir cache", description="What is kept of answers: stats, invalidate, warm.")
    place = argparse.ArgumentParser(add_help=False)
    add_place(place)
    verbs = parser.add_subparsers(dest="verb", required=True)
    stats = verbs.add_parser("stats", parents=[place], help="how much is kept, and of what use it was")
    stats.add_argument("--json", action="store_true", help="as JSON, each worker for itself too")
    drop = verbs.add_parser("invalidate", parents=[place], description=DROPPING, help="drop some of it")
    for name, what in (
        ("tenant", "of this tenant"),
        ("agent", "of this agent"),
        ("model", "of this model, as its provider calls it"),
        ("id", "the answer with this id (its own, or x-weir-request-id of the call that it answered)"),
    ):
        drop.add_argument(f"--{name}", help=what)
    drop.add_argument("--all", action="store_true", help="all there is")
    warm = verbs.add_parser("warm", description=WARMING, help="fill it with answers to recorded calls")
    warm.add_argument("file", metavar="FILE.jsonl", help="the calls; - for standard input")
    calling.add_caller(warm)
    warm.add_argument("--anyway", action="store_true", help="ask also what can never be kept")
    warm.add_argument("--at-once", type=int, default=4, metavar="N", help="calls at once (default: 4)")
    return parser


def _stats(found: dict[str, Any], as_json: bool) -> str:
    if as_json:
        return json.dumps(found, indent=2) + "\n"
    try:
        other = int(found.get("semantic", 0))
        hits = int(found["hit"]) + other
        asked = hits + int(found["miss"])
        share = f"{hits / asked:.1%}" if asked else "none asked yet"
        worded = f", {other} of them in other words" if other else ""
        lines: tuple[str, ...] = (
            f"kept: {found['entries']} answers, {found['bytes'] / 2**20:.1f} of {found['most_bytes'] / 2**20:.0f} MiB"
            f" in {len(found['workers'])} workers; {found['evicted']} had to go",
            f"hits: {hits} of {asked} calls that may share answers ({share}){worded}; {found['stale']} given late",
            f"shared: {found.get('coalesced', 0)} calls took the answer of an equal one under way",
            f"passed by: {found['bypass']} calls",
        )
        lines += tuple(_worded(found.get("in_other_words")))
    except (KeyError, TypeError):
        raise AdminError("what answers there is no Weir with a cache") from None
    return "".join(f"{line}\n" for line in lines)


def _worded(found: dict[str, Any] | None) -> Iterator[str]:
    """What became of calls that ask the same in other words."""
    if not found:
        return
    finds = ", ".join(found["embedders"]) or "none"
    yield f"in other words: {found['texts']} texts remembered, {found['bytes'] / 2**20:.1f} MiB; embedder: {finds}"
    for agent, tally in sorted(found["agents"].items()):
        judged = tally["right"] + tally["wrong"]
        told = (
            f"{tally['right']} the same, {tally['wrong']} different, {tally['unclear']} not to be told;"
            f" wrong at most {tally['wrong_at_most']:.1%} (95 %)"
            if judged
            else f"none yet, {tally['unclear']} not to be told"
        )
        yield (
            f"  {agent}: answered {tally['served']}, would have answered {tally['would']} more (shadow, explored or"
            f" stopped); compared with the live answer or judged: {told}"
        )
    if found["raised"] or found["barred"]:
        yield (
            f"  once wrong: {found['raised']} answers are given only to nearer texts than the one they were wrong for,"
            f" {found['barred']} to none"
        )


def _invalidated(options: argparse.Namespace) -> str:
    wish: dict[str, Any] = {name: getattr(options, name) for name in ("tenant", "agent", "model", "id")}
    wish = {name: value for name, value in wish.items() if value is not None}
    if bool(wish) == options.all:
        raise AdminError("name what goes (--tenant, --agent, --model, --id), or say --all")
    found = Admin.found(options).call("POST", "/admin/v1/cache/invalidate", wish or {"all": True})
    try:
        return f"Dropped: {int(found['dropped'])} answers in the worker that had most of them.\n"
    except (KeyError, TypeError, ValueError):
        raise AdminError("what answers there is no Weir with a cache") from None


def _warmed(options: argparse.Namespace) -> int:
    if not 1 <= options.at_once <= MOST_AT_ONCE:
        raise ValueError(f"--at-once is a number from 1 to {MOST_AT_ONCE}")
    calls = list(_calls(options.file))
    line = Line(calling.address(options), calling.key(options))
    if not options.anyway:
        calls = [call._replace(headers=_insisting(call.headers)) for call in calls]
    told: Counter[str] = Counter()
    with closing(line), ThreadPoolExecutor(options.at_once) as pool:
        for call, came in zip(calls, _sent(line, calls, pool, anyway=options.anyway), strict=False):
            told[_what(came)] += 1
            if came.status != 200:
                why = came.said if came.unkept else f"answered {came.status}" if came.status else "no answer"
                sys.stderr.write(f"line {call.number}: {why}\n")
    counts = ", ".join(f"{count} {state}" for state, count in sorted(told.items())) or "nothing to do"
    sys.stdout.write(f"{len(calls)} calls: {counts}.\n")
    return 1 if told["failed"] else 0


def _sent(line: Line, calls: list[Call], pool: ThreadPoolExecutor, *, anyway: bool) -> Iterator[Came]:
    """What came of each call. The first goes alone: raises AdminError where its answer shows that nothing is kept."""
    for call in calls[:1]:
        first = line.send(call)
        if first.status == 200 and not first.state and not anyway:
            raise AdminError("no cache looks at these calls, so their answers are not kept: nothing more was sent")
        yield first
    yield from pool.map(line.send, calls[1:])


def _what(came: Came) -> str:
    if came.status == 200:
        return came.state or "done"
    return "never kept" if came.unkept else "failed"


def _insisting(headers: dict[str, str]) -> dict[str, str]:
    """With the wish that nothing be asked whose answer cannot be kept."""
    said = [value for name, value in headers.items() if name.lower() == CONTROL]
    others = {name: value for name, value in headers.items() if name.lower() != CONTROL}
    return {**others, CONTROL: ", ".join([*said, "only-if-kept"])}


def _calls(file: str) -> Iterator[Call]:
    """Raises ValueError with the line that is wrong."""
    text = sys.stdin.read() if file == "-" else Path(file).read_text()
    for number, row in enumerate(text.splitlines(), 1):
        if not row.strip():
            continue
        try:
            found = json.loads(row)
            body, path, headers = found["body"], found.get("path", "/v1/chat/completions"), found.get("headers") or {}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(f"line {number} is no JSON object with a body") from None
        if not isinstance(body, dict) or not isinstance(path, str) or not path.startswith("/"):
            raise ValueError(f"line {number}: body is an object, path begins with /")
        if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
            raise ValueError(f"line {number}: headers are names with texts")
        yield Call(number, path, json.dumps(body).encode(), headers)


class Line:
    """Connections to the Weir, one for each thread."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise AdminError(f"--to must begin with http:// or https://, not {url!r}")
        self._parts = parts
        self._own = {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}
        self._threads = threading.local()
        self._open: list[http.client.HTTPConnection] = []

    def send(self, call: Call) -> Came:
        """What came of a call, also where nobody answered."""
        while True:
            connection = self._connection()
            fresh = connection.sock is None
            try:
                connection.request("POST", call.path, call.body, self._own | call.headers)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                if not fresh:  # one that was kept may have ended meanwhile
                    continue
                return Came(0)
            return Came(answer.status, answer.getheader(CONTROL) or "", _fault(answer.status, body))

    def _connection(self) -> http.client.HTTPConnection:
        found: http.client.HTTPConnection | None = getattr(self._threads, "connection", None)
        if found is None:
            kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
            assert self._parts.hostname is not None
            found = self._threads.connection = kind(self._parts.hostname, self._parts.port, timeout=CALL_S)
            self._open.append(found)
        return found

    def close(self) -> None:
        for connection in self._open:
            connection.close()


def _fault(status: int, body: bytes) -> str:
    """What an error says."""
    if status < 400:
        return ""
    try:
        return str(json.loads(body)["error"].get("message") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
