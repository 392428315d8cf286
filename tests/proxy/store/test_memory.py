from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.store.memory import MemoryStore
from tests.contracts.store import Allowance, PassS, StoreContract
from tests.kit import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> MemoryStore:
    return MemoryStore(clock)


@pytest.fixture
def pass_s(clock: FakeClock) -> PassS:
    async def pass_s(seconds: float) -> None:
        clock.now_s += seconds

    return pass_s


class TestMemory(StoreContract):
    """The contract, on a fake clock."""


async def test_the_least_recently_used_leaves_first(clock: FakeClock) -> None:
    store = MemoryStore(clock, max_entries=3)
    for key in "abc":
        await store.put(key, b"1")
    await store.get("a")
    await store.put("d", b"1")
    assert [key for key in "abcd" if await store.get(key)] == ["a", "c", "d"]


async def test_the_bytes_are_bounded_too(clock: FakeClock) -> None:
    store = MemoryStore(clock, max_bytes=10_000)
    for n in range(100):
        await store.put(str(n), b"x" * 1000)
        await store.append("log", b"y" * 50, limit=1000)
        assert store.used_bytes <= 10_000
    assert 0 < len(store) < 10


async def test_a_value_larger_than_the_store_is_not_kept_and_takes_nothing_with_it(clock: FakeClock) -> None:
    store = MemoryStore(clock, max_bytes=10_000)
    await store.put("a", b"1")
    await store.put("b", b"x" * 20_000)
    assert await store.get("b") is None
    assert await store.get("a") == b"1"


async def test_an_emptied_store_counts_no_bytes(clock: FakeClock) -> None:
    store = MemoryStore(clock)
    await store.put("a", b"1" * 100)
    await store.add("n", 1)
    await store.append("log", b"2" * 50, 2)
    await store.append("log", b"2" * 5, 1)
    await store.take([Allowance("b", 5, 1.0)], [2])
    for key in ("a", "n", "log", "b"):
        assert await store.delete(key)
    assert store.used_bytes == 0


async def test_a_watch_that_is_not_read_stays_bounded_and_says_that_it_missed_something(clock: FakeClock) -> None:
    store = MemoryStore(clock)
    watch = store.watch("k/")
    for n in range(5_000):
        await store.put(f"k/{n}", b"")
    await store.stop()
    told = [key async for key in watch]
    assert len(told) <= 1_000
    assert told[0] == "k/"


@given(st.lists(st.tuples(st.integers(1, 12), st.floats(0, 3)), max_size=40))
async def test_no_window_yields_more_than_capacity_and_refill(steps: list[tuple[int, float]]) -> None:
    clock = FakeClock()
    store = MemoryStore(clock)
    bucket = Allowance("b", 10, refill_per_s=2.0)
    start_s, given_out = clock.now_s, 0
    for amount, pause_s in steps:
        if (await store.take([bucket], [amount])).ok:
            given_out += amount
        assert given_out <= 10 + 2.0 * (clock.now_s - start_s) + 1e-6
        clock.now_s += pause_s
