"""A TCP connection to one of a host's addresses: the next is tried when one failed, or was slow to answer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest
from typing import Any

DELAY_S = 0.25
"""An address has so long before the next is tried beside it (RFC 8305)."""

Address = tuple[int, Any]
"""Family and socket address."""


async def resolve(host: str, port: int) -> list[Address]:
    """The addresses of a host, families in turn. Raises OSError (socket.gaierror) or UnicodeError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return in_turn([(family, address) for family, _, _, _, address in found])


def in_turn(addresses: Iterable[Address]) -> list[Address]:
    """Families in turn, beginning with that of the first: where one does not work at all, the next is the other."""
    by_family: dict[int, list[Address]] = {}
    for address in addresses:
        by_family.setdefault(address[0], []).append(address)
    return [address for address in chain(*zip_longest(*by_family.values())) if address is not None]


async def dial(addresses: Sequence[Address]) -> socket.socket:
    """The first connection that stands; the others are closed. Raises the OSError of the last that failed."""
    if len(addresses) == 1:
        return await _connect(addresses[0])
    failed: Exception = OSError("no address")
    running: set[asyncio.Task[socket.socket]] = set()
    waiting = list(addresses)
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.create_task(_connect(waiting.pop(0))))
            done, running = await asyncio.wait(
                running, timeout=DELAY_S if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                error = task.exception()
                if error is None:
                    running |= done - {task}
                    return task.result()
                failed = error if isinstance(error, OSError) else failed
    finally:
        for task in running:
            task.cancel()
            task.add_done_callback(_drop)
    raise failed


async def _connect(address: Address) -> socket.socket:
    sock = socket.socket(address[0], socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, address[1])
    except BaseException:
        sock.close()
        raise
    return sock


def _drop(task: asyncio.Task[socket.socket]) -> None:
    """Of a connection that came too late."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()
