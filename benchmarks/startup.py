"""How long Weir takes from its start to the first answer, beside a bare aiohttp relay; and what memory it keeps.

`python -m benchmarks.startup [--times 9] [--calls 300] [--tree DIRECTORY ...] [--table] [--json]`. The two are started
in turn; a start ends with the first 200 to a chat call against the fast fake provider. Medians. Bytecode is compiled
once and kept, as an installer does it. Memory is PSS, so pages that processes share count once.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.speed.proc import descendants
from benchmarks.speed.subjects import ROOT, free_port

TEXT = "A weir is a low barrier across a river that holds back what must not pass and steers the flow. " * 14
BODY = json.dumps({"messages": [{"role": "user", "content": TEXT}], "model": "gpt-4o-mini"}).encode()
HEADERS = {"content-type": "application/json", "authorization": "Bearer sk-benchmark"}

WAIT_S = 0.002
LONGEST_S = 60.0
LEFT = json.dumps({**json.loads(BODY), "model": "paced-500-10", "stream": True}).encode()
"""A stream that its caller leaves: what was delivered of it is counted with the token table of its model."""
LOADING_S = 3.0


@dataclass(slots=True)
class Seen:
    """What was seen of one subject, round by round; memory of each process by its role."""

    start_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    pss_mb: list[dict[str, float]] = field(default_factory=list)

    def shown(self) -> dict[str, float]:
        roles = sorted({role for round_ in self.pss_mb for role in round_})
        memory = {f"pss_{role}_mb": _middle([each.get(role, 0.0) for each in self.pss_mb]) for role in roles}
        whole = {"pss_mb": _middle([sum(each.values()) for each in self.pss_mb])} if self.pss_mb else {}
        return {"start_s": _middle(self.start_s), "start_cpu_s": _middle(self.cpu_s), **whole, **memory}


def _middle(values: list[float]) -> float:
    return round(statistics.median(values), 3) if values else 0.0


def environment(cache: str) -> dict[str, str]:
    """Bytecode in a directory of the run's own, so that the tree stays clean and the second start finds it compiled."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": cache}


def weir(provider: int, port: int, data: str) -> list[str]:
    target = f"http://127.0.0.1:{provider}"
    return ["proxy", "serve", "--upstream", target, "--port", str(port), "--admin-port", "0", "--data", data]


def bare(provider: int, port: int, data: str) -> list[str]:
    return ["benchmarks.bare", str(port), f"http://127.0.0.1:{provider}"]


@contextmanager
def running(command: list[str], tree: Path, environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen([sys.executable, "-m", *command], cwd=tree, env=dict(environ), stderr=subprocess.DEVNULL)
    try:
        yield started
    finally:
        started.terminate()
        started.wait()


def leave(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/v1/chat/completions", LEFT, HEADERS)
    answer = connection.getresponse()
    for _ in range(20):
        answer.readline()
    connection.close()
    answer.close()


def call(port: int) -> bool:
    """Whether the call was answered with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", "/v1/chat/completions", BODY, HEADERS)
        answer = connection.getresponse()
        answer.read()
        return answer.status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def first_answer_s(port: int, begun_s: float) -> float:
    while not call(port):
        if time.monotonic() - begun_s > LONGEST_S:
            raise SystemExit(f"nothing answers on port {port}")
        time.sleep(WAIT_S)
    return time.monotonic() - begun_s


def role(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    named = [word for word in words if word in ("control", "worker", "serve")]
    return "supervisor" if named[:1] == ["serve"] else named[0] if named else Path(words[0]).name


def pss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def cpu_s(pid: int) -> float:
    """Of the process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(fields[at]) for at in (11, 12, 13, 14)) / os.sysconf("SC_CLK_TCK")


def once(command: list[str], port: int, tree: Path, environ: Mapping[str, str], options: argparse.Namespace) -> Seen:
    seen = Seen()
    begun_s = time.monotonic()
    with running(command, tree, environ) as started:
        seen.start_s.append(first_answer_s(port, begun_s))
        pids = descendants(started.pid)
        seen.cpu_s.append(sum(map(cpu_s, pids)))
        if options.calls:
            for _ in range(options.calls):
                call(port)
            if options.table:
                leave(port)
            time.sleep(LOADING_S if options.table else 0.5)
            seen.pss_mb.append({role(pid): pss_mb(pid) for pid in descendants(started.pid)})
    return seen


def measure(options: argparse.Namespace) -> dict[str, Seen]:
    trees = [Path(tree) for tree in options.tree] or [ROOT]
    subjects = {"bare relay": (bare, ROOT)} | {f"weir {tree}": (weir, tree) for tree in trees}
    found = {name: Seen() for name in subjects}
    with tempfile.TemporaryDirectory() as cache:
        provider, environ = free_port(), environment(cache)
        with running(["benchmarks.speed.target", str(provider)], ROOT, environ):
            for round_ in range(options.times + 1):  # the first fills caches and is not counted
                for name, (command, tree) in subjects.items():
                    port = free_port()
                    with tempfile.TemporaryDirectory() as data:
                        seen = once(command(provider, port, data), port, tree, environ, options)
                    if round_:
                        found[name].start_s += seen.start_s
                        found[name].cpu_s += seen.cpu_s
                        found[name].pss_mb += seen.pss_mb
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=9)
    parser.add_argument("--calls", type=int, default=300, help="before memory is looked at; 0: do not look")
    parser.add_argument("--tree", action="append", default=[], help="a checkout of Weir to start, in place of this one")
    parser.add_argument("--table", action="store_true", help="with a call that loads a token table")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {name: seen.shown() for name, seen in measure(options).items()}
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for name, figures in found.items():
        print(name, "  ".join(f"{what} {figure:g}" for what, figure in figures.items()), flush=True)


if __name__ == "__main__":
    main()
