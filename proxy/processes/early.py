"""Processes that are started before it is known where they will run: they load meanwhile, and hear it over a socket.

Loading is most of a start, so control and the first worker do it at the same time, and before anything is claimed. A
process of this kind is started with `--talk-fd N`. Control also judges the configuration and says what the supervisor
must know: so one process needs pydantic, and nothing is claimed for a configuration that is wrong. The supervisor then
orders each to run as if it had been started with certain arguments and descriptors; it needs no more of this.
Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from collections.abc import Sequence
from typing import Any

from proxy.processes.child import Child, Role

MESSAGE_BYTES = 64 * 1024
DESCRIPTORS = 8


class Early:
    """Started at once; then `hear` where it has something to say, and `order` or `dismiss`."""

    def __init__(self, role: Role, program: Sequence[str], arguments: Sequence[str] = ()) -> None:
        """Starts `program` with `arguments` and `--talk-fd N`."""
        self._program = tuple(program)
        self._talk, far = socket.socketpair()
        self._child = Child(role, role, self._program)
        with far:
            argv = [*program, *arguments, "--talk-fd", str(far.fileno())]
            self._child.start(argv, (far.fileno(),), os.environ)

    def hear(self) -> dict[str, Any] | int:
        """What it says; its exit code where it ended instead."""
        raw = b""
        while not raw.endswith(b"\n"):
            piece = self._talk.recv(MESSAGE_BYTES)
            if not piece:
                _, status = os.waitpid(self._child.pid, 0)
                self._child.pid = 0
                return abs(os.waitstatus_to_exitcode(status)) or 1
            raw += piece
        found: dict[str, Any] = json.loads(raw)
        return found

    def order(self, argv: Sequence[str], fds: Sequence[int]) -> int:
        """It runs as if started by `argv`, with the descriptors; returns its pid. One that is dead hears nothing,
        and whoever waits for it will know."""
        pid, self._child.pid = self._child.pid, 0
        with self._talk, contextlib.suppress(OSError):
            socket.send_fds(self._talk, [json.dumps(argv[len(self._program) :]).encode() + b"\n"], fds)
        return pid

    def dismiss(self) -> None:
        """It is not needed: nothing of it stays. Does nothing where it was ordered to run."""
        self._talk.close()
        if self._child.pid:
            os.kill(self._child.pid, signal.SIGKILL)
            os.waitpid(self._child.pid, 0)
            self._child.pid = 0


class Wait:
    """The far end, in the process itself."""

    def __init__(self, fd: int) -> None:
        self._talk = socket.socket(fileno=fd)

    def tell(self, said: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # the supervisor is gone: `ordered` will hear it
            self._talk.sendall(json.dumps(said).encode() + b"\n")

    def ordered(self) -> tuple[list[str], list[int]] | None:
        """The arguments to run with, and the descriptors; None where nobody wants this process."""
        raw: bytes = b""
        fds: list[int] = []
        with self._talk:
            while not raw.endswith(b"\n"):
                try:
                    piece, come, _, _ = socket.recv_fds(self._talk, MESSAGE_BYTES, DESCRIPTORS)
                except ConnectionResetError:
                    return None
                if not piece:
                    return None
                raw += piece
                fds += come
        for fd in fds:
            os.set_inheritable(fd, False)
        return json.loads(raw), fds
