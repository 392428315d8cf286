"""What a child owes the supervisor: the word that it is ready, and leaving when the supervisor is gone.

All goes over inherited pipes. `--ready-fd` is the child's own: one line when it can serve, and where a worker is to
show that its event loop is not held, a byte now and then. `--life-fd` is shared and
nobody ever writes to it: it ends when the supervisor dies, however it dies, and that is the sign to drain and exit.
`--gate-fd` is a worker's, and ends when control is ready.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
from collections.abc import Callable, Mapping


def ready(fd: int, facts: Mapping[str, object] | None = None) -> None:
    """Tells the supervisor that this process serves. `facts` (`admin_port` ...) go into the lock file. Once only."""
    line = json.dumps(dict(facts or {})) + "\n"
    try:
        os.write(fd, line.encode())
    except BrokenPipeError:
        pass  # the supervisor is gone; the other pipe says so too
    finally:
        os.close(fd)


def beat(fd: int, loop: asyncio.AbstractEventLoop, every_s: float) -> None:
    """As `ready`, and then says again and again, from the loop, that it turns."""
    os.set_blocking(fd, False)

    def say(word: bytes = b".") -> None:
        try:
            os.write(fd, word)
        except BlockingIOError:
            pass  # the supervisor itself is held: it has enough to read
        except BrokenPipeError:
            os.close(fd)
            return
        loop.call_later(every_s, say)

    say(b"{}\n")


def watch(fd: int, loop: asyncio.AbstractEventLoop, gone: Callable[[], None]) -> None:
    """Calls `gone` once, from the loop, when the supervisor is dead."""

    def readable() -> None:
        if os.read(fd, 1):
            return
        loop.remove_reader(fd)
        os.close(fd)
        gone()

    os.set_blocking(fd, False)
    loop.add_reader(fd, readable)


def admitted(gate_fd: int, life_fd: int) -> bool:
    """Waits until the gate opens, which is a pipe that ends; False where the supervisor died instead."""
    if gate_fd < 0:
        return True
    os.read(gate_fd, 1)
    os.close(gate_fd)
    return life_fd < 0 or not select.select([life_fd], [], [], 0)[0]
