"""Writes to sockets, collected while many calls run and made in one go when the event loop has heard everybody.

Each write is a system call, and one that wakes its reader costs several that find it awake. What is for providers goes
out first: they work while the answers to callers are written. With few calls under way there is nothing to gain, and a
write is made at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sized

FEW = 4
"""Fewer calls than this do not wait for each other."""


class Cork:
    """Of one event loop. Whoever writes to a transport by another way calls `pull` first, so that order is kept."""

    __slots__ = ("_down", "_loop", "_up", "callers", "calls", "full", "turn")

    def __init__(self) -> None:
        self.calls: Sized = ()
        """Those under way: kept by the server."""
        self.callers: Sized = ()
        """Connections, kept by the server: where there are many, calls that are answered as soon as they come, of which
        none is ever under way, may have come together."""
        self.full = False
        """Something waits to be written."""
        self.turn = 0
        """So often has been written what waited."""
        self._loop: asyncio.AbstractEventLoop | None = None
        """Asked for once: each time costs a system call."""
        self._up: list[tuple[asyncio.Transport, bytes]] = []
        self._down: list[tuple[asyncio.Transport, bytes]] = []

    def upward(self, transport: asyncio.Transport, data: bytes) -> None:
        """To a provider."""
        if self.full:
            self._up.append((transport, data))
        elif len(self.calls) < FEW:
            transport.write(data)
        else:
            self._up.append((transport, data))
            self._fill()

    def downward(self, transport: asyncio.Transport, data: bytes) -> None:
        """To a caller."""
        if self.full:
            self._down.append((transport, data))
        elif len(self.callers) < FEW and len(self.calls) < FEW:
            transport.write(data)
        else:
            self._down.append((transport, data))
            self._fill()

    def _fill(self) -> None:
        self.full = True
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self.pull)

    def pull(self) -> None:
        """Writes what waits; what has been closed meanwhile takes nothing more."""
        if not self.full:
            return
        up, down = self._up, self._down
        self._up, self._down, self.full = [], [], False
        self.turn += 1
        up += down
        for transport, data in up:
            if transport.is_closing():
                continue
            try:
                transport.write(data)
            except Exception:  # noqa: BLE001  one that cannot be written to must not keep the others from it
                transport.abort()
