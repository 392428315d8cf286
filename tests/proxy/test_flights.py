"""Calls that are alike share one upstream call: JSON and streams, on the short way and the regular one."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import aiohttp
import orjson
import pytest

from proxy.delivery import onward
from proxy.exchange import Exchange, Target
from proxy.flights import BEHIND_S, HELD_BYTES, Flights
from proxy.live import Entry
from proxy.plugin import NoOptions, Plugin
from tests import kit
from tests.plugins_for_tests import Edits
from tests.worker import DEFAULT, Running, weir

HERE = "tests.proxy.test_flights"


class Shares(Plugin[NoOptions]):
    """All calls with the same text share one upstream call."""

    name = "shares"

    async def request(self, exchange: Exchange) -> None:
        exchange.flight = "".join(segment.text for segment in exchange.request.segments) + str(exchange.request.stream)
        exchange.cache = "MISS"


class Waits(Shares):
    """Keeps calls from the short way."""

    async def request(self, exchange: Exchange) -> None:
        await asyncio.sleep(0)
        await super().request(exchange)


def chain(way: str) -> Any:
    return (*DEFAULT, Entry("shares", f"{HERE}:{'Shares' if way == 'short' else 'Waits'}"))


def body(text: str, **more: Any) -> bytes:
    return orjson.dumps({"model": "m-1", "messages": [{"role": "user", "content": text}], **more})


async def say(session: aiohttp.ClientSession, running: Running, text: str, **more: Any) -> tuple[int, bytes, str]:
    path = running.url + "/chat/completions"
    async with session.post(path, data=body(text, **more), headers={"content-type": "application/json"}) as answer:
        return answer.status, await answer.read(), answer.headers.get("x-weir-cache", "")


async def joined(running: Running, text: str, way: str, stream: bool) -> None:
    """Until a second call has joined the first. (Who leads on the short way is not aboard: it reads for itself, but for
    a stream after half a second.)"""
    flight = running.worker.pipeline.flights._open[text + str(stream)]
    async with asyncio.timeout(5):
        while flight._aboard < 1 + (way == "long" or stream):
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("way", ["short", "long"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_hundred_alike_are_one_upstream_call_and_all_get_the_same(way: str, stream: bool) -> None:
    more = {"stream": True} if stream else {}
    async with weir(*chain(way)) as running, aiohttp.ClientSession() as session:
        await say(session, running, "warm up")
        before = running.provider.total
        said = [say(session, running, "[[sim delay=0.3 chunks=5 text=hello]]", **more) for _ in range(100)]
        answers = await asyncio.gather(*said)
        assert running.provider.total == before + 1
        assert {status for status, _, _ in answers} == {200}
        assert len({content for _, content, _ in answers}) == 1 and b"[DONE]" in (
            answers[0][1] if stream else b"[DONE]"
        )
        states = sorted(state for _, _, state in answers)
        assert states == ["COALESCED"] * 99 + ["MISS"]
        records = (await running.sink.wait_for(101))[1:]
        paid = [record for record in records if record["attempts"]]
        assert [record["cache"] for record in paid] == ["MISS"]
        followers = [record for record in records if not record["attempts"]]
        assert {(record["cost_nano_usd"], record["usage_source"]) for record in followers} == {(0, "cached")}


@pytest.mark.parametrize("way", ["short", "long"])
@pytest.mark.parametrize("stream", [False, True])
async def test_who_leads_may_leave_and_the_others_have_their_answer(way: str, stream: bool) -> None:
    more = {"stream": True} if stream else {}
    async with weir(*chain(way)) as running, aiohttp.ClientSession() as session:
        await say(session, running, "warm up")
        text = "[[sim delay=1.5 text=hello]]"
        leader = asyncio.ensure_future(say(session, running, text, **more))
        await running.provider.until(lambda: running.provider.total == 2)
        follower = asyncio.ensure_future(say(session, running, text, **more))
        await joined(running, text, way, stream)
        leader.cancel()
        status, content, _ = await follower
        assert status == 200 and b"content" in content
        assert running.provider.total == 2 and not running.provider.cancelled
        records = (await running.sink.wait_for(3))[1:]
        (paid,) = [record for record in records if record["outcome"] == "ok"]
        assert (paid["cache"], paid["usage_source"]) == ("MISS", "provider"), "who waits longest pays"
        assert paid["cost_nano_usd"] > 0
        assert not running.worker.pipeline.flights._open


async def test_of_three_the_one_who_stays_pays_and_it_is_paid_once() -> None:
    async with weir(*chain("long")) as running, aiohttp.ClientSession() as session:
        text = "[[sim delay=1 text=hello]]"
        calls = []
        for count in (1, 2, 3, 4):
            calls.append(asyncio.ensure_future(say(session, running, text)))
            await running.provider.until(lambda: running.provider.total == 1)
            flight = running.worker.pipeline.flights._open[text + "False"]
            async with asyncio.timeout(5):
                while flight._aboard < count:
                    await asyncio.sleep(0.001)
        calls[1].cancel()
        calls[0].cancel()
        states = [(await call)[2] for call in calls[2:]]
        assert states == ["MISS", "COALESCED"]
        records = await running.sink.wait_for(4)
        costs = {record["cache"]: record["cost_nano_usd"] for record in records if record["outcome"] == "ok"}
        assert costs["MISS"] > 0 == costs["COALESCED"]


@pytest.mark.parametrize("way", ["short", "long"])
@pytest.mark.parametrize("stream", [False, True])
async def test_with_the_last_who_waits_the_upstream_call_ends(way: str, stream: bool) -> None:
    more = {"stream": True} if stream else {}
    async with weir(*chain(way)) as running, aiohttp.ClientSession() as session:
        await say(session, running, "warm up")
        text = "[[sim delay=20]]"
        calls = [asyncio.ensure_future(say(session, running, text, **more))]
        await running.provider.until(lambda: running.provider.total == 2)
        calls.append(asyncio.ensure_future(say(session, running, text, **more)))
        await joined(running, text, way, stream)
        for call in calls:
            call.cancel()
        await running.provider.until(lambda: len(running.provider.cancelled) == 1)
        assert running.provider.total == 2
        assert not running.worker.pipeline.flights.joinable("[[sim delay=20]]" + str(stream))


@pytest.mark.parametrize("way", ["short", "long"])
async def test_an_error_of_the_provider_is_everybodys(way: str) -> None:
    async with weir(*chain(way)) as running, aiohttp.ClientSession() as session:
        await say(session, running, "warm up")
        said = [say(session, running, "[[sim delay=0.3 status=400]]") for _ in range(3)]
        assert {status for status, _, _ in await asyncio.gather(*said)} == {400}
        assert running.provider.total == 2


@pytest.mark.parametrize("way", ["short", "long"])
async def test_a_late_joiner_of_a_stream_gets_all_of_it(way: str) -> None:
    async with weir(*chain(way)) as running, aiohttp.ClientSession() as session:
        text = "[[sim chunks=10 interval=0.05 text=abcdefghijklmnopqrstuvwxyz]]"
        first = asyncio.ensure_future(say(session, running, text, stream=True))
        key = text + "True"
        await running.provider.until(lambda: running.provider.total == 1)
        async with asyncio.timeout(5):
            while not running.worker.pipeline.flights._open[key].pieces:
                await asyncio.sleep(0.01)
        late = await say(session, running, text, stream=True)
        assert (await first)[1] == late[1]
        assert late[2] == "COALESCED" and running.provider.total == 1


async def test_every_call_goes_through_its_own_filters() -> None:
    edits = Entry("edits", f"{Edits.__module__}:Edits", options={"word": "nothing"})
    async with weir(*DEFAULT, edits, Entry("shares", f"{HERE}:Shares")) as running, aiohttp.ClientSession() as session:
        said = [say(session, running, "[[sim delay=0.2 text=hello]]") for _ in range(2)]
        assert [content for _, content, _ in await asyncio.gather(*said)].count(b"") == 0


async def test_alike_but_not_at_once_are_calls_of_their_own() -> None:
    async with weir(*chain("short")) as running, aiohttp.ClientSession() as session:
        for _ in range(3):
            assert (await say(session, running, "again"))[2] == "MISS"
        assert running.provider.total == 3


async def test_a_large_answer_is_not_joined_any_more_and_is_whole() -> None:
    size = 2 * HELD_BYTES
    async with weir(*chain("long")) as running, aiohttp.ClientSession() as session:
        text = f"[[sim size={size} interval=0.001]]"
        first = asyncio.ensure_future(say(session, running, text, stream=True))
        key = text + "True"
        async with asyncio.timeout(10):
            while running.provider.total < 1 or running.worker.pipeline.flights.joinable(key):
                await asyncio.sleep(0.01)
        second = await say(session, running, text, stream=True)
        assert second[2] == "MISS" and running.provider.total == 2
        assert len((await first)[1]) > size and len(second[1]) > size


class Source:
    """An answer that comes as the test says."""

    status, reused = 200, False
    headers = ()

    def __init__(self, pieces: int, size: int) -> None:
        self.sent = 0
        self.closed = False
        self._pieces, self._size = pieces, size

    async def chunks(self) -> Any:
        for _ in range(self._pieces):
            self.sent += 1
            yield b"x" * self._size

    def close(self) -> None:
        self.closed = True


class Beside:
    """`Tasks.spawn` in the test's loop."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[Any]] = []

    def spawn(self, name: str, work: Any) -> None:
        self.tasks.append(asyncio.ensure_future(work))


