"""An answer on its way in, however it is cut: connection, parser and reader without a socket."""

from __future__ import annotations

import asyncio
import math
import sys
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.clock import SystemClock
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
        watch = wired.connection._watch
        for _ in range(5):
            wired.hear(OK, [])
            assert wired.connection._due_s == math.inf
            wired.begin()
            wired.hear(CHUNKED + b"1\r\na\r\n" * 3, [60, 65, 70])
            wired.hear(b"0\r\n\r\n", [])
            wired.begin()
        assert wired.connection._watch is watch
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
