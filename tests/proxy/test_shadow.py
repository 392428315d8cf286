"""The store in shadow: the same verbs, in a room of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from proxy.chain import SHADOW
from proxy.shadow import ShadowStore
from proxy.store.memory import MemoryStore
from tests.kit import FakeClock
from tests.plugins_for_tests import Pot


@contextmanager
def shadow() -> Iterator[None]:
    token = SHADOW.set(True)
    try:
        yield
    finally:
        SHADOW.reset(token)


async def test_what_shadow_writes_enforcing_calls_do_not_read_and_the_other_way_round() -> None:
    store = ShadowStore(MemoryStore(FakeClock()))
    pot = Pot("pot", 1, 0.0)
    await store.put("value", b"real")
    with shadow():
        assert await store.get("value") is None
        assert await store.put_if("value", b"would", None)
        assert not await store.put_if("value", b"x", b"real")
        await store.put("other", b"would")
        assert await store.add("count", 5) == 5
        assert (await store.take([pot], [1])).ok
        assert await store.delete("value")
        await store.append("log", b"line", 10)
    assert await store.get("value") == b"real"
    assert await store.get("other") is None
    assert await store.add("count", 1) == 1
    assert (await store.take([pot], [1])).ok
    assert not (await store.take([pot], [1])).ok
    assert not await store.delete("other")


async def test_a_watch_in_shadow_is_told_of_what_shadow_writes() -> None:
    store = ShadowStore(MemoryStore(FakeClock()))
    with shadow():
        watch = store.watch("a")
        assert await anext(watch) == "shadow:a"
        await store.put("ab", b"1")
        assert await anext(watch) == "shadow:ab"
