"""What `weir serve` and `weir run` share: flags, the plan, the words of the supervisor. Standard library only."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from proxy.app.configured import arguments
from proxy.app.voice import say
from proxy.processes.early import Early
from proxy.processes.plan import Plan
from proxy.processes.supervisor import Supervisor

FLAGS = ("upstream", "host", "port", "admin_host", "admin_port", "data_dir", "workers", "profile")
ROLE = (sys.executable, "-m", "proxy.app")
TLS = ("tls_cert", "tls_key", "tls_client_ca")
VALKEY_FOLDER = "valkey"
"""Of the data directory: where the embedded Valkey writes."""
VALKEY_SOCKET = "{run}/valkey.sock"
VALKEY_OPTIONS = (
    "--port", "0", "--unixsocket", VALKEY_SOCKET, "--unixsocketperm", "600", "--save", "", "--appendonly", "yes",
    "--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru", "--loglevel", "warning",
    "--logfile", "{run}/valkey.log",
)  # fmt: skip
"""Hot state of this Weir alone: it survives a restart, and it cannot grow without bound."""


def add_flags(parser: argparse.ArgumentParser, *, own: bool = False) -> None:
    """`own`: for a Weir of one command, which takes free ports and keeps nothing unless it is told otherwise."""
    port, admin = ("0", "0") if own else ("8080", "8081")
    kept = "default: nowhere, they go when the command ends" if own else "default .weir"
    parser.add_argument("--config", metavar="FILE", help="configuration (YAML); without one, flags and environment do")
    parser.add_argument("--upstream", metavar="URL", help="the one provider for all calls")
    parser.add_argument("--host", help="address for calls (default 127.0.0.1)")
    parser.add_argument("--port", type=int, help=f"port for calls (default {port}; 0: any free one)")
    parser.add_argument("--admin-host", help="address of the admin API (default 127.0.0.1)")
    parser.add_argument("--admin-port", type=int, help=f"port of the admin API (default {admin}; 0: any free one)")
    parser.add_argument("--data", dest="data_dir", metavar="DIR", help=f"where records are kept ({kept})")
    parser.add_argument("--workers", type=int, help="processes that serve calls (default 1)")
    parser.add_argument("--profile", choices=("standard", "observe"), help="observe: look, touch nothing")


def flags_of(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in FLAGS if getattr(options, name) is not None}


@contextmanager
def early(config: str | None, flags: dict[str, Any]) -> Iterator[tuple[Early, Early]]:
    """Control, which judges the configuration, and the first worker; gone when left, unless ordered to run."""
    with ExitStack() as stack:
        control = Early("control", (*ROLE, "control"), arguments(config, flags))
        stack.callback(control.dismiss)
        worker = Early("worker", (*ROLE, "worker"))
        stack.callback(worker.dismiss)
        yield control, worker


def serve(config: str | None, flags: dict[str, Any], **changes: Any) -> int:
    """All of it: judges, claims, runs; the exit code. Where the configuration is wrong, that was said on stderr."""
    with early(config, flags) as (control, worker):
        settings = control.hear()
        if isinstance(settings, int):
            return settings
        first = {"control": control.order, "worker 0": worker.order}
        return supervise(config, flags, settings, first=first, **changes)


def supervise(config: str | None, flags: dict[str, Any], settings: dict[str, Any], **changes: Any) -> int:
    valkey = settings.get("valkey")
    store = ("--store", f"unix://{VALKEY_SOCKET}") if valkey else ()
    plan = Plan(
        control=(*ROLE, "control", *arguments(config, flags), *store),
        extras=((valkey, *VALKEY_OPTIONS, "--dir", f"{settings['data_dir']}/{VALKEY_FOLDER}"),) if valkey else (),
        folders=(VALKEY_FOLDER,) if valkey else (),
        worker=(*ROLE, "worker", "--warm", ",".join(settings["warm"])),
        gate=True,
        data_dir=settings["data_dir"],
        host=settings["host"],
        port=settings["port"],
        workers=settings["workers"],
        tls=tuple(file for name in TLS if (file := settings.get(name))) or None,
        drain_s=settings["drain_s"],
        unready_ms=settings["unready_ms"],
        hang_s=settings["worker_hang_s"],
    )
    return Supervisor(plan._replace(**changes), _say).run()


def _say(event: str, sentence: str) -> None:
    say(f"weir: {sentence}")
