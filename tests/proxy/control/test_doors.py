"""Control's ports: bound before anything stands behind them, and only where they are free."""

from __future__ import annotations

import socket

import pytest

from proxy.control.doors import doors_at, port_of


async def test_who_calls_before_anything_serves_waits_in_line() -> None:
    doors = await doors_at("127.0.0.1", 0)
    with doors[0], socket.create_connection(("127.0.0.1", port_of(doors)), 1.0) as caller:
        assert caller.getpeername()[1] == port_of(doors)


async def test_a_name_with_several_addresses_has_one_port() -> None:
    doors = await doors_at("localhost", 0)
    assert {door.getsockname()[1] for door in doors} == {port_of(doors)}
    for door in doors:
        door.close()


async def test_a_port_in_use_is_refused() -> None:
    doors = await doors_at("127.0.0.1", 0)
    with doors[0], pytest.raises(OSError, match="in use"):
        await doors_at("127.0.0.1", port_of(doors))
