"""The shelf in memory: never above its bytes, and what goes is what the strategy says."""

from __future__ import annotations

import random
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.cache.entry import ENTRY_BYTES, Entry, Filter
from plugins.cache.memory import Memory, Strategy
from plugins.cache.sketch import MOST, Sketch
from tests.plugins.cache.calls import entry

STRATEGIES: tuple[Strategy, ...] = ("lru", "lfu")
SIZE = ENTRY_BYTES + 100
BODY = b"x" * 100


def key(number: int) -> bytes:
    return random.Random(number).randbytes(16)


def held(memory: Memory, *numbers: int) -> list[int]:
    kept = {found for found, _ in memory.entries()}
    return [number for number in numbers if key(number) in kept]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_kept_is_found_until_it_is_dropped(strategy: Strategy) -> None:
    memory = Memory(100 * SIZE, strategy)
    made = entry(BODY)
    assert memory.find(key(1)) is None
    memory.keep(key(1), made)
    assert memory.find(key(1)) is made and memory.peek(key(1)) is made
    assert (len(memory), memory.used_bytes) == (1, SIZE)
    assert memory.drop(key(1)) and not memory.drop(key(1))
    assert memory.find(key(1)) is None and memory.used_bytes == 0


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_larger_than_all_there_may_be_is_not_kept(strategy: Strategy) -> None:
    memory = Memory(2 * SIZE, strategy)
    memory.keep(key(1), entry(BODY))
    memory.keep(key(1), entry(b"x" * 10_000))
    assert len(memory) == 0, "nor is what it would have replaced"


def test_lru_lets_go_what_was_not_used_for_longest() -> None:
    memory = Memory(3 * SIZE)
    for number in (1, 2, 3):
        memory.keep(key(number), entry(BODY))
    memory.find(key(1))
    memory.keep(key(4), entry(BODY))
    assert held(memory, 1, 2, 3, 4) == [1, 3, 4]
    assert memory.evicted == 1


def test_lfu_keeps_what_is_asked_for_often_when_many_come_once() -> None:
    """A scan of ten times as many as there is room for takes what is popular away from `lru`, and not from `lfu`."""
    kept = {}
    for strategy in STRATEGIES:
        memory = Memory(200 * SIZE, strategy)
        popular = range(100)
        for number in [*popular] * 5:
            if memory.find(key(number)) is None:
                memory.keep(key(number), entry(BODY))
        for number in range(1000, 3000):
            if memory.find(key(number)) is None:
                memory.keep(key(number), entry(BODY))
        kept[strategy] = len(held(memory, *popular))
    assert kept["lru"] == 0
    assert kept["lfu"] >= 95


def test_lfu_has_fewer_misses_than_lru_where_few_are_popular() -> None:
    misses = {}
    for strategy in STRATEGIES:
        memory, draw, found = Memory(100 * SIZE, strategy), random.Random(7), 0
        for _ in range(20_000):
            place = key(int(draw.paretovariate(0.7)) % 5000)
            if memory.find(place) is not None:
                found += 1
            else:
                memory.keep(place, entry(BODY))
        misses[strategy] = 20_000 - found
    assert misses["lfu"] < 0.85 * misses["lru"]


def test_lfu_forgets_what_was_popular_once() -> None:
    memory = Memory(50 * SIZE, "lfu")
    for _ in range(20):
        for number in range(50):
            if memory.find(key(number)) is None:
                memory.keep(key(number), entry(BODY))
    for _ in range(400):
        for number in range(100, 150):
            if memory.find(key(number)) is None:
                memory.keep(key(number), entry(BODY))
    assert len(held(memory, *range(100, 150))) > 40


WORK = st.lists(st.tuples(st.sampled_from("kfd"), st.integers(0, 30), st.integers(0, 3000)), max_size=120)


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(work=WORK)
def test_it_never_holds_more_than_it_may_and_counts_what_it_holds(
    strategy: Strategy, work: list[tuple[str, int, int]]
) -> None:
    memory, last = Memory(20_000, strategy), dict[bytes, Entry]()
    for what, number, size in work:
        if what == "k":
            memory.keep(key(number), last.setdefault(key(number), entry(b"x" * size)))
        elif what == "f":
            found = memory.find(key(number))
            assert found is None or found is last[key(number)]
        else:
            memory.drop(key(number))
            last.pop(key(number), None)
        assert memory.used_bytes <= memory.most_bytes
        assert memory.used_bytes == sum(each.size_bytes for _, each in memory.entries())
        assert len(memory) == len({place for place, _ in memory.entries()})


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_bytes_it_counts_are_not_less_than_it_takes(strategy: Strategy) -> None:
    tracemalloc.start()
    try:
        memory = Memory(64 * 1024 * 1024, strategy)
        before = tracemalloc.get_traced_memory()[0]
        for number in range(2000):
            texts: dict[str, Any] = {
                "tenant": f"t{number}", "agent": f"a{number}", "model": f"m{number}", "served": f"s{number}",
                "id": f"chatcmpl-{number:030}", "call": f"wr_{number:030}", "person": bytes(16),
            }  # fmt: skip
            memory.keep(key(number), entry(bytes(500 + number), **texts))
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken <= memory.used_bytes <= 2 * taken


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_all_that_a_filter_describes_goes(strategy: Strategy) -> None:
    memory = Memory(10**6, strategy)
    for number, agent in enumerate(("a", "b", "a", "c")):
        memory.keep(key(number), entry(BODY, agent=agent, id=f"x{number}", person=agent.encode()))
    memory.find(key(0))
    assert memory.forget(Filter(agent="a")) == 2
    assert held(memory, 0, 1, 2, 3) == [1, 3]
    assert memory.forget(Filter(id="x3", agent="b")) == 0
    assert memory.forget(Filter(id="x3")) == 1
    assert memory.forget(Filter(person=b"b", before_s=999.0)) == 0, "it was made later"
    assert memory.forget(Filter(person=b"b", before_s=1000.0)) == 1
    assert (len(memory), memory.used_bytes) == (0, 0)


def test_a_sketch_never_counts_too_little_and_forgets() -> None:
    sketch = Sketch(10)
    for _ in range(9):
        sketch.add(key(1))
    assert sketch.count(key(1)) >= 9 > sketch.count(key(2))
    for _ in range(100):
        sketch.add(key(3))
    assert sketch.count(key(3)) == MOST
    for number in range(20_000):
        sketch.add(key(number + 100))
    assert sketch.count(key(3)) < MOST
