"""Who leads a flight may be in more of a hurry than who joined: these are not failed by it."""

from __future__ import annotations

import asyncio

import orjson

from proxy.live import Alias, Entry
from tests.asking import asking

PATH = "/v1/chat/completions"
SLOW = {"both": Alias("slow[[sim delay=0.4 status=503]]", None, ("good",))}
SENT = orjson.dumps({"model": "both", "temperature": 0, "messages": [{"role": "user", "content": "hi"}]})


async def test_a_fallback_is_tried_for_who_still_waits_when_the_leaders_time_is_up() -> None:
    async with asking(Entry("cache", "cache"), aliases=SLOW) as weir:
        leader = asyncio.create_task(weir.post(PATH, SENT, **{"x-weir-deadline-ms": "150"}))
        await weir.provider.until(lambda: len(weir.provider.requests) == 1)
        joined = await weir.post(PATH, SENT)
        assert (await leader).status == 504
        assert (joined.status, joined.headers["x-weir-model"]) == (200, "good")
        assert weir.provider.total == 2
        records = await weir.running.sink.wait_for(2)
        assert sorted(one["cache"] for one in records) == ["MISS", "MISS"]  # (who joined pays in the leader's place)
        paid = next(one for one in records if one["outcome"] == "ok")
        assert paid["cost_nano_usd"] > 0


async def test_no_fallback_is_tried_when_the_time_of_all_is_up() -> None:
    async with asking(Entry("cache", "cache"), aliases=SLOW) as weir:
        hurried = {"x-weir-deadline-ms": "150"}
        leader = asyncio.create_task(weir.post(PATH, SENT, **hurried))
        await weir.provider.until(lambda: len(weir.provider.requests) == 1)
        assert [(await weir.post(PATH, SENT, **hurried)).status, (await leader).status] == [504, 504]
        assert weir.provider.total == 1
