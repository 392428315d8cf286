"""vllm-router: Rust in a Python package; spreads calls over servers of one kind, with health checks and metrics."""

from __future__ import annotations

import socket
from pathlib import Path

from benchmarks.peers.environments import python, script
from benchmarks.peers.peer import Command, Peer

VERSION = "0.1.17"


def install(folder: Path) -> str | None:
    return python(folder, f"vllm-router=={VERSION}")


def command(folder: Path, port: int, provider: str, work: Path) -> Command:
    with socket.create_server(("127.0.0.1", 0)) as free:
        metrics = int(free.getsockname()[1])
    arguments = [
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--prometheus-port", str(metrics)),  # else always the same one
        *("--worker-urls", provider),
        *("--policy", "round_robin"),  # the default keeps a tree of all prompts, for servers that cache
        *("--log-level", "warning"),
        "--disable-retries",
    ]
    return [script(folder, "vllm-router"), *arguments], {"TOKIO_WORKER_THREADS": "1"}


PEER = Peer("vllm-router", VERSION, "forwards only", install, command)
