"""A stream on its way to the caller: what goes out at once, what is held, and who is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from proxy import wire
from proxy.chain import Chain
from proxy.clock import SystemClock
from proxy.errors import StreamCut
from proxy.exchange import Exchange, Target
from proxy.house import Trip
from proxy.ports import Headers
from proxy.pulse import Pulse
from proxy.streaming import Streaming
from proxy.tasks import Tasks
from tests import kit

ROLE = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"role":"assistant"},"finish_reason":null}]}\n\n'
WORD = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"word"},"finish_reason":null}]}\n\n'
ERROR = b'data: {"error":{"message":"overloaded"}}\n\n'
DONE = b"data: [DONE]\n\n"
CREATED = b'event: response.created\ndata: {"type":"response.created","response":{"id":"resp_1"}}\n\n'
DELTA = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"x"}\n\n'
ENDED = b'event: response.completed\ndata: {"type":"response.completed","response":{"id":"resp_1"}}\n\n'


class FakeReply:
    """Keeps what was written, and is full when told so."""

    def __init__(self) -> None:
        self.started = self.ended = False
        self.pieces: list[bytes] = []
        self.room = asyncio.Event()
        self.room.set()

    async def start(self, status: int, headers: Headers, lines: bytes = b"") -> None:
        self.started = True

    async def write(self, data: bytes) -> None:
        self.push(data)
        await self.ready()

    def push(self, data: bytes) -> bool:
        self.pieces.append(data)
        return self.room.is_set()

    async def ready(self) -> None:
        await self.room.wait()

    async def end(self, last: bytes = b"") -> None:
        self.pieces += [last] if last else []
        self.ended = True


class FakeAnswering:
    """A provider's stream whose pieces come when the test says so."""

    def __init__(self) -> None:
        self.status, self.reused = 200, True
        self.headers: Headers = [("content-type", "text/event-stream")]
        self.queue: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    def lines(self, changed: bool) -> None:
        return None

    async def chunks(self) -> AsyncIterator[bytes]:
        while piece := await self.queue.get():
            if isinstance(piece, Exception):
                raise piece
            yield piece


class Stage:
    """A stream under way between the fakes."""

    def __init__(self, dialect: Any = "chat", *, fallback: bool = False) -> None:
        made = kit.snapshot()
        self.call: Exchange = kit.exchange(made, {"model": "m", "stream": True, "messages": []})
        self.call.request.dialect = dialect
        self.call.fallbacks = [Target("second", "m")] if fallback else []
        self.remembered: list[tuple[str, int]] = []
        self.reply, self.answering = FakeReply(), FakeAnswering()
        now = SystemClock().monotonic_s
        chain = Chain(made, {}, now)
        tasks = Tasks(kit.FakeMetrics(), lambda name, error: None)
        self.pulse = Pulse(cast(Any, self.reply), now, tasks, self.call)
        route = chain.route("default", "m", self.call.request.path)
        trip = Trip(self.call, chain, cast(Any, None), cast(Any, self.reply), [], wire.codec(dialect), route)
        carried = Streaming(now, self.remember).carry(trip, cast(Any, self.answering), self.pulse)
        self.carrying = asyncio.ensure_future(carried)

    async def remember(self, _: Exchange, name: str) -> None:
        if name:
            self.remembered.append((name, len(self.reply.pieces)))

    async def come(self, *pieces: bytes | Exception) -> list[bytes]:
        """What the caller has after these pieces."""
        for piece in pieces:
            self.answering.queue.put_nowait(piece)
        for _ in range(20):
            await asyncio.sleep(0)
        return self.reply.pieces

    async def over(self) -> Any:
        self.answering.queue.put_nowait(b"")
        try:
            return await self.carrying
        finally:
            self.pulse.stop()


async def test_where_no_other_could_answer_the_first_event_goes_out_at_once() -> None:
    stage = Stage()
    await stage.come()
    assert stage.reply.started
    assert await stage.come(ROLE) == [ROLE]
    assert not stage.call.timeline.first
    assert await stage.come(WORD) == [ROLE, WORD]
    assert stage.call.timeline.first
    await stage.come(DONE)
    assert await stage.over() is None
    assert stage.reply.ended
    response = stage.call.response
    assert response is not None
    assert (response.complete, response.delivered_bytes) == (True, len(ROLE + WORD + DONE))


async def test_where_another_target_is_left_start_up_events_wait_for_content() -> None:
    stage = Stage(fallback=True)
    assert await stage.come(ROLE) == []
    assert not stage.reply.started
    assert await stage.come(WORD) == [ROLE + WORD]
    assert await stage.come(WORD) == [ROLE + WORD, WORD]
    await stage.over()


@pytest.mark.parametrize("failure", [ERROR, StreamCut("cut", code="cut")])
async def test_an_early_failure_is_for_the_other_target(failure: bytes | Exception) -> None:
    stage = Stage(fallback=True)
    assert await stage.come(ROLE, failure) == []
    found = await stage.over()
    assert found is not None
    assert found[0] is stage.call.fallbacks[0]
    assert not stage.reply.started


async def test_a_caller_that_reads_too_slowly_stops_the_provider() -> None:
    stage = Stage()
    await stage.come(ROLE, WORD)
    stage.reply.room.clear()
    assert await stage.come(WORD, WORD, WORD) == [ROLE, WORD, WORD]
    assert stage.answering.queue.qsize() == 2
    stage.reply.room.set()
    assert len(await stage.come()) == 5
    await stage.over()


async def test_the_id_of_a_kept_answer_is_remembered_before_its_content_is_shown() -> None:
    stage = Stage("responses")
    assert await stage.come(CREATED, DELTA, DELTA, ENDED) == [CREATED, DELTA, DELTA, ENDED]
    assert stage.remembered == [("resp_1", 1)]
    await stage.over()


async def test_an_event_that_was_cut_is_written_whole_or_at_the_end() -> None:
    stage = Stage()
    assert await stage.come(ROLE + WORD[:9]) == [ROLE]
    assert await stage.come(WORD[9:] + b": left") == [ROLE, WORD]
    await stage.over()
    assert stage.reply.pieces == [ROLE, WORD, b": left"]
