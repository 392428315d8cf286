"""What every `ports.Store` must do: subclass `StoreContract`, give `store` and `pass_s`."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

import pytest

from proxy.ports import Store, Taken

PassS = Callable[[float], Awaitable[None]]


class LoggingStore(Store, Protocol):
    async def tail(self, log: str, limit: int) -> list[bytes]: ...


@dataclass(frozen=True)
class Allowance:
    key: str
    capacity: int
    refill_per_s: float = 0.0
    ttl_s: float = 0.0
    slots: bool = False


class StoreContract:
    """`pass_s` lets the store's own clock pass: a fake one is moved, a real one waited for."""

    async def test_what_was_put_is_got(self, store: LoggingStore) -> None:
        await store.put("a", b"\x00\xffvalue")
        assert await store.get("a") == b"\x00\xffvalue"
        assert await store.get("b") is None

    async def test_a_value_is_gone_after_its_ttl(self, store: LoggingStore, pass_s: PassS) -> None:
        await store.put("a", b"1", ttl_s=0.02)
        await store.put("b", b"2")
        await pass_s(0.03)
        assert await store.get("a") is None
        assert await store.get("b") == b"2"

    async def test_putting_again_takes_the_ttl_away(self, store: LoggingStore, pass_s: PassS) -> None:
        await store.put("a", b"1", ttl_s=0.02)
        await store.put("a", b"2")
        await pass_s(0.03)
        assert await store.get("a") == b"2"

    async def test_many_are_put_in_one_go(self, store: LoggingStore, pass_s: PassS) -> None:
        await store.put("a", b"old")
        await store.put_all({"a": b"1", "b": b"\x00"}, ttl_s=0.02)
        await store.put_all({"c": b"3"})
        await store.put_all({})
        assert [await store.get(key) for key in "abc"] == [b"1", b"\x00", b"3"]
        await pass_s(0.04)
        assert [await store.get(key) for key in "abc"] == [None, None, b"3"]

    async def test_put_if_writes_only_over_what_was_expected(self, store: LoggingStore) -> None:
        assert await store.put_if("a", b"1", None)
        assert not await store.put_if("a", b"2", None)
        assert not await store.put_if("a", b"2", b"0")
        assert not await store.put_if("b", b"2", b"")
        assert await store.put_if("a", b"2", b"1")
        assert await store.get("a") == b"2"

    async def test_put_if_can_expire(self, store: LoggingStore, pass_s: PassS) -> None:
        assert await store.put_if("a", b"1", None, ttl_s=0.02)
        await pass_s(0.03)
        assert await store.put_if("a", b"2", None)

    async def test_of_many_who_expect_absence_one_wins(self, store: LoggingStore) -> None:
        won = await asyncio.gather(*(store.put_if("lease", str(n).encode(), None) for n in range(20)))
        assert won.count(True) == 1

    async def test_delete_says_whether_there_was_something(self, store: LoggingStore) -> None:
        await store.put("a", b"1")
        assert await store.delete("a")
        assert not await store.delete("a")
        assert await store.get("a") is None

    async def test_a_counter_counts_and_reads_as_a_value(self, store: LoggingStore) -> None:
        assert await store.add("n", 3) == 3
        assert await store.add("n", -5) == -2
        assert await store.get("n") == b"-2"
        await store.put("m", b"40")
        assert await store.add("m", 2) == 42

    async def test_a_counters_ttl_starts_when_it_does(self, store: LoggingStore, pass_s: PassS) -> None:
        await store.add("n", 1, ttl_s=0.05)
        await pass_s(0.03)
        await store.add("n", 1, ttl_s=0.05)
        await pass_s(0.03)
        assert await store.add("n", 1, ttl_s=0.05) == 1

    async def test_concurrent_adds_are_all_counted(self, store: LoggingStore) -> None:
        await asyncio.gather(*(store.add("n", 1) for _ in range(50)))
        assert await store.get("n") == b"50"

    async def test_take_is_all_or_none(self, store: LoggingStore) -> None:
        wide, narrow = Allowance("wide", 100), Allowance("narrow", 3)
        taken = await store.take([wide, narrow], [10, 3])
        assert taken.ok and list(taken.left) == [90, 0] and taken.wait_s == 0
        refused = await store.take([wide, narrow], [10, 1])
        assert not refused.ok and list(refused.left) == [90, 0]
        assert list((await store.take([wide], [0])).left) == [90]

    async def test_take_says_when_it_would_work_and_then_it_does(self, store: LoggingStore, pass_s: PassS) -> None:
        bucket = Allowance("b", 10, refill_per_s=200.0)
        assert (await store.take([bucket], [10])).ok
        refused = await store.take([bucket], [8])
        assert not refused.ok and 0 < refused.wait_s <= 0.04
        await pass_s(refused.wait_s + 0.002)
        assert (await store.take([bucket], [8])).ok

    async def test_a_bucket_never_holds_more_than_its_capacity(self, store: LoggingStore, pass_s: PassS) -> None:
        bucket = Allowance("b", 5, refill_per_s=1000.0)
        await store.take([bucket], [5])
        await pass_s(0.02)
        assert list((await store.take([bucket], [0])).left) == [5]

    async def test_what_can_never_be_taken_waits_for_ever(self, store: LoggingStore) -> None:
        for bucket in (Allowance("small", 5, refill_per_s=10.0), Allowance("dry", 5)):
            taken = await store.take([bucket], [6])
            assert not taken.ok and math.isinf(taken.wait_s)

    async def test_a_negative_amount_gives_back_up_to_the_capacity(self, store: LoggingStore) -> None:
        bucket = Allowance("b", 10)
        await store.take([bucket], [8])
        assert list((await store.take([bucket], [-3])).left) == [5]
        assert list((await store.take([bucket], [-30])).left) == [10]

    async def test_concurrent_takes_never_hand_out_more_than_there_is(self, store: LoggingStore) -> None:
        bucket = Allowance("b", 30)
        taken = await asyncio.gather(*(store.take([bucket], [7]) for _ in range(20)))
        assert sum(each.ok for each in taken) == 4

    async def test_amounts_and_buckets_must_pair(self, store: LoggingStore) -> None:
        with pytest.raises(ValueError):
            await store.take([Allowance("b", 1)], [])
        assert (await store.take([], [])).ok

    async def test_reservations_are_all_or_none(self, store: LoggingStore) -> None:
        wide, narrow = Allowance("r/wide", 100), Allowance("r/narrow", 3)
        taken = await reserved(store, [wide, narrow], [10, 2])
        assert taken.ok and list(taken.left) == [90, 1]
        refused = await reserved(store, [wide, narrow], [10, 2])
        assert not refused.ok and math.isinf(refused.wait_s)
        assert (await reserved(store, [wide], [90])).ok

    async def test_a_refused_reservation_says_when_it_would_work(self, store: LoggingStore) -> None:
        bucket = Allowance("r/rate", 10, refill_per_s=1.0)
        assert (await reserved(store, [bucket], [10])).ok
        refused = await reserved(store, [bucket], [5])
        assert not refused.ok and 4 < refused.wait_s <= 5

    async def test_what_was_not_used_is_given_back(self, store: LoggingStore) -> None:
        bucket = Allowance("r/back", 10)
        assert (await reserved(store, [bucket], [8])).ok
        store.settle([bucket], [-6])
        assert (await reserved(store, [bucket], [8])).ok
        assert not (await reserved(store, [bucket], [1])).ok

    async def test_a_bucket_may_owe(self, store: LoggingStore) -> None:
        bucket = Allowance("r/debt", 10)
        assert (await reserved(store, [bucket], [8])).ok
        store.settle([bucket], [6])
        store.settle([bucket], [-4])
        assert not (await reserved(store, [bucket], [1])).ok
        store.settle([bucket], [-1])
        assert (await reserved(store, [bucket], [1])).ok

    async def test_concurrent_reservations_never_hand_out_more_than_there_is(self, store: LoggingStore) -> None:
        bucket = Allowance("r/many", 30)
        taken = await asyncio.gather(*(reserved(store, [bucket], [7]) for _ in range(20)))
        assert sum(each.ok for each in taken) == 4

    async def test_slots_are_in_use_until_they_are_given_back(self, store: LoggingStore) -> None:
        bucket = Allowance("r/slots", 2, slots=True)
        assert [(await reserved(store, [bucket], [1])).ok for _ in range(3)] == [True, True, False]
        store.settle([bucket], [-1])
        assert [(await reserved(store, [bucket], [1])).ok for _ in range(2)] == [True, False]

    async def test_a_bucket_that_was_made_larger_has_more_and_forgets_nothing(self, store: LoggingStore) -> None:
        assert (await reserved(store, [Allowance("r/grown", 10)], [10])).ok
        assert not (await reserved(store, [Allowance("r/grown", 10)], [1])).ok
        assert (await reserved(store, [Allowance("r/grown", 15)], [5])).ok
        assert not (await reserved(store, [Allowance("r/grown", 15)], [1])).ok

    async def test_a_log_keeps_its_newest(self, store: LoggingStore) -> None:
        for n in range(7):
            await store.append("log", str(n).encode(), limit=3)
        assert await store.tail("log", 2) == [b"6", b"5"]
        assert await store.tail("log", 10) == [b"6", b"5", b"4"]
        assert await store.tail("other", 10) == []

    async def test_a_key_holds_one_kind_of_thing(self, store: LoggingStore) -> None:
        await store.put("text", b"abc")
        await store.append("log", b"1", 5)
        await store.take([Allowance("bucket", 5, 0.001)], [1])
        for misuse in (store.add("text", 1), store.get("log"), store.get("bucket"), store.append("text", b"", 5)):
            with pytest.raises(ValueError):
                await misuse

    async def test_a_watch_begins_with_its_prefix_and_tells_changes(self, store: LoggingStore) -> None:
        await store.put("live/old", b"1")
        watch = store.watch("live/")
        async with closing(watch), asyncio.timeout(2):
            assert await anext(watch) == "live/"
            await store.put("live?x", b"1")
            await store.put("other", b"1")
            await store.put("live/a", b"1")
            assert await anext(watch) == "live/a"
            await store.put_if("live/b", b"1", None)
            assert await anext(watch) == "live/b"
            await store.delete("live/a")
            assert await anext(watch) == "live/a"


async def reserved(store: Store, buckets: list[Allowance], amounts: list[int]) -> Taken:
    taken = store.reserve(buckets, amounts)
    return await taken if isinstance(taken, asyncio.Future) else taken


def closing(watch: AsyncIterator[str]) -> aclosing[AsyncIterator[str]]:  # type: ignore[type-var]
    return aclosing(watch)  # type: ignore[type-var]
