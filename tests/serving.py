"""`weir serve` as a process, for tests: started on free ports over a provider, watched, killed."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DEADLINE_S = 30.0


class Served:
    """A running Weir. `port` and `admin_port` are found in its lock file."""

    def __init__(self, process: subprocess.Popen[str], data: Path, context: ssl.SSLContext | None = None) -> None:
        self.process = process
        self.data = data
        self._context = context
        self.port = 0
        self.admin_port = 0

    @property
    def url(self) -> str:
        return self.root + "/v1"

    @property
    def root(self) -> str:
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    def until(self, test: Callable[[], Any], what: str) -> Any:
        """What `test` gives as soon as it is true; raises after a deadline, or when Weir has died."""
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            found = test()
            if found:
                return found
            if self.process.poll() is not None and self.process.returncode:
                raise AssertionError(f"Weir ended with {self.process.returncode} while waiting for {what}")
            time.sleep(0.02)
        raise AssertionError(f"not in time: {what}")

    def ready(self) -> bool:
        holder = self.data / "weir.lock"
        if not holder.exists():
            return False
        try:
            facts = json.loads(holder.read_text())
        except ValueError:
            return False
        if facts.get("pid") != self.process.pid or "admin_port" not in facts:
            return False
        self.port, self.admin_port = facts["port"], facts["admin_port"]
        return self.get(self.root + "/readyz")[0] == 200

    def get(self, url: str, timeout_s: float = 2.0) -> tuple[int, Any]:
        """Status and JSON; (0, None) where nobody answers."""
        try:
            with urllib.request.urlopen(url, timeout=timeout_s, context=self._context) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, None
        except (OSError, ValueError):
            return 0, None

    def admin(self, path: str) -> Any:
        return self.get(f"http://127.0.0.1:{self.admin_port}{path}")[1]

    def metrics(self) -> dict[str, float]:
        """Every series of /metrics, summed over labels."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/metrics", timeout=2.0) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return {}
        totals: dict[str, float] = {}
        for line in lines:
            if not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                name = name.partition("{")[0]
                totals[name] = totals.get(name, 0.0) + float(value)
        return totals

    def ask(self, text: str = "hello", timeout_s: float = 10.0) -> tuple[int, Any, dict[str, str]]:
        body = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}).encode()
        request = urllib.request.Request(
            self.url + "/chat/completions", body, {"content-type": "application/json", "authorization": "Bearer sk-t"}
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout_s, context=self._context) as answer:
                return answer.status, json.loads(answer.read()), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read()), dict(error.headers)
        except OSError:
            return 0, None, {}

    def pids(self, role: str) -> list[int]:
        """Of our children whose command line names this role."""
        found = []
        for entry in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            try:
                words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if role.encode() in words:
                found.append(int(entry))
        return found

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)


@contextmanager
def serve(
    upstream: str,
    data: Path,
    *arguments: str,
    context: ssl.SSLContext | None = None,
    told: Path | None = None,
    **environment: str,
) -> Iterator[Served]:
    """`with serve(provider_url, tmp_path) as weir: ...`; ready when entered, gone when left. With a `context` it is
    spoken to over TLS; its log goes to the file `told`. Without an `upstream` a configuration file names them."""
    command = [sys.executable, "-m", "proxy", "serve", *(("--upstream", upstream) if upstream else ()), "--data",
               str(data), "--port", "0", "--admin-port", "0", *arguments]  # fmt: skip
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("WEIR_", "OPENAI_", "ANTHROPIC_"))
    }
    with (told or Path(os.devnull)).open("ab") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**clean, "WEIR_UNREADY_MS": "0", **environment}, text=True, stderr=log
        )
    served = Served(process, data, context)
    try:
        served.until(served.ready, "readiness")
        yield served
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def provided() -> Iterator[str]:
    """The URL of a fake provider in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.provider", "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
