from __future__ import annotations

import asyncio
from typing import Any, cast

from proxy.cork import FEW, Cork


class Transport:
    """Notes what is written, with its own name."""

    def __init__(self, name: str, seen: list[tuple[str, bytes]]) -> None:
        self.name, self.seen, self.closed = name, seen, False

    def write(self, data: bytes) -> None:
        self.seen.append((self.name, data))

    def is_closing(self) -> bool:
        return self.closed


def parts(calls: int) -> tuple[Cork, Any, Any, list[tuple[str, bytes]]]:
    cork, seen = Cork(), cast("list[tuple[str, bytes]]", [])
    cork.calls = range(calls)
    return cork, Transport("provider", seen), Transport("caller", seen), seen


async def test_with_few_calls_every_write_is_made_at_once() -> None:
    cork, provider, caller, seen = parts(FEW - 1)
    cork.downward(caller, b"1")
    cork.upward(provider, b"2")
    assert seen == [("caller", b"1"), ("provider", b"2")] and not cork.full


async def test_with_many_the_writes_of_a_turn_go_out_together_those_to_providers_first() -> None:
    cork, provider, caller, seen = parts(FEW)
    cork.downward(caller, b"1")
    cork.upward(provider, b"2")
    cork.downward(caller, b"3")
    assert seen == [] and cork.full
    await asyncio.sleep(0)
    assert seen == [("provider", b"2"), ("caller", b"1"), ("caller", b"3")] and not cork.full


async def test_what_waits_is_not_overtaken_when_the_calls_become_few() -> None:
    cork, provider, _, seen = parts(FEW)
    cork.upward(provider, b"1")
    cork.calls = ()
    cork.upward(provider, b"2")
    await asyncio.sleep(0)
    assert seen == [("provider", b"1"), ("provider", b"2")]


async def test_pulling_writes_at_once_and_only_once() -> None:
    cork, provider, _, seen = parts(FEW)
    cork.upward(provider, b"1")
    cork.pull()
    cork.upward(provider, b"2")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert seen == [("provider", b"1"), ("provider", b"2")]


async def test_what_was_closed_meanwhile_takes_nothing() -> None:
    cork, provider, caller, seen = parts(FEW)
    cork.upward(provider, b"1")
    cork.downward(caller, b"2")
    provider.closed = True
    await asyncio.sleep(0)
    assert seen == [("caller", b"2")]
