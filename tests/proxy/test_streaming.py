"""A stream on its way to the caller: what goes out at once, what is held, and who is waited for."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy import wire
from proxy.chain import Chain
from proxy.clock import SystemClock
from proxy.errors import StreamCut, UpstreamFailed
from proxy.exchange import Exchange, Target
from proxy.house import Trip
from proxy.live import Timeouts
from proxy.ports import Headers
from proxy.pulse import Pulse
from proxy.streaming import Streaming
from proxy.tasks import Tasks
from proxy.upstream.connection import Connection
from tests import kit
from tests.proxy.upstream.provider import CHUNKED

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

    def __init__(self, dialect: Any = "chat", *, fallback: bool = False, answering: Any = None) -> None:
        made = kit.snapshot()
        self.call: Exchange = kit.exchange(made, {"model": "m", "stream": True, "messages": []})
        self.call.request.dialect = dialect
        self.call.fallbacks = [Target("second", "m")] if fallback else []
        self.remembered: list[tuple[str, int]] = []
        self.reply, self.answering = FakeReply(), answering or FakeAnswering()
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


class Far:
    """A connection to a provider, without a socket: implements what `Connection` asks of transport and owner."""

    def __init__(self) -> None:
        self.kept = self.aborted = self.paused = False
        self.connection = Connection(self, SystemClock(), Timeouts())
        self.connection.connection_made(cast(Any, self))
        self.arrival = self.connection.begin(b"", b"", bodyless=False, end_s=math.inf)

    def write(self, data: bytes) -> None: ...

    def get_extra_info(self, name: str) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def released(self, connection: Connection) -> None:
        self.kept = True

    def lost(self, connection: Connection) -> None: ...


FINISH = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = (
    b'data: {"id":"c","model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}\n\n'
)
ODD = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"odd"}}]}\r\n\r\n'
EVENTS = (WORD, WORD, b": comment\n\n", ODD, WORD + WORD, FINISH, USAGE)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def poured(reads: list[bytes], *, turns: int) -> tuple[Stage, Far]:
    """A stream from these reads of a provider's socket, `turns` of the loop apart."""
    far = Far()
    far.connection.data_received(CHUNKED)
    stage = Stage(answering=far.arrival)
    for _ in range(9):
        await asyncio.sleep(0)
    for read in reads:
        far.connection.data_received(read)
        for _ in range(turns):
            await asyncio.sleep(0)
    await asyncio.wait_for(stage.carrying, 1)
    stage.pulse.stop()
    return stage, far


