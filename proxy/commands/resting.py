"""The run-time changes of a Weir that does not run: listed, undone and exported in its data directory itself.

Whoever may write there needs no token. The lock of the directory is held meanwhile, so that no Weir starts in between;
the next start notes in the audit trail what was undone so.
"""

from __future__ import annotations

import fcntl
import getpass
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from proxy.clock import SystemClock
from proxy.commands.admin import AdminError
from proxy.configuration import overlay as overlays
from proxy.configuration.overlay import OFFLINE, Overlay
from proxy.errors import ConfigError

LOCK = "weir.lock"


def changes(data: Path) -> Any:
    """As `GET /admin/v1/overlay` gives them. Raises AdminError."""
    with _held(data, os.O_RDONLY):
        return overlays.listed(_read(data))


def export(data: Path) -> str:
    """What is in effect, as YAML. Which file it is for nobody knows: as for one that names no plugins and upstreams,
    where that can be. Raises AdminError."""
    with _held(data, os.O_RDONLY):
        return _read(data).export(overlays.WHOLE)


def undo(data: Path, ids: Sequence[int]) -> list[Any]:
    """All of them or none; gives the changes as they are now. Raises AdminError."""
    with _held(data, os.O_RDWR | os.O_CREAT):
        made = _read(data)
        for number in ids:
            made = _without(made, number)
        path = data / overlays.NAME
        before = path.stat()
        try:
            overlays.write(path, made)
            _give(path, before)
        except OSError as error:
            raise AdminError(f"{path} cannot be written: {error.strerror}") from error
    return [overlays.shown(change) for number in ids for change in made.changes if change.id == number]


def _without(overlay: Overlay, number: int) -> Overlay:
    found = next((change for change in overlay.changes if change.id == number), None)
    if found is None:
        raise AdminError(f"there is no change {number} to undo")
    if found.undone_at is not None:
        raise AdminError(f"change {number} is already undone")
    return overlay.undo(number, who=f"{_user()} {OFFLINE}", at=SystemClock().wall_s())


def _read(data: Path) -> Overlay:
    try:
        return overlays.read(data / overlays.NAME)
    except ConfigError as error:
        raise AdminError(str(error)) from error


@contextmanager
def _held(data: Path, flags: int) -> Iterator[None]:
    """No Weir has the directory, and none gets it meanwhile; a directory without a lock has none. Raises AdminError."""
    if not data.is_dir():
        raise AdminError(f"there is no data directory {data}: name it with --data, or a running Weir with --url")
    path = data / LOCK
    new = not path.exists()
    if new and not flags & os.O_CREAT:
        yield
        return
    try:
        lock = os.open(path, flags | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise AdminError(f"{path} cannot be used: {error.strerror}; a Weir may run there as another user") from error
    try:
        if new:
            _give(path, data.stat())
        if not _locked(lock):
            raise AdminError(
                f"a Weir holds {data}, and its admin API does not answer: it starts, ends or hangs; try again"
            )
        yield
    finally:
        os.close(lock)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _give(path: Path, like: os.stat_result) -> None:
    """What root writes stays the file of whom Weir runs as."""
    if os.geteuid() == 0:
        os.chown(path, like.st_uid, like.st_gid)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name
        return f"uid {os.getuid()}"
