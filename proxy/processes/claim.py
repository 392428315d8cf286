"""What one Weir claims for itself before anything starts: the data directory, its run directory, the port.

The lock is a flock on an open file, which control inherits too: it is free when both are dead, however they died, and
not before. So a start that follows a killed supervisor waits for the old control to commit and leave; two writers
never meet in one database. Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterable

from proxy.clock import SystemClock

LOCK = "weir.lock"
SOCKET_PATH_BYTES = 100
"""A unix socket's path must fit into 108 bytes; some systems have 104."""
BACKLOG = 4096
LEFT_OVER = ("control.sock", "base.json", "restarts.json")


class Refusal(Exception):
    """Why Weir does not start, in one sentence."""


def claim_data(data_dir: str, patience_s: float, folders: Iterable[str] = ()) -> tuple[int, bool]:
    """Makes the directory, 0700, with `folders` in it, and takes its lock; returns the lock's descriptor, and whether
    whoever had it before was killed (an orderly end leaves the file empty). Raises `Refusal` saying who holds it.

    A lock whose holder is dead is still held by that holder's control process, which is leaving: it is waited for.
    """
    try:
        os.makedirs(data_dir, mode=0o700, exist_ok=True)
        for folder in folders:
            os.makedirs(os.path.join(data_dir, folder), mode=0o700, exist_ok=True)
        fd = os.open(os.path.join(data_dir, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Refusal(f"The data directory {data_dir} cannot be used: {error.strerror}.") from error
    clock = SystemClock()
    deadline_s = clock.monotonic_s() + patience_s
    while not _try_lock(fd):
        holder = read_holder(fd)
        if _alive(holder) or clock.monotonic_s() > deadline_s:
            os.close(fd)
            raise Refusal(_held(data_dir, holder))
        time.sleep(0.02)
    killed = bool(read_holder(fd))
    write_holder(fd, {"pid": os.getpid()})
    return fd, killed


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _alive(holder: dict[str, object]) -> bool:
    pid = holder.get("pid")
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _held(data_dir: str, holder: dict[str, object]) -> str:
    who = f"process {holder['pid']}" if "pid" in holder else "another process"
    where = f", which serves {holder['host']} port {holder['port']}" if "port" in holder else ""
    end = "stop it, or choose another directory with --data"
    if "pid" in holder and not _alive(holder):
        who = f"what process {holder['pid']} left running when it was killed"
    return f"The data directory {data_dir} is held by {who}{where}: {end}."


def read_holder(fd: int) -> dict[str, object]:
    """What the lock's holder wrote about itself: pid, host, port, admin_port, run. Empty where nothing can be read."""
    try:
        found = json.loads(os.pread(fd, 4096, 0))
    except (ValueError, OSError):
        return {}
    return found if isinstance(found, dict) else {}


def write_holder(fd: int, facts: dict[str, object]) -> None:
    """Best effort: the lock itself is what counts, and a full disk is no reason not to serve."""
    raw = json.dumps(facts).encode()
    with contextlib.suppress(OSError):
        os.pwrite(fd, raw, 0)
        os.ftruncate(fd, len(raw))


def claim_run(data_dir: str) -> str:
    """The run directory, empty of what an earlier Weir left in it. In the temporary directory where the path of the
    data directory is too long for a unix socket."""
    run = os.path.join(os.path.abspath(data_dir), "run")
    if len(os.fsencode(os.path.join(run, "control.sock"))) > SOCKET_PATH_BYTES:
        run = os.path.join(os.environ.get("TMPDIR") or "/tmp", f"weir-{os.urandom(6).hex()}")  # noqa: S108 random, 0700
        os.mkdir(run, mode=0o700)
        return run
    try:
        os.makedirs(run, mode=0o700, exist_ok=True)
        for name in os.listdir(run):
            if name in LEFT_OVER or name.startswith(("page-", ".page-")):
                os.unlink(os.path.join(run, name))
    except OSError as error:
        raise Refusal(f"The run directory {run} cannot be used: {error.strerror}.") from error
    return run


def leave_run(run: str, data_dir: str) -> None:
    """Takes a temporary run directory away again; one in the data directory stays for whoever wants to look."""
    if run.startswith(os.path.abspath(data_dir)):
        return
    with contextlib.suppress(OSError):
        for name in os.listdir(run):
            os.unlink(os.path.join(run, name))
        os.rmdir(run)


def claim_port(host: str, port: int, slots: int, patience_s: float = 0.0) -> list[socket.socket]:
    """One listening socket per worker slot, all on the same port; port 0 takes a free one. With patience a port in use
    is waited for: the workers of a supervisor that was killed are about to leave it.

    Sockets with SO_REUSEPORT share a port with any other program of the same user that sets it as well, silently. So
    the first bind is made without it: it fails where anybody listens already.
    """
    family, address = _resolve(host, port)
    clock = SystemClock()
    deadline_s = clock.monotonic_s() + patience_s
    while True:
        try:
            return _bind_all(family, address, slots)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or clock.monotonic_s() >= deadline_s:
                raise Refusal(_unbound(host, port, error)) from error
        time.sleep(0.02)


def _bind_all(family: int, address: tuple[object, ...], slots: int) -> list[socket.socket]:
    first = _listen(family, address, share=False)
    if slots == 1:
        return [first]
    address = first.getsockname()
    first.close()
    shared: list[socket.socket] = []
    try:
        for _ in range(slots):
            shared.append(_listen(family, address, share=True))
    except OSError:
        for taken in shared:
            taken.close()
        raise
    return shared


def _resolve(host: str, port: int) -> tuple[int, tuple[object, ...]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise Refusal(f"The host {host} is not an address of this machine: {error}.") from error
    found.sort(key=lambda one: one[0] != socket.AF_INET)  # a name with both (localhost): IPv4, as clients expect
    return found[0][0], found[0][4]


def _listen(family: int, address: tuple[object, ...], *, share: bool) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6 and address[0] == "::":
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # "::" serves both families
        bound.bind(address)
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


def _unbound(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is in use by another program: stop it, or choose another with --port."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"Port {port} on {host} may not be opened by this user: choose one above 1023 with --port."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"The host {host} is not an address of this machine."
    return f"Port {port} on {host} cannot be opened: {error.strerror}."