class TestStraightOn:
    """Pieces that go from the one socket to the other without a step of the call's task."""

    async def test_whole_events_are_written_in_the_turn_they_come_in(self) -> None:
        far = Far()
        far.connection.data_received(CHUNKED)
        stage = Stage(answering=far.arrival)
        await asyncio.sleep(0)
        for data in (ROLE, WORD, WORD, WORD + WORD):
            far.connection.data_received(chunk(data))
            assert stage.reply.pieces[-1] == data
        assert far.arrival.straight is not None
        assert stage.call.response is not None
        assert stage.call.response.delivered_bytes == len(ROLE + 4 * WORD)
        far.connection.data_received(chunk(FINISH) + chunk(USAGE) + chunk(DONE) + b"0\r\n\r\n")
        await stage.carrying
        assert stage.call.response.usage is not None
        assert (stage.call.response.usage.output, stage.call.response.complete) == (4, True)
        assert far.kept

    @given(
        st.lists(st.sampled_from(EVENTS), max_size=9),
        st.lists(st.integers(0, 1600), max_size=8),
        st.lists(st.integers(0, 1200), max_size=5),
        st.integers(0, 3),
    )
    @settings(max_examples=150, deadline=None)
    def test_however_it_is_chunked_and_cut_the_caller_and_the_record_get_the_same(
        self, events: list[bytes], cuts: list[int], borders: list[int], turns: int
    ) -> None:
        payload = b"".join([ROLE, *events, WORD, USAGE, DONE])
        chunks = b"".join(chunk(part) for part in _split(payload, borders)) + b"0\r\n\r\n"

        async def run() -> None:
            stage, far = await poured(_split(chunks, cuts), turns=turns)
            response = stage.call.response
            assert response is not None and response.usage is not None and far.kept
            assert b"".join(stage.reply.pieces) == payload
            assert (response.delivered_bytes, response.complete, response.usage.output) == (len(payload), True, 4)
            assert response.finish == ("stop" if FINISH in events else "")
            assert response.text_sample is not None
            said = "word" * payload.count(b'"word"') + "odd" * payload.count(b'"odd"')
            assert sorted(response.text_sample()[0]) == sorted(said)
            assert stage.call.timeline.first and stage.call.timeline.busy

        asyncio.run(run())

    async def test_an_event_in_two_reads_is_whole_and_what_tells_something_is_noted_wherever_it_comes(self) -> None:
        reads = [ROLE, WORD, WORD, WORD[:20], WORD[20:], WORD[:-2], b"\n\n", ODD, WORD, FINISH, WORD, USAGE, WORD]
        stage, far = await poured([chunk(read) for read in reads] + [chunk(DONE) + b"0\r\n\r\n"], turns=1)
        response = stage.call.response
        assert response is not None and response.usage is not None and response.text_sample is not None and far.kept
        assert b"".join(stage.reply.pieces) == b"".join([*reads, DONE])
        assert (response.finish, response.usage.output, response.complete) == ("stop", 4, True)
        assert response.delivered_bytes == len(b"".join([*reads, DONE]))
        assert response.text_sample()[0] == "wordwordwordwordoddwordwordword"

    @pytest.mark.parametrize(
        "bad",
        [b"-1\r\n", b"0x5\r\nhello\r\n", b" 5\r\nhello\r\n", b"5\nhello\r\n", b"5\r\nhello!\r\n", b"5\r\nhello\n",
         b"+5\r\nhello\r\n", b"5_0\r\nhello\r\n", b"fffffffffffffffff\r\n", b"\r\n5\r\nhello\r\n"],
    )  # fmt: skip
    async def test_a_chunk_that_is_none_cuts_both_sides(self, bad: bytes) -> None:
        far = Far()
        far.connection.data_received(CHUNKED)
        stage = Stage(answering=far.arrival)
        await asyncio.sleep(0)
        for data in (ROLE, WORD, WORD):
            far.connection.data_received(chunk(data))
        far.connection.data_received(bad)
        assert far.aborted
        with pytest.raises(UpstreamFailed):
            await stage.carrying
        stage.pulse.stop()
        assert b"".join(stage.reply.pieces) in (ROLE + WORD + WORD, ROLE + WORD + WORD + b"hello")
        assert not stage.reply.ended

    async def test_a_caller_that_reads_too_slowly_stops_the_provider_and_loses_nothing(self) -> None:
        far = Far()
        far.connection.data_received(CHUNKED)
        stage = Stage(answering=far.arrival)
        await asyncio.sleep(0)
        for data in (ROLE, WORD):
            far.connection.data_received(chunk(data))
        stage.reply.room.clear()
        far.connection.data_received(chunk(WORD))
        seen = len(stage.reply.pieces)
        count = 0
        while not far.paused:
            far.connection.data_received(chunk(WORD))
            await asyncio.sleep(0)
            count += 1
        assert (len(stage.reply.pieces), far.connection.held_bytes < 70_000) == (seen, True)
        stage.reply.room.set()
        await stage.come()
        assert not far.paused
        assert b"".join(stage.reply.pieces) == ROLE + WORD * (2 + count)
        far.connection.data_received(chunk(DONE) + b"0\r\n\r\n")
        await stage.carrying
        assert far.kept

    async def test_a_caller_that_has_gone_ends_it(self) -> None:
        far = Far()
        far.connection.data_received(CHUNKED)
        stage = Stage(answering=far.arrival)
        await asyncio.sleep(0)
        for data in (ROLE, WORD):
            far.connection.data_received(chunk(data))

        def gone(data: bytes) -> bool:
            raise ConnectionResetError("the caller has gone")

        stage.reply.push = gone  # type: ignore[method-assign]
        far.connection.data_received(chunk(b": x\n\n"))
        with pytest.raises(ConnectionResetError):
            await stage.carrying
        stage.pulse.stop()


def _split(data: bytes, places: list[int]) -> list[bytes]:
    at = sorted({min(place, len(data)) for place in places})
    return [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True) if start < end]
