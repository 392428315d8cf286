"""Portkey's open gateway: Node.js; each call says by headers where it goes."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers.environments import node
from benchmarks.peers.peer import Command, Peer

VERSION = "1.15.2"
SERVER = "1.14.1"
"""The web server under it, as later ones break every stream (github.com/Portkey-AI/gateway/issues/1389)."""


def install(folder: Path) -> str | None:
    return node(folder, {"@portkey-ai/gateway": VERSION, "@hono/node-server": SERVER})


def command(folder: Path, port: int, provider: str, work: Path) -> Command:
    start = folder.resolve() / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    return ["node", str(start), f"--port={port}", "--headless"], {"NODE_ENV": "production"}


PEER = Peer(
    "Portkey",
    VERSION,
    "full gateway, no metering",
    install,
    command,
    headers={"x-portkey-provider": "openai", "x-portkey-custom-host": "{provider}/v1"},
)
