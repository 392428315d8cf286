"""Stand-ins for control, worker and an embedded server: small, but with the real channel, page and pipes.

Run as a script: `stand_in.py ROLE DATA [--how HOW] ARGUMENTS OF THE SUPERVISOR`. What happens to them is appended to
DATA/events, one line each: `role slot pid what`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from proxy.channel import Receiver, Sender
from proxy.processes import life
from proxy.telemetry.page import Page


class StandIn:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.stopping = asyncio.Event()

    def note(self, what: str) -> None:
        line = f"{self.options.role} {self.options.slot} {os.getpid()} {what}\n"
        with open(os.path.join(self.options.data, "events"), "a") as file:
            file.write(line)

    def ask_to_stop(self, why: str) -> None:
        self.note(why)
        if self.options.how != "stubborn":
            self.stopping.set()

    async def until_stopped(self, ready: dict[str, Any] | None = None) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.ask_to_stop, "terminated")
        loop.add_signal_handler(signal.SIGINT, self.ask_to_stop, "interrupted")
        loop.add_signal_handler(signal.SIGHUP, self.note, "reloaded")
        if self.options.life_fd >= 0:
            life.watch(self.options.life_fd, loop, lambda: self.ask_to_stop("orphaned"))
            life.ready(self.options.ready_fd, ready)
        self.note("ready")
        await self.stopping.wait()


async def control(stand_in: StandIn) -> None:
    options = stand_in.options
    records = open(os.path.join(options.data, "records"), "ab", buffering=0)  # noqa: SIM115 held for life

    async def keep(lines: list[bytes]) -> None:
        records.write(b"".join(line + b"\n" for line in lines))

    receiver = Receiver(os.path.join(options.run, "control.sock"), keep)
    await receiver.start()
    await stand_in.until_stopped({"admin_port": 4321})
    await receiver.stop(2.0)
    records.close()


async def worker(stand_in: StandIn) -> None:
    """Answers every connection with its slot and pid, and keeps a record of it. `hold` waits for the caller's word."""
    options = stand_in.options
    page = Page.create(Path(options.run), options.slot)
    sender = Sender(Path(options.run) / "control.sock", slot=options.slot, page=page.path, metrics=page)
    calls: set[asyncio.Task[Any]] = set()
    await sender.start()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        calls.add(task)
        task.add_done_callback(calls.discard)
        said = await reader.readline()
        if said.strip() == b"hold":
            writer.write(b"held\n")
            said = await reader.readline()
        page.counter("weir_unknown_price_total", model="m").add()
        sender.put(b'{"said":"%s"}' % said.strip())
        writer.write(f"{options.slot} {os.getpid()}\n".encode())
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, sock=socket.socket(fileno=options.fd))
    await stand_in.until_stopped()
    server.close()
    if calls:
        await asyncio.wait(calls, timeout=options.drain_s)
    await sender.stop(2.0)
    page.close()


async def extra(stand_in: StandIn) -> None:
    await stand_in.until_stopped()


def orphan() -> None:
    """Leaves a process behind whose parent is gone: a zombie, where nobody waits for it."""
    subprocess.run([sys.executable, "-S", "-c", "import os\nif os.fork(): os._exit(0)\n"], check=True)


async def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("control", "worker", "extra"))
    parser.add_argument("data")
    parser.add_argument("--how", default="")
    parser.add_argument("--slot", type=int, default=0)
    parser.add_argument("--run")
    parser.add_argument("--port", type=int)
    parser.add_argument("--fd", type=int, default=-1)
    parser.add_argument("--ready-fd", type=int, default=-1)
    parser.add_argument("--life-fd", type=int, default=-1)
    parser.add_argument("--drain-s", type=float, default=0.0)
    parser.add_argument("--unready-ms", type=float, default=0.0)
    options = parser.parse_args()
    stand_in = StandIn(options)
    if options.how.startswith("exit"):
        stand_in.note(options.how)
        return int(options.how.removeprefix("exit"))
    if options.how == "orphan":
        orphan()
    await {"control": control, "worker": worker, "extra": extra}[options.role](stand_in)
    stand_in.note("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
