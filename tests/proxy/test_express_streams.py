"""Streams on the short way whose answer takes its time: a task waits for it then, and nothing else is different."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from proxy import tracks
from proxy.live import Streams
from tests.proxy.test_express_ends import attempts, ended, leave, served, talking
from tests.raw import hear
from tests.short_calls import STREAM, streaming

CALL = streaming()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.ride.SILENT_S", 0.02)
    monkeypatch.setattr(tracks, "SILENT_S", 0.02)


async def waiting(running: Any) -> None:
    """A task waits for the headers of the stream."""
    async with asyncio.timeout(5):
        while served(running).task is None:
            await asyncio.sleep(0.001)


async def test_a_late_answer_is_carried_as_any_other() -> None:
    async with talking(first=CALL) as (running, provider, (reader, writer)):
        gate = asyncio.Event()
        provider.scripts.append((gate, STREAM))
        writer.write(CALL)
        await provider.until_asked(3)
        assert cast(Any, served(running))._ride is not None and served(running).task is None
        await waiting(running)
        gate.set()
        heard = await hear(reader, more=True)
        assert heard.status == 200 and heard.body.endswith(b"data: [DONE]\n\n")
        writer.write(CALL)
        assert (await hear(reader, more=True)).status == 200
        await ended(running, 4)
        assert attempts(running) == {"ok": 4}
        assert {one["outcome"] for one in running.records} == {"ok"}


async def test_a_late_answer_is_begun_early_where_that_is_asked_for() -> None:
    async with talking(first=CALL, streams=Streams(early_answer_s=0.05)) as (running, provider, (reader, writer)):
        gate = asyncio.Event()
        provider.scripts.append((gate, STREAM))
        writer.write(CALL)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200") and not gate.is_set()
        gate.set()
        assert b"[DONE]" in await reader.readuntil(b"0\r\n\r\n")
        await ended(running, 3)


@pytest.mark.parametrize("how", ["close", "reset", "half"])
@pytest.mark.parametrize("late", [True, False])
async def test_a_caller_that_leaves_before_the_answer_ends_the_call(how: str, late: bool) -> None:
    async with talking(first=CALL) as (running, provider, (_, writer)):
        provider.scripts.append(("hang",))
        writer.write(CALL)
        await provider.until_asked(3)
        if late:
            await waiting(running)
        leave(writer, how)
        await ended(running, 3)
        assert attempts(running) == {"ok": 2, "cancelled": 1}
        assert [one["outcome"] for one in running.records] == ["ok", "ok", "cancelled"]
        await provider.until_ended()


async def test_a_connection_that_died_while_a_task_waited_costs_one_more_try() -> None:
    async with talking(first=CALL) as (running, provider, (reader, writer)):
        gate = asyncio.Event()
        provider.scripts.extend([(gate, "cut"), (STREAM,)])
        writer.write(CALL)
        await waiting(running)
        gate.set()
        assert (await hear(reader, more=True)).status == 200
        await ended(running, 3)
        assert running.records[-1]["outcome"] == "ok" and running.records[-1]["attempts"] == 1
