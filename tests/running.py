"""The default run, as `make run` starts it on a machine without a provider: real processes, on free ports."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.sources import ROOT

START_S, STOP_S, WAIT_S = 60.0, 30.0, 15.0
FOREIGN = ("OPENAI_", "ANTHROPIC_", "WEIR_", "CACHE_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy")


@dataclass(frozen=True)
class DefaultRun:
    """`place` is where it was started; its data directory is `.weir` there."""

    place: Path
    port: int
    admin_port: int
    said: str
    process: subprocess.Popen[bytes]

    def get(self, path: str, port: int | None = None, **headers: str) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{port or self.admin_port}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            body: bytes = answer.read()
            return body

    def call(self, text: str, *, path: str = "/v1/chat/completions", **changes: Any) -> bytes:
        """One call through the data port; the body of its answer."""
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **changes}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            got: bytes = answer.read()
            return got

    def executions(self, at_least: int = 1, query: str = "") -> list[dict[str, Any]]:
        """The newest first; waits until there are so many."""
        end = time.monotonic() + WAIT_S
        while True:
            found: list[dict[str, Any]] = json.loads(self.get(f"/admin/v1/executions{query}"))["data"]
            if len(found) >= at_least:
                return found
            assert time.monotonic() < end, f"{len(found)} records instead of {at_least}"
            time.sleep(0.02)

    def processes(self, role: str) -> list[int]:
        """Pids of the processes of this run with this role, where the system has /proc."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                here = (entry / "cwd").readlink() == self.place.resolve()
            except OSError:
                continue
            if here and role.encode() in words:
                found.append(int(entry.name))
        return found


def environment(**changes: str) -> dict[str, str]:
    """This process's, without what configures providers or Weir, and with this interpreter's commands first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    return {**kept, "PATH": path, "PYTHONPATH": str(ROOT), "no_proxy": "127.0.0.1", **changes}


@contextmanager
def default_run(place: Path, changes: Mapping[str, str] | None = None) -> Iterator[DefaultRun]:
    """As `make run`, but for the ports, in a directory of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.run"],
        cwd=place,
        env=environment(WEIR_PORT="0", WEIR_ADMIN_PORT="0", **(changes or {})),
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        said = _until_listening(process)
        facts = json.loads((place / ".weir" / "weir.lock").read_text())
        yield DefaultRun(place, facts["port"], facts["admin_port"], said, process)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def _until_listening(process: subprocess.Popen[bytes]) -> str:
    assert process.stderr is not None
    said, end = b"", time.monotonic() + START_S
    os.set_blocking(process.stderr.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(process.stderr, selectors.EVENT_READ)
        while b"is listening on" not in said:
            assert selector.select(max(0.0, end - time.monotonic())), f"it did not start: {said.decode()}"
            piece = process.stderr.read()
            assert piece, f"it ended: {said.decode()}"
            said += piece
    return said.decode()
