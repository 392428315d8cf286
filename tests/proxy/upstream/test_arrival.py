"""An answer on its way in, however it is cut: connection, parser and reader without a socket."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Iterable
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.clock import SystemClock
from proxy.cork import Cork
from proxy.errors import ProtocolViolation, StreamCut, UpstreamFailed, WeirError
from proxy.live import Timeouts
from proxy.upstream.arrival import Arrival
from proxy.upstream.connection import HIGH_BYTES, Connection
from tests.proxy.upstream.provider import CHUNKED, HEAD, OK

HEADS = [
    HEAD + b"Content-Length: %d\r\n\r\n",
    b"HTTP/1.1 100 Go\r\n\r\n" + HEAD + b"A: b\r\ncontent-length: %d\r\n\r\n",
]


class FakeTransport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.paused = self.aborted = False
        self.unsent_bytes = 0

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def writelines(self, pieces: Iterable[bytes]) -> None:
        self.written.extend(pieces)

    def get_extra_info(self, name: str) -> None:
        return None

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class FakeOwner:
    def __init__(self) -> None:
        self.told: list[str] = []

    def released(self, connection: Connection) -> None:
        self.told.append("released")

    def lost(self, connection: Connection) -> None:
        self.told.append("lost")


class Wired:
    """A connection on a fake transport, with a call under way."""

    def __init__(self, *, bodyless: bool = False) -> None:
        self.transport, self.owner = FakeTransport(), FakeOwner()
        self.connection = Connection(self.owner, SystemClock(), Timeouts())
        self.connection.connection_made(cast("asyncio.BaseTransport", self.transport))
        self.arrival = self.begin(bodyless=bodyless)

    def begin(self, *, bodyless: bool = False) -> Arrival:
        return self.connection.begin(b"head", b"body", bodyless=bodyless, end_s=math.inf)

    def hear(self, raw: bytes, cuts: list[int]) -> None:
        places = sorted({min(cut, len(raw)) for cut in cuts})
        for start, end in zip([0, *places], [*places, len(raw)], strict=True):
            if start < end and not self.transport.aborted:
                self.connection.data_received(raw[start:end])

    def end(self) -> None:
        if not self.transport.aborted:
            self.connection.eof_received()
        self.connection.connection_lost(None)


async def everything(arrival: Arrival) -> tuple[bytes, type[WeirError] | None]:
    body = b""
    try:
        async for piece in arrival.chunks():
            body += piece
    except WeirError as error:
        return body, type(error)
    return body, None


cuts = st.lists(st.integers(0, 300), max_size=12)
bodies = st.lists(st.binary(min_size=1, max_size=40), max_size=6)


class TestAnAnswerCutAnywhere:
    @given(bodies, cuts, st.booleans(), st.integers(0, 1))
    @settings(max_examples=150, deadline=None)
    def test_is_the_same(self, parts: list[bytes], cuts: list[int], chunked: bool, head: int) -> None:
        body = b"".join(parts)
        if chunked:
            raw = CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        else:
            raw = HEADS[head] % len(body) + body

        async def run() -> None:
            wired = Wired()
            for _ in range(2):  # the second on the same connection
                wired.hear(raw, cuts)
                assert wired.arrival.status == 200
                assert await everything(wired.arrival) == (body, None)
                wired.arrival = wired.begin()
            assert wired.owner.told == ["released", "released"]
            wired.connection.close()

        asyncio.run(run())

    @given(bodies, cuts, st.booleans(), st.integers(0, 300))
    @settings(max_examples=150, deadline=None)
    def test_is_a_failure_after_what_came_where_it_breaks_off(
        self, parts: list[bytes], cuts: list[int], chunked: bool, size: int
    ) -> None:
        body = b"".join(parts)
        if chunked:
            raw = CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        else:
            raw = HEADS[0] % len(body) + body

        async def run() -> None:
            wired = Wired()
            part = raw[: min(size, len(raw) - 1)]
            wired.hear(part, cuts)
            wired.end()
            got, error = await everything(wired.arrival)
            assert body.startswith(got) and error in (StreamCut, ProtocolViolation)
            assert (error is StreamCut) == (wired.arrival.status == 200)
            assert wired.owner.told == ["lost"]

        asyncio.run(run())

    @given(st.binary(max_size=60), cuts, st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", CHUNKED, OK]))
    @settings(max_examples=300, deadline=None)
    def test_of_any_bytes_is_whole_or_a_failure_and_never_an_accident(
        self, junk: bytes, cuts: list[int], before: bytes
    ) -> None:
        async def run() -> None:
            wired = Wired()
            wired.hear(before + junk, cuts)
            wired.end()
            await everything(wired.arrival)
            assert wired.arrival.error is None or isinstance(wired.arrival.error, UpstreamFailed)
            assert wired.owner.told[-1] == "lost"

        asyncio.run(run())


class TestAConnection:
    async def test_reads_no_further_where_nobody_takes_what_came(self) -> None:
        wired = Wired()
        wired.hear(HEAD + b"Content-Length: 1000000\r\n\r\n" + b"x" * HIGH_BYTES, [])
        assert wired.transport.paused
        assert wired.connection._due_s == math.inf  # the provider is not to blame for this silence
        chunks = wired.arrival.chunks()
        assert len(await anext(chunks)) == HIGH_BYTES
        assert not wired.transport.paused
        wired.arrival.close()
        assert wired.transport.aborted

    async def test_reads_on_for_who_wants_the_whole(self) -> None:
        wired = Wired()
        wired.hear(HEAD + b"Content-Length: 300000\r\n\r\n", [])
        reading = asyncio.ensure_future(wired.arrival.read(400_000))
        await asyncio.sleep(0)
        for _ in range(3):
            wired.connection.data_received(b"x" * 100_000)
            assert not wired.transport.paused
        assert len(await reading) == 300_000

    async def test_is_not_kept_while_something_of_the_request_is_unsent(self) -> None:
        wired = Wired()
        wired.transport.unsent_bytes = 1
        wired.hear(OK, [])
        assert wired.owner.told == ["lost"]
        assert await wired.arrival.read(10) == b"ok"

    async def test_is_free_for_the_next_call_before_its_answer_has_been_read(self) -> None:
        wired = Wired()
        wired.hear(OK, [])
        first, second = wired.arrival, wired.begin()
        wired.hear(HEAD + b"Content-Length: 3\r\n\r\ntwo", [])
        assert (await first.read(9), await second.read(9)) == (b"ok", b"two")
        assert (first.reused, second.reused) == (False, True)

    async def test_arms_no_timer_for_a_call_after_the_first(self) -> None:
        wired = Wired()
        watch = wired.connection.bell
        for _ in range(5):
            wired.hear(OK, [])
            assert wired.connection._due_s == math.inf
            wired.begin()
            wired.hear(CHUNKED + b"1\r\na\r\n" * 3, [60, 65, 70])
            wired.hear(b"0\r\n\r\n", [])
            wired.begin()
        assert wired.connection.bell == watch > 0
        wired.connection.close()

    @pytest.mark.parametrize("part", [b"X: y\r\n", b"x"])
    async def test_takes_no_endless_trailers_or_extensions(self, part: bytes) -> None:
        wired = Wired()
        wired.hear(CHUNKED + b"1\r\na\r\n0\r\nA: " if part == b"x" else CHUNKED + b"1\r\na\r\n0\r\n", [])
        for _ in range(300):
            if not wired.transport.aborted:
                wired.connection.data_received(part * (1024 // len(part)))
        assert isinstance(wired.arrival.error, ProtocolViolation)

    async def test_writes_head_and_body_at_once_where_the_body_is_small(self) -> None:
        wired = Wired()
        assert wired.transport.written == [b"headbody"]
        wired.hear(OK, [])
        wired.connection.begin(b"head", b"x" * 100_000, bodyless=False, end_s=math.inf)
        assert wired.transport.written[1:] == [b"head", b"x" * 100_000]

    async def test_enters_few_functions_for_a_call_and_for_a_piece(self) -> None:
        """A guard against layers: counted, because times on a shared machine say little."""
        wired = Wired()
        wired.hear(OK, [])
        answer = HEAD + b"X-Header: value\r\n" * 8 + b"Content-Length: 3\r\n\r\nabc"
        wired.begin()
        wired.connection.data_received(answer)  # from here on such names are known
        event, count = b"3\r\nabc\r\n", 0

        def note(frame: object, kind: str, argument: object) -> None:
            nonlocal count
            count += kind in ("call", "c_call")

        sys.setprofile(note)
        wired.arrival = wired.begin()
        wired.connection.data_received(answer)
        whole = await wired.arrival.read(9)
        sys.setprofile(None)
        assert (whole, count < 110) == (b"abc", True), count

        wired.begin()
        wired.connection.data_received(CHUNKED)
        count = 0
        sys.setprofile(note)
        for _ in range(100):
            wired.connection.data_received(event)
            wired.connection.take()
        sys.setprofile(None)
        assert count / 100 < 15, count
        wired.connection.close()

    async def test_closed_is_told_of_once(self) -> None:
        wired = Wired()
        wired.arrival.close()
        wired.connection.close()
        wired.end()
        assert wired.owner.told == ["lost"]


class TestPouring:
    """A body given to whoever takes it at once."""

    def poured(self, wired: Wired, takes: list[bytes], until: int = 99) -> asyncio.Task[bool]:
        def take(piece: bytes) -> bool:
            takes.append(piece)
            return len(takes) < until

        return asyncio.ensure_future(wired.arrival.pour(take))

    async def test_comes_from_where_the_bytes_come(self) -> None:
        wired, took = Wired(), list[bytes]()
        wired.hear(CHUNKED + b"1\r\na\r\n", [])
        pouring = self.poured(wired, took)
        await asyncio.sleep(0)
        for piece in (b"b", b"c"):
            wired.connection.data_received(b"1\r\n%b\r\n" % piece)
            assert took[-1] == piece  # without a turn of the loop
        assert wired.connection.held_bytes == 0
        wired.connection.data_received(b"1\r\nd\r\n0\r\n\r\n")
        assert await pouring
        assert took == [b"a", b"b", b"c", b"d"]

    @given(st.binary(min_size=1, max_size=40), st.lists(st.integers(0, 90), max_size=8), st.integers(1, 9))
    @settings(max_examples=60, deadline=None)
    async def test_loses_nothing_however_it_is_cut_and_interrupted(
        self, body: bytes, cuts: list[int], until: int
    ) -> None:
        wired, took = Wired(), list[bytes]()
        raw = CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
        pouring = self.poured(wired, took, until)
        await asyncio.sleep(0)
        wired.hear(raw, cuts)
        if not await pouring:
            rest = list[bytes]()
            assert await self.poured(wired, rest)
            took += rest
        assert b"".join(took) == body

    async def test_may_go_straight_on_from_any_piece_and_still_stops(self) -> None:
        wired, took = Wired(), list[bytes]()
        wired.hear(CHUNKED, [])
        pouring = self.poured(wired, took)
        await asyncio.sleep(0)
        wired.connection.data_received(b"1\r\na\r\n")
        straight = list[tuple[bytes, bool]]()

        def go(piece: bytes, heard_s: float) -> bool:
            straight.append((piece, 0 < heard_s <= SystemClock().monotonic_s()))
            return len(straight) < 2

        wired.arrival.straight = go
        wired.connection.data_received(b"1\r\nb\r\n1\r\nc\r\n")
        wired.connection.data_received(b"1\r\nd\r\n")
        wired.connection.data_received(b"1\r\ne\r\n")
        assert (took, straight, await pouring) == ([b"a"], [(b"bc", True), (b"d", True)], False)
        pouring = self.poured(wired, took)
        await asyncio.sleep(0)
        wired.connection.data_received(b"0\r\n\r\n")
        assert await pouring
        assert (took, wired.owner.told) == ([b"a", b"e"], ["released"])

    async def test_stops_where_no_more_is_wanted_and_goes_on(self) -> None:
        wired, took = Wired(), list[bytes]()
        wired.hear(CHUNKED, [])
        pouring = self.poured(wired, took, 1)
        await asyncio.sleep(0)
        wired.connection.data_received(b"1\r\na\r\n")
        wired.connection.data_received(b"1\r\nb\r\n")
        assert (took, await pouring) == ([b"a"], False)
        wired.connection.data_received(b"%x\r\n" % HIGH_BYTES + b"x" * HIGH_BYTES + b"\r\n")
        assert wired.transport.paused  # who does not take is waited for
        pouring = self.poured(wired, took)
        await asyncio.sleep(0)
        assert not wired.transport.paused
        assert len(took[1]) == HIGH_BYTES + 1
        wired.arrival.close()
        with pytest.raises(StreamCut):
            await pouring

    async def test_what_the_taker_raises_is_raised_where_it_is_waited_for(self) -> None:
        wired = Wired()
        wired.hear(CHUNKED, [])

        def take(_: bytes) -> bool:
            raise ConnectionResetError("the caller has gone")

        pouring = asyncio.ensure_future(wired.arrival.pour(take))
        await asyncio.sleep(0)
        wired.connection.data_received(b"1\r\na\r\n")
        with pytest.raises(ConnectionResetError):
            await pouring
        wired.arrival.close()
        assert wired.transport.aborted

    async def test_after_it_was_cancelled_nothing_is_given(self) -> None:
        wired, took = Wired(), list[bytes]()
        wired.hear(CHUNKED, [])
        pouring = self.poured(wired, took)
        await asyncio.sleep(0)
        pouring.cancel()
        wired.connection.data_received(b"1\r\na\r\n")
        with pytest.raises(asyncio.CancelledError):
            await pouring
        assert (took, wired.transport.aborted) == ([], True)

    async def test_a_silent_provider_is_not_waited_for(self) -> None:
        wired, took = Wired(), list[bytes]()
        wired.connection._timeouts = Timeouts(first_byte_s=60.0, idle_s=0.05)
        wired.hear(CHUNKED, [])
        pouring = self.poured(wired, took)
        for _ in range(4):
            await asyncio.sleep(0.025)
            wired.connection.data_received(b"1\r\na\r\n")
        with pytest.raises(UpstreamFailed):
            await asyncio.wait_for(pouring, 1.0)
        assert len(took) == 4


class Away(FakeTransport):
    def is_closing(self) -> bool:
        return self.aborted


async def test_an_answer_to_a_call_that_has_not_been_written_yet_is_none() -> None:
    cork = Cork()
    cork.calls = range(9)
    transport, owner = Away(), FakeOwner()
    connection = Connection(cast(Any, owner), SystemClock(), Timeouts(), cork=cork)
    connection.connection_made(cast(Any, transport))
    for _ in range(2):
        arrival = connection.begin(b"head", b"body", bodyless=False, end_s=math.inf)
        cork.pull()
        connection.data_received(OK)
        assert arrival.broken is None and arrival.status == 200
    arrival = connection.begin(b"more", b"body", bodyless=False, end_s=math.inf)
    connection.data_received(OK)
    assert isinstance(arrival.broken, ProtocolViolation) and transport.aborted
    cork.pull()
    assert transport.written == [b"headbody"] * 2
