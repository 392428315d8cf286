"""What the supervisor is to start, and where. Standard library only, and little of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Plan(NamedTuple):
    """What to start, and where. A tuple, for `dataclasses` would cost more memory than the rest of the supervisor.

    Appended to `control`: `--run DIR --port N --ready-fd N --life-fd N`. Appended to `worker`: `--fd N --slot I
    --run DIR --drain-s S --unready-ms MS --ready-fd N --life-fd N` and with TLS `--tls-cert FILE --tls-key FILE`
    (`--tls-client-ca FILE`).
    In every argument `{run}`, `{port}` and `{url}` are replaced, in the values of `command_environment` too.
    """

    control: tuple[str, ...]
    worker: tuple[str, ...]
    data_dir: str
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    tls: tuple[str, ...] | None = None
    """Certificate, its key, and where callers may show one the authorities for it."""
    drain_s: float = 30.0
    unready_ms: float = 0.0
    admin: tuple[str, ...] = ()
    """Further arguments of control: its listener."""
    extras: tuple[tuple[str, ...], ...] = ()
    """Servers that belong to this Weir alone, such as an embedded Valkey."""
    folders: tuple[str, ...] = ()
    """Of the data directory: where extras write."""
    environment: Mapping[str, str] | None = None
    command: tuple[str, ...] = ()
    """The command of `weir run`: started when Weir listens, and Weir ends with it, with its exit code."""
    command_environment: Mapping[str, str] | None = None
    first: Mapping[str, Callable[[Sequence[str], Sequence[int]], int]] | None = None
    """Processes that wait for their orders, by the name of their place: called once, in place of a start, with its
    argv and descriptors (to tell that it is ready, of our life, and the place's own); returns the pid."""
    gate: bool = False
    """Workers know `--gate-fd N`: a pipe that ends when they may begin."""
    ready_s: float = 60.0
    """How long control may take to get ready."""
    hang_s: float = 0.0
    """A worker whose event loop has been held for so long is killed and started again; 0: never. Then workers are not
    given `--beat-s S`, how often they are to say that it turns."""
    spare_s: float = 5.0
    """What workers get beyond `drain_s` before they are killed."""
