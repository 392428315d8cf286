"""Who is measured: the provider itself, the bare relay, Weir in several configurations, other people's gateways."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from benchmarks.speed import proc
from benchmarks.speed.load import request
from benchmarks.speed.machine import RELAYS, pin
from proxy.processes.child import die_with

ROOT = Path(__file__).resolve().parent.parent.parent
HELLO = b'{"model": "%b", "messages": [{"role": "user", "content": "Hello"}]}'
PATIENCE_S = 60.0
Command = tuple[Sequence[str], Mapping[str, str]]
"""What to start, and what is added to the environment."""


class Peer(Protocol):
    """Another gateway, as `benchmarks.peers.PEERS` has them."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def scope(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def install(self) -> Callable[[Path], str | None]: ...
    @property
    def command(self) -> Callable[[Path, int, str, Path], Command]: ...
    def headers_for(self, provider: str) -> Mapping[str, str]: ...
    @property
    def model(self) -> Callable[[str], str]: ...


@dataclass(frozen=True, slots=True)
class Subject:
    """Something that can be started on a port, with a work folder of its own."""

    key: str
    name: str
    command: Callable[[int, Path], Command]
    path: str = ""
    """Where chats are sent, if not where everybody takes them."""
    headers: Mapping[str, str] = field(default_factory=dict)
    model: Callable[[str], str] = str
    folder: Path = ROOT
    cores: frozenset[int] = RELAYS
    tls: bool = False
    """Whether it is spoken to over TLS: the provider of such a row, which only relays call."""


@dataclass(slots=True)
class Running:
    """A started subject."""

    subject: Subject
    port: int
    process: subprocess.Popen[bytes]
    work: Path
    start_s: float = 0.0
    """From the start of its process to its first answer."""
    capacity: float = 0.0
    """Calls/s that it was seen to do."""

    def pids(self) -> list[int]:
        return proc.descendants(self.process.pid)

    def stop(self) -> None:
        """The group goes with the leader: some launchers do not hand the signal on."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def start(subject: Subject, work: Path) -> Running:
    """Started and answering. Raises RuntimeError with the end of what it said where it does not come to that."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    port = free_port()
    command, environment = subject.command(port, work)
    begun = time.perf_counter()
    with open(work / "said", "wb") as said:
        process = subprocess.Popen(
            command, cwd=subject.folder, env={**os.environ, **environment}, stdout=said, stderr=said,
            start_new_session=True, preexec_fn=partial(_child, os.getpid(), subject.cores),
        )  # fmt: skip
    running = Running(subject, port, process, work)
    try:
        _await_answer(running, begun)
    except BaseException:
        running.stop()
        raise
    running.start_s = time.perf_counter() - begun
    return running


def _child(parent: int, cores: frozenset[int]) -> None:
    die_with(parent)
    pin(cores)


def _await_answer(running: Running, begun: float) -> None:
    subject = running.subject
    body = HELLO % subject.model("json-1500").encode()
    call = request(subject.path or "/v1/chat/completions", body, {**subject.headers, "Connection": "close"})
    while time.perf_counter() - begun < PATIENCE_S:
        if running.process.poll() is not None:
            break
        if (said := _ask(running.port, call, subject.tls)).startswith(b"HTTP/1.1 200"):
            return
        time.sleep(0.05 if said else 0.003)
    told = (running.work / "said").read_text(errors="replace").strip().splitlines()[-3:]
    raise RuntimeError(f"{subject.name} does not answer: {' | '.join(told) or 'it says nothing'}")


def _ask(port: int, call: bytes, tls: bool = False) -> bytes:
    try:
        plain = socket.create_connection(("127.0.0.1", port), 5.0)
        with plain, _unverified().wrap_socket(plain) if tls else plain as sock:
            sock.sendall(call)
            return sock.recv(65536)
    except OSError:
        return b""


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


# ---- ours -----------------------------------------------------------------------------------------------------------


def provider(cores: frozenset[int], certificate: str = "") -> Subject:
    def command(port: int, work: Path) -> Command:
        tls = ["--tls", certificate] if certificate else []
        return [sys.executable, "-m", "benchmarks.speed.target", str(port), *tls], {}

    return Subject("provider", "the provider itself", command, cores=cores, tls=bool(certificate))


