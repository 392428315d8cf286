"""A `weir serve` under measurement: started on free ports, its CPU, memory and connections read from /proc."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ESTABLISHED = "01"
START_S = 60.0
PROBES = 32
"""Connections that tell whether every worker takes its own."""


def cpu_us(pid: int) -> float:
    """Of all threads of a process, to the nanosecond; 0 for one that has ended."""
    total = 0
    for task in Path(f"/proc/{pid}/task").glob("[0-9]*"):
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except OSError:
            continue
    return total / 1000


def private_kb(pid: int) -> int:
    """Memory that this process alone has: its part of what is shared moves with whatever else runs."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_"))


class Subject:
    """One running Weir, supervisor first."""

    process: subprocess.Popen[bytes]

    def __init__(self, place: Path, upstream: str, authority: Path | None, plugins: Sequence[str] = ()) -> None:
        self.data = place / "data"
        self.file = place / "weir.yaml"
        self._upstream = upstream
        self._chain = f"plugins: [{', '.join(plugins)}]\n" if plugins else ""
        self._trust = ", pool_size: 16384" + (f", ca_file: {authority}" if authority else "")
        self.configure()
        self.port = 0

    def pids(self, role: str = "") -> list[int]:
        """Of the children with this role (`worker`, `control`), by slot; of all and the supervisor without one."""
        own = self.process.pid
        found = {}
        for child in map(int, Path(f"/proc/{own}/task/{own}/children").read_text().split()):
            try:
                words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if not role or role in words:
                found[child] = words[words.index("--slot") + 1] if "--slot" in words else ""
        return ([] if role else [own]) + sorted(found, key=lambda pid: found[pid])

    def cpu_us(self) -> float:
        return sum(map(cpu_us, self.pids()))

    def connections(self) -> list[int]:
        """Callers' connections of each worker, by slot."""
        return [len(self.sockets(pid)) for pid in self.pids("worker")]

    def sockets(self, pid: int) -> list[str]:
        """Inodes of the accepted connections that this worker holds."""
        here = f":{self.port:04X}"
        rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
        accepted = {row[9] for row in rows if row[1].endswith(here) and row[3] == ESTABLISHED}
        held = []
        for entry in os.scandir(f"/proc/{pid}/fd"):
            try:
                found = os.readlink(entry.path)
            except OSError:
                continue
            if found.startswith("socket:[") and found[8:-1] in accepted:
                held.append(found[8:-1])
        return held

    def configure(self, path: str = "") -> None:
        """Writes its file; `path` makes another address of the same provider, for a reload that changes something."""
        self.file.write_text(f"{self._chain}upstreams:\n  target: {{url: {self._upstream}{path}{self._trust}}}\n")

    def ready(self) -> bool:
        try:
            facts = json.loads((self.data / "weir.lock").read_text())
            self.port = facts["port"]
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2.0) as answer:
                return bool(answer.status == 200)
        except (OSError, ValueError, KeyError):
            return False

    def wait_ready(self, workers: int) -> None:
        end = time.monotonic() + START_S
        while not (self.ready() and len(self.pids("worker")) == workers and self._all_listen()):
            if time.monotonic() > end or self.process.poll() is not None:
                raise SystemExit("Weir does not start")
            time.sleep(0.05)

    def _all_listen(self) -> bool:
        """Whether what the kernel gave to each of the workers has been taken by it."""
        with ExitStack() as stack:
            for _ in range(PROBES):
                stack.enter_context(socket.create_connection(("127.0.0.1", self.port), timeout=2.0))
            time.sleep(0.1)
            return sum(self.connections()) >= PROBES


@contextmanager
def weir(
    upstream: str,
    *arguments: str,
    workers: int = 1,
    authority: Path | None = None,
    prefix: Sequence[str] = (),
    plugins: Sequence[str] = (),
) -> Iterator[Subject]:
    """Over this provider; with `authority` that alone is trusted. `prefix` is what runs it (`taskset -c 0`), `plugins`
    the chain, in place of the usual one."""
    with tempfile.TemporaryDirectory(prefix="weir-scale-") as place:
        subject = Subject(Path(place), upstream, authority, plugins)
        serve = ["-m", "proxy", "serve", "--config", str(subject.file), "--data", str(subject.data)]
        ports = ["--port", "0", "--admin-port", "0", "--workers", str(workers)]
        command = [*prefix, sys.executable, *serve, *ports, *arguments]
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("WEIR_", "OPENAI_", "ANTHROPIC_"))}
        subject.process = process = subprocess.Popen(command, cwd=ROOT, env={**clean, "WEIR_UNREADY_MS": "0"})
        try:
            subject.wait_ready(workers)
            yield subject
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(45)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def target(*arguments: str, prefix: Sequence[str] = ()) -> Iterator[int]:
    """The fast provider as a process of its own; gives its port."""
    command = [*prefix, sys.executable, "-m", "benchmarks.speed.target", "0", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
