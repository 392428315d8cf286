"""Connecting to a host of several addresses."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from proxy.upstream import dial

V4, V6 = socket.AF_INET, socket.AF_INET6


@pytest.fixture
def there() -> Iterator[dial.Address]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(8)
        yield V4, listening.getsockname()


def closed() -> dial.Address:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return V4, sock.getsockname()


async def test_the_next_address_is_tried_at_once_when_one_fails(there: dial.Address) -> None:
    async with asyncio.timeout(dial.DELAY_S):
        sock = await dial.dial([closed(), closed(), there])
    assert sock.getpeername() == there[1]
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    sock.close()


async def test_the_next_address_is_tried_beside_one_that_does_not_answer(
    there: dial.Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dial, "DELAY_S", 0.02)
    with socket.socket() as full:  # takes no more connections than its backlog holds
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        held = []
        for _ in range(2):
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
            held.append(waiting)
        sock = await dial.dial([(V4, full.getsockname()), there])
        assert sock.getpeername() == there[1]
        for each in [sock, *held]:
            each.close()


async def test_the_error_is_that_of_the_last_address() -> None:
    with pytest.raises(ConnectionRefusedError):
        await dial.dial([closed(), closed()])
    with pytest.raises(OSError, match="no address"):
        await dial.dial([])


def test_families_take_turns() -> None:
    a, b, c, d = (V6, "a"), (V6, "b"), (V6, "c"), (V4, "d")
    assert dial.in_turn([a, b, c, d]) == [a, d, b, c]
    assert dial.in_turn([]) == []


async def test_a_literal_address_is_its_own() -> None:
    assert await dial.resolve("127.0.0.1", 80) == [(V4, ("127.0.0.1", 80))]
    with pytest.raises(socket.gaierror):
        await dial.resolve("no-such-name.invalid", 80)
