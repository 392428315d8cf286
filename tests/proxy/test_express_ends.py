"""How calls of the short way end where not both sides stay: nothing leaks, and each has one record."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest
import uvloop

from proxy import boarding
from proxy.clock import SystemClock
from proxy.live import CallerKey, Entry, Identity, Limits, Upstream
from proxy.ride import Ride
from proxy.server.connection import Connection
from proxy.store.memory import MemoryStore
from tests.prompt_plugins import prompt
from tests.raw import Answer, hear, post
from tests.scripted import Scripted, answer
from tests.short_calls import STREAM, respond, responding, streaming
from tests.worker import DEFAULT, Running, settings, weir

CALL = post(b'{"model":"m","messages":[{"role":"user","content":"hi"}]}')
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def talking(
    *chain: Entry, calls: int = 2, first: bytes = CALL, **changes: Any
) -> AsyncIterator[tuple[Running, Scripted, Pair]]:
    """A worker, its provider, and a connection on which calls have been answered, so that the next is a short one."""
    async with Scripted() as provider, weir(*chain, provider=cast(Any, provider), **changes) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        try:
            for _ in range(calls):
                writer.write(first)
                assert (await hear(reader, more=True)).status
            await running.sink.wait_for(calls)
            yield running, provider, (reader, writer)
        finally:
            writer.close()


def served(running: Running) -> Connection:
    (found,) = cast(Any, running.worker.front)._server.connections
    return cast(Connection, found)


def ride(running: Running) -> Ride:
    found = cast(Any, served(running))._ride
    assert isinstance(found, Ride)
    return found


def attempts(running: Running) -> dict[str, float]:
    values = cast(Any, running.worker)._parts.metrics.values
    counted = {labels: n for (name, labels), n in values.items() if name == "weir_upstream_attempts_total"}
    return {dict(labels)["outcome"]: n for labels, n in counted.items()}


async def ended(running: Running, calls: int) -> None:
    """All is over, and there are so many records."""
    await running.sink.wait_for(calls)
    async with asyncio.timeout(5):
        while running.worker.front.running or running.worker.pipeline.running:
            await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(running.records) == calls
    assert cast(Any, running.worker)._parts.metrics.values["weir_in_flight", ()] == 0


def leave(writer: asyncio.StreamWriter, how: str) -> None:
    if how == "half":
        writer.write_eof()
        return
    if how == "reset":
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def run(work: Callable[[], Awaitable[None]], loop: str) -> None:
    async def main() -> None:
        await work()

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("short", [True, False])
@pytest.mark.parametrize("how", ["close", "reset", "half"])
def test_a_caller_that_leaves_ends_the_call_to_the_provider(how: str, short: bool, loop: str) -> None:
    async def work() -> None:
        async with talking() as (running, provider, (reader, writer)):
            if not short:
                cast(Any, running.worker.front)._server.express = None
            provider.scripts.append(("hang",))
            writer.write(CALL)
            await provider.until_asked(3)
            assert not short or ride(running)
            leave(writer, how)
            await ended(running, 3)
            await provider.until_ended()
            assert running.records[-1]["outcome"] == "cancelled"
            assert attempts(running) == {"ok": 2, "cancelled": 1}
            if how == "half":
                assert await reader.read() == b""

    run(work, loop)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("what", ["text", "refuse", "fail", "target", ""])
def test_a_call_that_has_begun_is_ended_although_its_caller_left_at_once(what: str, loop: str) -> None:
    """Its hooks have run: their ends run too, and there is a record."""

    async def work() -> None:
        upstreams = (Upstream("other", "http://127.0.0.1:9"),)
        async with talking(*DEFAULT, prompt(what), upstreams=upstreams) as (running, provider, _):
            connection = served(running)
            connection.data_received(CALL)
            connection.eof_received()
            await ended(running, 3)
            assert len(provider.asked) <= 3

    run(work, loop)


async def test_a_caller_that_left_while_the_answer_came_is_recorded_once() -> None:
    async with talking() as (running, provider, (_, writer)):
        provider.scripts.append(("hang",))
        writer.write(CALL)
        await provider.until_asked(3)
        upstream = cast(Any, ride(running))._arrival._connection
        transport = served(running).transport
        assert transport is not None
        transport.abort()
        upstream.data_received(answer())
        await ended(running, 3)
        assert running.records[-1]["outcome"] == "cancelled"
        assert attempts(running) == {"ok": 3}


LONG = post(b'{"model":"m","messages":[{"role":"user","content":"%b"}]}' % (b"x" * 300_000))


@pytest.mark.parametrize("short", [True, False])
@pytest.mark.parametrize("how", ["close", "reset", "half"])
async def test_a_caller_that_leaves_in_its_body_is_recorded_once(how: str, short: bool) -> None:
    async with talking() as (running, provider, (_, writer)):
        if not short:
            cast(Any, running.worker.front)._server.express = None
        writer.write(LONG[:90_000])
        async with asyncio.timeout(5):
            while not running.worker.front.running:
                await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)
        leave(writer, how)
        await ended(running, 3)
        last = running.records[-1]
        assert (last["outcome"], last["surface"], last["path"]) == ("cancelled", "chat", "/v1/chat/completions")
        assert len(provider.asked) == 2


@pytest.mark.parametrize("stop", [True, False])
async def test_a_body_that_takes_its_time_is_waited_for_by_a_task(stop: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boarding, "PATIENCE_S", 0.01)
    async with talking() as (running, _, (reader, writer)):
        writer.write(LONG[:90_000])
        async with asyncio.timeout(5):
            while not running.worker.pipeline.running:
                await asyncio.sleep(0.001)
        assert served(running).task is not None
        if stop:
            served(running).cancel()
            assert b"shutting down" in (await hear(reader, more=True)).body
        else:
            writer.write(LONG[90_000:])
            assert (await hear(reader, more=True)).status == 200
        await ended(running, 3)
        assert running.records[-1]["outcome"] == ("cancelled" if stop else "ok")


async def test_a_worker_that_stops_while_a_body_comes_says_so() -> None:
    async with talking() as (running, _, (reader, writer)):
        writer.write(LONG[:90_000])
        async with asyncio.timeout(5):
            while not running.worker.front.running:
                await asyncio.sleep(0)
        served(running).cancel()
        assert b"shutting down" in (await hear(reader, more=True)).body
        await ended(running, 3)
        assert running.records[-1]["outcome"] == "cancelled"


class Waiting(MemoryStore):
    """Writes when it is told to."""

    at_once = False

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.asked, self.told = asyncio.Event(), asyncio.Event()

    async def put_all(self, values: Mapping[str, bytes], ttl_s: float | None = None) -> None:
        self.asked.set()
        await self.told.wait()
        await super().put_all(values, ttl_s)


@pytest.mark.parametrize("how", ["close", "reset", "half", "stay"])
async def test_an_answer_waits_until_it_is_remembered_and_is_recorded_once_if_its_caller_leaves(how: str) -> None:
    async with talking(first=respond()) as (running, provider, (reader, writer)):
        store = cast(Any, running.worker.pipeline).house.held._store = Waiting()
        provider.scripts.append(responding())
        writer.write(respond())
        await store.asked.wait()
        waiting = ride(running)
        if how != "stay":
            leave(writer, how)
            async with asyncio.timeout(5):
                while not cast(Any, waiting)._over:
                    await asyncio.sleep(0)
        store.told.set()
        assert how != "stay" or (await hear(reader, more=True)).status == 200
        await ended(running, 3)
        assert running.records[-1]["outcome"] == ("ok" if how == "stay" else "cancelled")
        assert attempts(running) == {"ok": 3}
        assert len(store) == 2


async def test_calls_in_one_read_are_answered_in_their_order() -> None:
    async with talking() as (running, provider, (reader, writer)):
        for number in range(5):
            provider.scripts.append((answer(b'{"n":%d}' % number),))
        writer.write(CALL * 5)
        assert [(await hear(reader, more=True)).body for _ in range(5)] == [b'{"n":%d}' % n for n in range(5)]
        await ended(running, 7)


async def test_a_caller_that_does_not_read_is_not_answered_without_end() -> None:
    body = b'{"id":"c","object":"chat.completion","choices":[],"pad":"%b"}' % (b"x" * 50_000)
    async with talking() as (running, provider, (_, writer)):
        transport = served(running).transport
        assert transport is not None
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        cast(asyncio.Transport, writer.transport).pause_reading()
        for number in range(200):
            provider.scripts.append((answer(body),))
            writer.write(CALL)
            for _ in range(100):
                if len(provider.asked) > number + 2:
                    break
                await asyncio.sleep(0.001)
            else:
                break
        assert served(running).paused
        assert transport.get_write_buffer_size() < 4 * len(body)


async def test_a_call_that_met_dead_connections_goes_out_twice_and_not_more() -> None:
    async with talking() as (running, provider, (reader, writer)):
        provider.scripts.append(("hang",))
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", running.port)
        provider.scripts.clear()
        line = cast(Any, running.worker.client)._ways["sim"]
        gate = answer()
        provider.scripts.extend([(gate[:50], gate[50:]), (gate,)])
        writer.write(CALL)
        other_writer.write(CALL)
        assert (await hear(reader, more=True)).status == (await hear(other_reader, more=True)).status == 200
        other_writer.close()
        assert len(line._idle) == 2
        asked = len(provider.asked)
        provider.scripts.extend([("cut",), ("cut",), ("cut",)])
        writer.write(CALL)
        assert (await hear(reader, more=True)).status == 502
        assert len(provider.asked) == asked + 2


@pytest.mark.parametrize("short", [True, False])
async def test_draining_takes_new_callers_as_long_as_a_call_runs(short: bool) -> None:
    async with talking() as (running, provider, (reader, writer)):
        front = running.worker.front
        if not short:
            cast(Any, front)._server.express = None
        provider.scripts.append(("hang",))
        writer.write(CALL)
        await provider.until_asked(3)
        draining = asyncio.ensure_future(front.drain(5))
        await asyncio.sleep(0.03)
        late_reader, late_writer = await asyncio.open_connection("127.0.0.1", running.port)
        late_writer.write(CALL)
        late = await hear(late_reader)
        late_writer.close()
        assert (late.status, late.closed, draining.done()) == (200, True, False)
        await front.stop(1)
        heard = await hear(reader)
        assert (heard.status, heard.closed, await draining) == (503, True, 0)
        await ended(running, 4)


@pytest.mark.parametrize("short", [True, False])
async def test_a_worker_that_stops_ends_what_hangs(short: bool) -> None:
    async with talking() as (running, provider, (reader, writer)):
        if not short:
            cast(Any, running.worker.front)._server.express = None
        provider.scripts.append(("hang",))
        writer.write(CALL)
        await provider.until_asked(3)
        await running.worker.stop(0.05)
        assert (await hear(reader)).status == 503
        await provider.until_ended()
        assert [record["outcome"] for record in running.records] == ["ok", "ok", "cancelled"]
        assert running.worker.pipeline.running == 0


async def test_new_settings_hold_from_the_next_call_on() -> None:
    key = CallerKey("k", hashlib.sha256(b"weir-k").hexdigest())
    call = post(b'{"model":"m","messages":[]}', b"Authorization: Bearer weir-k")
    changes: dict[str, Any] = {"identity": Identity(keys=(key,)), "upstream": {"key": "sk-one"}}
    async with Scripted() as provider, weir(provider=cast(Any, provider), **changes) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)

        async def ask() -> Answer:
            writer.write(call)
            return await hear(reader, more=True)

        async def swap(**changes: Any) -> None:
            await running.worker.swap(settings(provider.url, *DEFAULT, **changes))

        assert [(await ask()).status for _ in range(3)] == [200] * 3
        await swap(**{**changes, "upstream": {"key": "sk-two"}})
        assert (await ask()).status == 200
        assert b"Bearer sk-two" in provider.asked[-1][0]
        await swap(**{**changes, "identity": Identity(keys=(replace(key, models=("other",)),))})
        assert (await ask()).status == 403
        await swap(**{**changes, "identity": Identity(keys=())})
        assert (await ask()).status == 401
        await swap(**changes)
        assert (await ask()).status == 200
        await swap(**changes, limits=Limits(body_bytes=4))
        assert (await ask()).status == 413
        writer.close()


async def test_a_head_that_is_too_large_by_now_is_refused() -> None:
    async with talking() as (running, provider, (reader, writer)):
        await running.worker.swap(settings(provider.url, *DEFAULT, limits=Limits(header_bytes=20)))
        writer.write(CALL)
        assert (await hear(reader, more=True)).status == 431


GUARDS = [
    *DEFAULT,
    Entry("ratelimit", "plugins.ratelimit.plugin:RateLimit",
          options={"limits": [{"by": "agent", "requests_per_minute": 1000, "tokens_per_minute": 1_000_000}]}),
    Entry("injection", "plugins.injection.plugin:Injection"),
    Entry("pii", "plugins.pii.plugin:Pii"),
    Entry("output_filter", "plugins.output_filter.plugin:OutputFilter"),
]  # fmt: skip


def naming(first: bytes) -> bytes:
    """The call with somebody's address in it."""
    head, _, body = first.partition(b"\r\n\r\n")
    body = body.replace(b'content":"', b'content":"To jane.roe@example.org: ', 1)
    return re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % len(body), head) + b"\r\n\r\n" + body


@pytest.mark.parametrize("first", [CALL, streaming()], ids=["json", "stream"])
@pytest.mark.parametrize("guarded", [False, True], ids=["bare", "guarded"])
async def test_a_call_leaves_no_garbage_that_only_a_collection_finds(first: bytes, guarded: bool) -> None:
    calls = naming(first) if guarded else first
    async with talking(*(GUARDS if guarded else ()), calls=4, first=calls) as (running, provider, (reader, writer)):
        gc.collect()
        gc.disable()
        try:
            good = answer() if first == CALL else (STREAM[:-200], STREAM[-200:])
            for script in ((good,) if first == CALL else good, (answer(b"{}", status=b"500 Oh"),), ("cut",)):
                provider.scripts.append(cast(Any, script))
                writer.write(calls)
                assert (await hear(reader, more=True)).status
            await ended(running, 7)
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            kept = {type(one).__name__ for one in gc.garbage}
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
    assert not kept & {"Ride", "Exchange", "Arrival", "Incoming", "Reply", "Connection", "Trip", "Standing", "Flow"}