def bare(url: str, ca_file: str = "") -> Subject:
    def command(port: int, work: Path) -> Command:
        return [sys.executable, "-m", "benchmarks.bare", str(port), url, *([ca_file] if ca_file else [])], {}

    return Subject("bare", "bare aiohttp relay", command)


def floor(url: str) -> Subject:
    """What the kernel and the event loop cost alone: no relay to use, and plain only."""

    def command(port: int, work: Path) -> Command:
        return [sys.executable, "-m", "benchmarks.floor", str(port), url], {}

    return Subject("floor", "raw protocols (a bound)", command)


def weir(key: str, name: str, configuration: Mapping[str, Any], folder: Path = ROOT) -> Subject:
    """JSON is YAML, so the configuration is written as it is."""

    def command(port: int, work: Path) -> Command:
        file = work / "weir.yaml"
        file.write_bytes(_dumped(configuration))
        ports = ["--port", str(port), "--admin-port", "0"]
        argv = [sys.executable, "-m", "proxy", "serve", "--config", str(file), "--data", str(work / "data"), *ports]
        return argv, {}

    return Subject(key, name, command, folder=folder)


def _dumped(configuration: Mapping[str, Any]) -> bytes:
    return json.dumps(configuration, indent=1).encode()


def upstream(url: str, ca_file: str = "") -> dict[str, Any]:
    return {"target": {"url": url, "auth": "none", **({"ca_file": ca_file} if ca_file else {})}}


def weirs(url: str, ca_file: str = "", beside: Path | None = None) -> list[Subject]:
    """Weir as it comes, without audit, with ten plugins that look, and that of another checkout."""
    # How long Weir takes to end is not measured, only waited for.
    plain = {"upstreams": upstream(url, ca_file), "log": {"level": "warning"}, "unready_ms": 0}
    usual: dict[str, Any] = {"audit": {}, "metering": {}}
    looking = {f"look{number}": {"uses": "benchmarks.speed.looking:Looking"} for number in range(10)}
    watching = {f"look{number}": {"uses": "benchmarks.speed.looking:Watching"} for number in range(10)}
    limits = [{"by": "agent", "requests_per_minute": 10**9}, {"by": "tenant", "tokens_per_minute": 10**12}]
    guards = {"ratelimit": {"options": {"limits": limits}}, "injection": {}, "pii": {}, "output_filter": {}}
    pool = {
        "name": "usual",
        "asked": ["json-1500"],
        "models": [{"target": "target/json-small"}, {"target": "target/json-1500"}],
    }
    saving = {"variants": {}, "routing": {"options": {"pools": [pool]}}, "cache": {}, "compression": {}}
    made = [
        weir("weir", "Weir", {**plain, "plugins": usual}),
        weir("cached", "Weir, cache", {**plain, "plugins": {**usual, "cache": {}}}),
        weir("saving", "Weir, cache, routing and compression", {**plain, "plugins": {**usual, **saving}}),
        weir("guarded", "Weir, all guards on", {**plain, "plugins": {**usual, **guards}}),
        weir("unaudited", "Weir without audit", {**plain, "plugins": {"metering": {}}}),
        weir("looking", "Weir, ten plugins look", {**plain, "plugins": {**usual, **looking}}),
        weir("watching", "Weir, ten look both ways", {**plain, "plugins": {**usual, **watching}}),
    ]
    if beside is not None:
        made.append(weir("beside", "Weir of the other tree", plain, beside.resolve()))
    return made


# ---- others ---------------------------------------------------------------------------------------------------------


def peers() -> tuple[Peer, ...]:
    """Those that `benchmarks.peers` knows; they are fetched by `make bench-peers` alone."""
    found: tuple[Peer, ...] = importlib.import_module("benchmarks.peers").PEERS
    return found


def of_peer(peer: Peer, folder: Path, url: str) -> Subject:
    def command(port: int, work: Path) -> Command:
        return peer.command(folder, port, url, work)

    made = Subject(peer.name.lower(), f"{peer.name} {peer.version}", command)
    return replace(made, path=peer.path, headers=peer.headers_for(url), model=peer.model)
