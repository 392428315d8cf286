"""One place for a process of Weir: what is started there, what runs there now, when it is started again.

Standard library only; used by the supervisor.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Literal

Role = Literal["command", "worker", "control", "extra"]
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
BACKOFF_S = (0.1, 5.0)
SETTLED_S = 30.0
PR_SET_PDEATHSIG = 1


class Child:
    """`pid` is 0 while nothing runs here; `due_s` says when the next start is; `fds` stay the same over restarts."""

    __slots__ = ("argv", "due_s", "failures", "fds", "heard_s", "name", "pid", "ready_fd", "role", "started_s")

    def __init__(self, name: str, role: Role, argv: tuple[str, ...], fds: tuple[int, ...] = ()) -> None:
        self.name = name
        self.role: Role = role
        self.argv = argv
        self.fds = fds
        self.pid = 0
        self.ready_fd = -1
        self.heard_s = 0.0
        """When it last said that it works; 0 before it has, and where it says so only once."""
        self.started_s = 0.0
        self.due_s: float | None = None
        self.failures = 0

    def postpone(self, now_s: float) -> None:
        """Sets the next start: at once after a settled life, then later and later."""
        if now_s - self.started_s >= SETTLED_S:
            self.failures = 0
        least_s, most_s = BACKOFF_S
        wait_s = 0.0 if not self.failures else min(most_s, least_s * 2.0 ** min(self.failures - 1, 16))
        self.failures += 1
        self.due_s = now_s + wait_s

    def start(self, argv: Sequence[str], passed: Sequence[int], environment: Mapping[str, str]) -> None:
        """Starts `argv` here with the descriptors `passed`, and no others but output and errors."""
        parent = os.getpid()
        # Nothing may reach the new process before it is itself: our handlers would write to our own wake-up pipe.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            self.pid = os.fork()
            if self.pid == 0:
                self._become(argv, passed, environment, parent)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _become(self, argv: Sequence[str], passed: Sequence[int], environment: Mapping[str, str], parent: int) -> None:
        """In the new process, which never leaves this function but as something else."""
        try:
            signal.set_wakeup_fd(-1)
            for number in SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            if self.role != "command":  # the command keeps the terminal; others hear of Ctrl-C from the supervisor
                os.setpgid(0, 0)
                os.umask(0o077)  # what it writes is its owner's alone, also where a program of others does not say so
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            if self.role == "extra":
                die_with(parent)
            for fd in passed:
                os.set_inheritable(fd, True)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            os.execvpe(argv[0], list(argv), dict(environment))  # noqa: S606 no shell is wanted
        except OSError as error:
            os.write(2, f"{argv[0]} cannot be started: {error.strerror}\n".encode())
        finally:
            os._exit(127)


def die_with(parent: int) -> None:
    """For programs that know nothing of our pipe, before they become themselves: the kernel tells them. Linux only."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
