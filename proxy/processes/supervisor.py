"""What `weir serve` is: starts control and workers, restarts what dies, forwards signals, ends in order.

Theory of operation
-------------------
One thread, one loop over a selector. Signals arrive through a wake-up pipe, readiness through one pipe per child.
Every place where a process belongs is a `Child`; `pid` is 0 while nothing runs there and `due_s` says when the next
start is. Extras start first, then control, and the workers when control has said that it is ready (with a gate at
once: they load what they need and wait at it); the command of `weir run` when the first worker has. The end goes the
other way, one role at a time (`ORDER`), each with its grace.
No child outlives a supervisor that is killed: ours watch a pipe (`life`), strangers get a signal from the kernel.
Standard library only, and little of it: this process must stay small.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
from collections.abc import Callable

from proxy.clock import SystemClock
from proxy.processes.beats import Beats
from proxy.processes.child import SIGNALS, Child, Role
from proxy.processes.claim import Refusal, claim_data, claim_port, claim_run, leave_run, write_holder
from proxy.processes.plan import Plan

ORDER: tuple[Role, ...] = ("command", "worker", "control", "extra")
EARLY_DEATHS = 5
PATIENCE_S = 15.0
"""For the control process that a killed supervisor left behind, which holds the lock until it has committed."""
LEAVING_S = 5.0
"""For its workers, which hold the port until they have noticed."""
BAD_CONFIGURATION = 2

Say = Callable[[str, str], None]
"""(event, sentence): `listening`, `died`, `hung`, `failed`, `refused`, `stopping`, `stopped`."""


class Supervisor:
    """`run` returns the exit code of the whole."""

    def __init__(self, plan: Plan, say: Say) -> None:
        self.plan = plan
        self.say = say
        self.port = plan.port
        self.url = ""
        self.run_dir = ""
        self._clock = SystemClock()
        self._selector = selectors.DefaultSelector()
        self._children: list[Child] = []
        self._sockets: list[socket.socket] = []
        self._lock_fd = -1
        self._life = (-1, -1)
        self._gate = [-1, -1]
        self._first = dict(plan.first or {})
        self._ready = False
        self._wake = (-1, -1)
        self._code = 0
        self._listening = False
        self._early_deaths = 0
        self._restarts = {"worker": 0, "control": 0}
        self._facts: dict[str, object] = {}
        self._stop_order: list[Role] = []
        self._stopping_s: float | None = None
        self._deadline_s = 0.0
        self._terminal = _has_terminal()
        self._beats = Beats(plan.hang_s, lambda: self._running("worker") if self._stopping_s is None else [])

    def run(self) -> int:
        """Claims, starts, watches, ends. 0 after an orderly end; 1 where it could not start; what control or the
        command exited with where that decides."""
        plan = self.plan
        try:
            self._lock_fd, killed = claim_data(plan.data_dir, PATIENCE_S, plan.folders)
            leaving_s = plan.unready_ms / 1000 + LEAVING_S if killed else 0.0
            self._sockets = claim_port(plan.host, plan.port, plan.workers, leaving_s)
            self.run_dir = claim_run(plan.data_dir)
        except Refusal as refusal:
            self.say("refused", str(refusal))
            self._release()
            return 1
        self._introduce()
        try:
            self._open()
            self._watch()
        finally:
            self._release()
        return self._code

    def _introduce(self) -> None:
        self.port = int(self._sockets[0].getsockname()[1])
        host = f"[{self.plan.host}]" if ":" in self.plan.host else self.plan.host
        self.url = f"{'https' if self.plan.tls else 'http'}://{host}:{self.port}"
        self._facts = {"pid": os.getpid(), "host": self.plan.host, "port": self.port, "run": self.run_dir}
        write_holder(self._lock_fd, self._facts)

    def _open(self) -> None:
        self._wake = os.pipe()
        self._life = os.pipe()
        self._gate = list(os.pipe()) if self.plan.gate else self._gate
        for fd in self._wake:
            os.set_blocking(fd, False)
        self._selector.register(self._wake[0], selectors.EVENT_READ, None)
        signal.set_wakeup_fd(self._wake[1], warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, _noted)
        for argv in self.plan.extras:
            self._add(Child(f"the server {os.path.basename(argv[0])}", "extra", argv, (self._lock_fd,)))
        self._deadline_s = self._clock.monotonic_s() + self.plan.ready_s
        self._add(Child("control", "control", self.plan.control + self.plan.admin, (self._lock_fd,)))
        if self.plan.gate:
            self._start_workers()

    def _watch(self) -> None:
        while self._children:
            patience_s, slept_s = self._patience_s(), self._clock.monotonic_s()
            for key, _ in self._selector.select(patience_s):
                if key.data is None:
                    self._signals()
                else:
                    self._hear(key.data)
            self._reap()
            for child in self._beats.hung(self._clock.monotonic_s(), slept_s, patience_s):
                self._hung(child)
            self._step(self._clock.monotonic_s())

    def _patience_s(self) -> float | None:
        moments = [child.due_s for child in self._children if child.due_s is not None]
        moments += self._beats.moments()
        if self._stopping_s is not None or not self._ready:
            moments.append(self._deadline_s)
        return max(0.0, min(moments) - self._clock.monotonic_s()) if moments else None

    def _step(self, now_s: float) -> None:
        if self._stopping_s is None and not self._ready and now_s >= self._deadline_s:
            self.say("failed", f"Control was not ready after {self.plan.ready_s:g} s.")
            self._stop(1)
        if self._stopping_s is not None:
            self._end(now_s)
        for child in self._children:
            if child.due_s is not None and now_s >= child.due_s and self._wanted(child):
                self._start(child)

    def _wanted(self, child: Child) -> bool:
        """While workers drain, a control that dies is started again: their last records need it."""
        return self._stopping_s is None or child.role in self._stop_order[1:]

    # Starting

    def _add(self, child: Child) -> None:
        self._children.append(child)
        self._start(child)

    def _start(self, child: Child) -> None:
        child.due_s, child.heard_s = None, 0.0
        child.started_s = self._clock.monotonic_s()
        argv = [self._fill(part) for part in child.argv]
        if child.role not in ("control", "worker"):
            child.start(argv, child.fds, self._environment(child.role))
            return
        child.ready_fd, far = os.pipe()
        os.set_blocking(child.ready_fd, False)
        self._selector.register(child.ready_fd, selectors.EVENT_READ, child)
        argv += self._arguments(child)
        passed = (far, self._life[0], *child.fds)
        if child.name in self._first:
            child.pid = self._first.pop(child.name)(argv, passed)
        else:
            argv += ["--ready-fd", str(far), "--life-fd", str(self._life[0])]
            child.start(argv, passed, self._environment(child.role))
        os.close(far)

    def _environment(self, role: Role) -> dict[str, str]:
        environment = dict(os.environ if self.plan.environment is None else self.plan.environment)
        if role == "command":
            given = self.plan.command_environment or {}
            environment.update({name: self._fill(value) for name, value in given.items()})
        return environment

    def _arguments(self, child: Child) -> list[str]:
        plan = self.plan
        if child.role == "control":
            return ["--run", self.run_dir, "--port", str(self.port)]
        slot = child.name.removeprefix("worker ")
        arguments = ["--fd", str(child.fds[0]), "--slot", slot, "--run", self.run_dir]
        arguments += ["--drain-s", f"{plan.drain_s:g}", "--unready-ms", f"{plan.unready_ms:g}"]
        arguments += [*(f"--gate-fd={fd}" for fd in child.fds[1:]), *self._beats.arguments]
        if plan.tls is not None:
            names = ("--tls-cert", "--tls-key", "--tls-client-ca")
            arguments += [word for pair in zip(names, plan.tls, strict=False) for word in pair]
        return arguments

    def _fill(self, text: str) -> str:
        return text.replace("{run}", self.run_dir).replace("{port}", str(self.port)).replace("{url}", self.url)

    # What children tell

    def _hear(self, child: Child) -> None:
        try:
            said = os.read(child.ready_fd, 4096)
        except BlockingIOError:
            said = b""
        if said and child.role == "worker":
            before, child.heard_s = child.heard_s, self._clock.monotonic_s()
            if before:
                return
        else:
            self._deafen(child)
        if not said:
            return  # the pipe was closed without a word; the child's death will say the rest
        if child.role == "control":
            with contextlib.suppress(ValueError, TypeError):
                self._facts.update(json.loads(said))
            write_holder(self._lock_fd, self._facts)
            self._ready = True
            if self._stopping_s is None:
                self._open_gate()
                self._start_workers()
        elif not self._listening:
            self._listening = True
            self.say("listening", f"Weir is listening on {self.url}")
            if self.plan.command and self._stopping_s is None:
                self._add(Child("command", "command", self.plan.command))

    def _start_workers(self) -> None:
        if any(child.role == "worker" for child in self._children):
            return
        for slot, bound in enumerate(self._sockets):
            fds = (bound.fileno(), self._gate[0]) if self.plan.gate else (bound.fileno(),)
            self._add(Child(f"worker {slot}", "worker", self.plan.worker, fds))

    def _open_gate(self) -> None:
        if self._gate[1] >= 0:
            os.close(self._gate[1])
            self._gate[1] = -1

    def _deafen(self, child: Child) -> None:
        if child.ready_fd >= 0:
            self._selector.unregister(child.ready_fd)
            os.close(child.ready_fd)
            child.ready_fd = -1

    # Deaths

    def _hung(self, child: Child) -> None:
        words = "has said nothing for {:g} s: something holds its event loop. It is killed (option worker_hang_s)."
        self.say("hung", f"{child.name.capitalize()} {words.format(self.plan.hang_s)}")
        os.kill(child.pid, signal.SIGKILL)

    def _reap(self) -> None:
        """Every dead process is waited for, known or not: in a container the orphans of all are ours."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children:
                if child.pid == pid:
                    self._died(child, os.waitstatus_to_exitcode(status))

    def _died(self, child: Child, code: int) -> None:
        child.pid = 0
        if child.ready_fd >= 0:
            self._hear(child)  # a last word may still be in the pipe
            self._deafen(child)
        if child.role == "command":
            if self._stopping_s is None or self._stop_order[0] == "command":
                self._code = code if code >= 0 else 128 - code
            return self._stop(self._code)
        if not self._wanted(child):
            return None
        if self._hopeless(child, code):
            return self._stop(code if code == BAD_CONFIGURATION or (child.role == "control" and code > 0) else 1)
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        self.say("died", f"{child.name.capitalize()} ended {how} and is started again.")
        child.postpone(self._clock.monotonic_s())
        self._count(child.role)
        return None

    def _hopeless(self, child: Child, code: int) -> bool:
        """Whether a start has failed for good. Once calls are served nothing is: what dies is started again."""
        if child.role == "control" and not self._ready:
            if code != BAD_CONFIGURATION:  # then control itself has said what is wrong
                self.say("failed", f"Control ended before it was ready (exit code {code}).")
            return True
        if child.role != "worker" or self._listening:
            return False
        self._early_deaths += 1
        if code != BAD_CONFIGURATION and self._early_deaths < EARLY_DEATHS:
            return False
        self.say("failed", f"The workers do not start (exit code {code}).")
        return True

    def _count(self, role: Role) -> None:
        if role not in self._restarts:
            return
        self._restarts[role] += 1
        path = os.path.join(self.run_dir, "restarts.json")
        with contextlib.suppress(OSError):  # a full disk must not end the supervisor
            with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump(self._restarts, file)
            os.replace(path + ".new", path)

    # Signals and the end

    def _signals(self) -> None:
        for number in os.read(self._wake[0], 4096):
            if number == signal.SIGHUP:
                self._hang_up()
            elif number == signal.SIGTERM or (number == signal.SIGINT and not self._running("command")):
                # (a command in the foreground has had the Ctrl-C too, and it is its to decide)
                self._asked_to_stop(number)

    def _hang_up(self) -> None:
        if self._terminal and not _has_terminal():
            self._asked_to_stop(signal.SIGTERM)  # the terminal was closed: nobody asked for a reload
            return
        for child in self._running("control"):
            if child.ready_fd < 0:  # before it is ready it reads everything anyway, and has no handler yet
                os.kill(child.pid, signal.SIGHUP)

    def _asked_to_stop(self, number: int) -> None:
        now_s = self._clock.monotonic_s()
        if self._stopping_s is None:
            self.say("stopping", "Weir is stopping: running calls are finished, new ones are answered until they are.")
            self._stop(self._code)
        elif number == signal.SIGINT and now_s - self._stopping_s > 1.0:
            self._deadline_s = now_s  # a second Ctrl-C, and not the echo of the first: no more patience

    def _running(self, role: Role) -> list[Child]:
        return [child for child in self._children if child.pid and child.role == role]

    def _stop(self, code: int) -> None:
        if self._stopping_s is not None:
            return
        self._code = code
        self._stopping_s = self._clock.monotonic_s()
        self._stop_order = list(ORDER)
        self._terminate()

    def _grace_s(self, role: Role) -> float:
        return self.plan.unready_ms / 1000 + self.plan.drain_s + self.plan.spare_s if role == "worker" else 10.0

    def _terminate(self) -> None:
        role = self._stop_order[0]
        self._deadline_s = self._clock.monotonic_s() + self._grace_s(role)
        for child in self._children:
            if child.role == role:
                child.due_s = None
                if child.pid:
                    os.kill(child.pid, signal.SIGTERM)

    def _end(self, now_s: float) -> None:
        while self._stop_order and not self._running(self._stop_order[0]):
            self._stop_order.pop(0)
            if self._stop_order:
                self._terminate()
        if not self._stop_order:
            self.say("stopped", "Weir has stopped.")
            self._children.clear()
        elif now_s >= self._deadline_s:
            for child in self._running(self._stop_order[0]):
                self.say("killed", f"{child.name.capitalize()} did not end in time and is killed.")
                os.kill(child.pid, signal.SIGKILL)
            self._deadline_s = now_s + 1.0

    def _release(self) -> None:
        for child in self._children:  # only where we end by an error of our own
            if child.pid:
                os.kill(child.pid, signal.SIGTERM)
            self._deafen(child)
        for bound in self._sockets:
            bound.close()
        if self._wake[0] >= 0:
            signal.set_wakeup_fd(-1)
        self._selector.close()
        if self.run_dir:
            leave_run(self.run_dir, self.plan.data_dir)
        if self._lock_fd >= 0:
            os.ftruncate(self._lock_fd, 0)
        for fd in (*self._wake, *self._life, *self._gate, self._lock_fd):
            if fd >= 0:
                os.close(fd)


def _noted(number: int, frame: object) -> None:
    """The wake-up pipe has the number already; a handler must exist for that."""


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