def flying(key: str = "k") -> Any:
    line = SimpleNamespace(sent=0.0, headers=0.0)
    caller = SimpleNamespace(deadline_s=None)
    exchange = SimpleNamespace(flight=key, verdicts=[], cache="", attempts=0, timeline=line, caller=caller, target=None)
    return SimpleNamespace(exchange=exchange, withhold=False, gather=False)


async def test_a_reader_that_falls_behind_is_cut_off_and_the_other_is_not() -> None:
    now_s = 0.0
    flights, source = Flights(lambda: now_s, Beside()), Source(40, HELD_BYTES // 8)  # type: ignore[arg-type]

    async def send() -> Any:
        return source, None, None

    fast, slow = await asyncio.gather(flights.ride(flying(), send)(), flights.ride(flying(), send)())
    lazy = slow[0].chunks()
    await anext(lazy)
    got = 0

    async def read() -> None:
        nonlocal got
        async for piece in fast[0].chunks():
            got += len(piece)

    reading = asyncio.ensure_future(read())
    for _ in range(50):
        await asyncio.sleep(0)
    assert got < 20 * HELD_BYTES // 8, "the fast one waits for the slow one at first"
    now_s += BEHIND_S + 1
    await anext(lazy)  # moves, and is told that its time is over
    await reading
    assert got == 40 * HELD_BYTES // 8
    with pytest.raises(Exception, match="too slowly"):
        async for _ in lazy:
            pass
    assert source.closed


async def test_a_single_slow_reader_makes_the_provider_wait() -> None:
    flights, source = Flights(lambda: 0.0, Beside()), Source(400, HELD_BYTES // 8)  # type: ignore[arg-type]

    async def send() -> Any:
        return source, None, None

    answering, *_ = await flights.ride(flying(), send)()
    chunks: Any = answering.chunks()
    await anext(chunks)
    for _ in range(100):
        await asyncio.sleep(0)
    assert source.sent < 20
    await chunks.aclose()
    answering.close()
    for _ in range(10):
        await asyncio.sleep(0)
    assert source.closed


class Full(Beside):
    """Takes nothing more."""

    def spawn(self, name: str, work: Any) -> None:
        work.close()


async def test_where_nothing_more_may_run_beside_the_calls_each_asks_for_itself() -> None:
    flights, source = Flights(lambda: 0.0, Full()), Source(1, 10)  # type: ignore[arg-type]

    async def send() -> Any:
        return source, None, None

    answering: Any = (await asyncio.wait_for(flights.ride(flying(), send)(), 1))[0]
    assert answering is source and not flights._open


def test_who_is_sent_on_shares_with_who_would_send_the_same_to_the_same() -> None:
    def sent_on(text: str, model: str = "strong", **doc: Any) -> str:
        exchange = kit.exchange(doc={"model": "m", "messages": [{"role": "user", "content": text}], **doc})
        exchange.target = Target("sim", model)
        return onward(exchange, "k")

    assert sent_on("hi") == sent_on("hi") != ""
    assert len({sent_on("hi"), sent_on("ho"), sent_on("hi", "stronger"), sent_on("hi", seed=1)}) == 4
    assert sent_on("hi", seed=10**30) == ""
