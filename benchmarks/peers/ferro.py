"""Ferro's gateway: one Go binary, thirty providers; metrics and the overhead header as by default, no plugins."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.peers.environments import python, script
from benchmarks.peers.peer import MODELS, Command, Peer

VERSION = "1.5.10"


def install(folder: Path) -> str | None:
    return python(folder, f"ferrogw=={VERSION}")


def command(folder: Path, port: int, provider: str, work: Path) -> Command:
    target = {"virtual_key": "openai", "models": list(MODELS)}
    path = work / "ferro.json"
    path.write_text(json.dumps({"strategy": {"mode": "single"}, "targets": [target]}))
    environment = {
        "GATEWAY_CONFIG": str(path.resolve()),
        "OPENAI_API_KEY": "sk-benchmark",
        "OPENAI_BASE_URL": provider,
        "ALLOW_UNAUTHENTICATED_PROXY": "true",  # no keys to check, as with the others
        "LOG_LEVEL": "warn",
        "RATE_LIMIT_RPS": "0",  # else it refuses most calls of one address
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "GOMAXPROCS": "1",
    }
    return [script(folder, "ferrogw"), "serve"], environment


PEER = Peer("Ferro", VERSION, "full gateway", install, command)
