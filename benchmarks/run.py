"""`make run`: Weir in the foreground, with a local provider beside it where none is configured.

Only this starts a provider, never `weir serve` itself. `python -m benchmarks.run [sim|llama]` insists on one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import llama
from proxy.processes.child import die_with

ROOT = Path(__file__).resolve().parent.parent
CONFIGURED = ("OPENAI_BASE_URL", "OPENAI_API_KEY", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", "WEIR_CONFIG")
NOTICE = {
    "sim": "no provider is configured, so a SIMULATED provider answers (it echoes; set OPENAI_API_KEY for a real one)",
    "llama": "a small real model answers (llama.cpp with Gemma 3 270M)",
}


def main(arguments: list[str]) -> int:
    kind = arguments[0] if arguments else ""
    if kind not in ("", "sim", "llama"):
        sys.stderr.write(f"make run: PROVIDER is {kind!r}; it may be sim or llama\n")
        return 2
    weir = [sys.executable, "-m", "proxy", "serve"]
    configured = any(os.environ.get(name) for name in CONFIGURED)
    if not kind and configured:
        os.execv(weir[0], weir)
    kind = kind or "sim"
    provider = _started(kind)
    try:
        url = _address(provider)
        sys.stderr.write(f"weir: {NOTICE[kind]} at {url}\n")
        return _serve([*weir, "--upstream", url])
    finally:
        provider.terminate()
        provider.wait()


def _started(kind: str) -> subprocess.Popen[str]:
    simulated = [sys.executable, "-m", "benchmarks.provider", "--port", "0"]
    command, errors = (llama.command(0), subprocess.DEVNULL) if kind == "llama" else (simulated, None)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT, preexec_fn=_bound())


def _bound() -> Callable[[], None]:
    """For what is started here: it ends when this process does, however that ends."""
    return partial(die_with, os.getpid())


def _address(provider: subprocess.Popen[str]) -> str:
    assert provider.stdout is not None
    for line in provider.stdout:
        words = [word for word in line.split() if word.startswith("http://")]
        if words:
            return words[0].rstrip("/")
    raise SystemExit("make run: the local provider did not start")


def _serve(command: list[str]) -> int:
    """Weir has the terminal: an interrupt reaches it by itself, and it decides when the end is."""
    process = subprocess.Popen(command, preexec_fn=_bound())
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
