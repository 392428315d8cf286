from __future__ import annotations

import asyncio

from proxy.store.watch import LIMIT, Watch


async def test_a_reader_that_waits_is_woken() -> None:
    watch = Watch("a/")
    assert await anext(watch) == "a/"
    reading = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    watch.tell("b/1")
    watch.tell("a/1")
    assert await reading == "a/1"


async def test_too_many_changes_become_one_that_stands_for_all() -> None:
    watch = Watch("a/")
    for n in range(LIMIT + 5):
        watch.tell(f"a/{n}")
    watch.end()
    told = [key async for key in watch]
    assert told[0] == "a/" and len(told) <= LIMIT
