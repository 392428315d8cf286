"""The listening sockets of control's ports, bound before there is anything behind them."""

from __future__ import annotations

import asyncio
import socket

BACKLOG = 128


async def doors_at(host: str, port: int) -> list[socket.socket]:
    """A listening socket for every address of the host, all on one port where any free one was asked for. OSError where
    one cannot be had."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    doors: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((each[0], each[4]) for each in found):
            doors.append(_listen(family, (address[0], port_of(doors) if doors else port, *address[2:])))
    except OSError:
        for door in doors:
            door.close()
        raise
    return doors


def port_of(doors: list[socket.socket]) -> int:
    return int(doors[0].getsockname()[1])


def _listen(family: int, address: tuple[object, ...]) -> socket.socket:
    door = socket.socket(family, socket.SOCK_STREAM)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            door.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        door.bind(address)
        door.listen(BACKLOG)
        door.setblocking(False)
    except OSError:
        door.close()
        raise
    return door
