"""The pool of one upstream's connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from proxy.clock import SystemClock
from proxy.errors import Overloaded, Unreachable, UpstreamTimeout
from proxy.live import Timeouts, Upstream
from proxy.upstream import line as lines
from proxy.upstream.connection import Connection
from proxy.upstream.line import Line
from tests.certificates import Certificates
from tests.proxy.upstream.provider import CHUNKED, OK, Provider, Seen, Serve, get, post


@pytest.fixture
async def gate(serve: Serve) -> Gate:
    return Gate(serve)


class Gate:
    """A provider that answers when it is told to."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self.waiting: asyncio.Queue[asyncio.Event] = asyncio.Queue()
        self.provider: Provider

    async def open(self, size: int, **timeouts: float) -> Line:
        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await seen.request(reader):
                go = asyncio.Event()
                self.waiting.put_nowait(go)
                await go.wait()
                writer.write(OK)
                await writer.drain()

        self.provider = await self._serve(handler)
        given = Timeouts(**{"connect_s": 5, "first_byte_s": 5, "idle_s": 5, **timeouts})
        return Line(SystemClock(), replace(self.provider.upstream(timeouts=given), pool_size=size))

    async def let_one_go(self) -> None:
        (await self.waiting.get()).set()


async def call(line: Line, name: str, done: list[str]) -> None:
    answer = await line.send(get(f"/{name}"))
    assert await answer.read(10) == b"ok"
    done.append(name)


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


class TestThePool:
    async def test_serves_those_who_wait_in_their_order(self, gate: Gate) -> None:
        line, done = await gate.open(1), list[str]()
        calls = []
        for name in "abcdef":
            calls.append(asyncio.ensure_future(call(line, name, done)))
            await turns()
        for _ in calls:
            await gate.let_one_go()
        await asyncio.gather(*calls)
        assert done == list("abcdef")
        assert len(gate.provider.connections) == 1
        assert not line.busy
        await line.stop()

    async def test_opens_as_many_connections_as_it_may_and_no_more(self, gate: Gate) -> None:
        line, done = await gate.open(3), list[str]()
        calls = [asyncio.ensure_future(call(line, name, done)) for name in "abcdefghi"]
        for _ in calls:
            await gate.let_one_go()
        await asyncio.gather(*calls)
        assert sorted(done) == list("abcdefghi")
        assert len(gate.provider.connections) == len(line._idle) == 3
        await line.stop()

    async def test_gives_out_the_connection_that_was_used_last(self, gate: Gate) -> None:
        line, done = await gate.open(9), list[str]()
        calls = [asyncio.ensure_future(call(line, name, done)) for name in "abc"]
        for _ in calls:
            await gate.let_one_go()
        await asyncio.gather(*calls)
        top = line._idle[-1]
        for _ in range(3):
            again = asyncio.ensure_future(call(line, "again", done))
            await gate.let_one_go()
            await again
            assert line._idle[-1] is top and len(line._idle) == 3
        await line.stop()

    @pytest.mark.parametrize("told", ["released", "lost"])
    async def test_passes_on_what_a_caller_was_handed_who_left_in_that_moment(
        self, gate: Gate, monkeypatch: pytest.MonkeyPatch, told: str
    ) -> None:
        line, done = await gate.open(1), list[str]()
        first = asyncio.ensure_future(call(line, "first", done))
        go = await gate.waiting.get()
        leaver, last = (asyncio.ensure_future(call(line, name, done)) for name in ("leaver", "last"))
        await turns()
        assert len(line._waiters) == 2
        real = getattr(line, told)

        def tell(connection: Connection) -> None:
            monkeypatch.undo()
            real(connection)
            leaver.cancel()

        monkeypatch.setattr(line, told, tell)
        if told == "released":
            go.set()
        else:
            first.cancel()
        await gate.let_one_go()
        await last
        assert done == (["first", "last"] if told == "released" else ["last"])
        assert leaver.cancelled() and line._taken == len(line._idle) == 1
        await line.stop()

    async def test_gives_the_place_of_a_broken_connection_to_who_waits(self, gate: Gate) -> None:
        line, done = await gate.open(1), list[str]()
        first = asyncio.ensure_future(call(line, "first", done))
        await asyncio.sleep(0.01)
        second = asyncio.ensure_future(call(line, "second", done))
        await turns()
        first.cancel()
        await gate.let_one_go()
        await gate.let_one_go()
        await second
        assert (done, len(gate.provider.connections), line._taken) == (["second"], 2, 1)
        await line.stop()

    async def test_lets_nobody_wait_longer_than_a_connection_may_take(self, gate: Gate) -> None:
        line = await gate.open(1, connect_s=0.05)
        first = asyncio.ensure_future(line.send(get()))
        await asyncio.sleep(0.01)
        with pytest.raises(Unreachable, match="in time"):
            await line.send(get())
        await gate.let_one_go()
        await (await first).read(10)
        assert line._taken == len(line._idle) == 1 and not line._waiters
        await line.stop()

    async def test_counts_waiting_into_the_whole_time_of_a_call(self, gate: Gate) -> None:
        line = await gate.open(1, total_s=0.05)
        first = asyncio.ensure_future(line.send(get()))
        await asyncio.sleep(0)
        with pytest.raises(UpstreamTimeout):
            await line.send(get())
        with pytest.raises(UpstreamTimeout):
            await first
        await line.stop()

    async def test_keeps_no_place_for_a_connection_that_did_not_come(self) -> None:
        line = Line(SystemClock(), Upstream("n", "http://127.0.0.1:1", pool_size=1))
        for _ in range(3):
            with pytest.raises(Unreachable):
                await line.send(get())
        assert line._taken == 0 and not line.busy
        named = Line(SystemClock(), Upstream("n", "http://no-such-name.invalid"))
        with pytest.raises(Unreachable, match="name"):
            await named.send(get())

    async def test_closes_what_has_been_idle_for_long(self, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lines, "KEEP_ALIVE_S", 0.05)
        line, done = await gate.open(4), list[str]()
        calls = [asyncio.ensure_future(call(line, name, done)) for name in "ab"]
        for _ in calls:
            await gate.let_one_go()
        await asyncio.gather(*calls)
        for seen in gate.provider.connections:
            await asyncio.wait_for(seen.ended.wait(), 1)
        assert (line._idle, line._taken, line._sweeper) == ([], 0, None)
        await line.stop()

    async def test_forgets_a_connection_that_the_provider_closed(self, serve: Serve) -> None:
        close = asyncio.Event()

        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await seen.request(reader)
            writer.write(OK)
            await close.wait()

        provider = await serve(handler)
        line = Line(SystemClock(), provider.upstream())
        await (await line.send(get())).read(10)
        assert len(line._idle) == 1
        close.set()
        while line._idle:
            await asyncio.sleep(0.001)
        assert line._taken == 0
        await line.stop()

    async def test_once_stopped_breaks_off_all_calls_and_opens_nothing(self, gate: Gate) -> None:
        line, done = await gate.open(1), list[str]()
        calls = [asyncio.ensure_future(call(line, name, done)) for name in "ab"]
        await asyncio.sleep(0.01)
        await line.stop()
        assert [type(each) for each in await asyncio.gather(*calls, return_exceptions=True)] == [Overloaded] * 2
        with pytest.raises(Overloaded):
            await line.send(get())
        assert line._taken == 0

    async def test_once_retired_serves_those_who_came_before(self, gate: Gate) -> None:
        line, done = await gate.open(1), list[str]()
        calls = [asyncio.ensure_future(call(line, name, done)) for name in "ab"]
        await asyncio.sleep(0.01)
        line.retire()
        assert line.busy
        for _ in calls:
            await gate.let_one_go()
        await asyncio.gather(*calls)
        assert (done, line.busy, line._taken) == (["a", "b"], False, 0)

    async def test_survives_any_mixture_of_calls_that_leave_fail_and_end(self, serve: Serve) -> None:
        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await seen.request(reader):
                number = int(seen.requests[-1].split(b" ")[1][1:])
                if number % 5 == 0:
                    return
                await asyncio.sleep(0.001 * (number % 3))
                writer.write(OK if number % 7 else CHUNKED + b"1\r\na\r\n")
                if not number % 7:
                    return

        line = Line(SystemClock(), replace((await serve(handler)).upstream(), pool_size=3))

        async def one(number: int) -> None:
            answer = await line.send(get(f"/{number}"))
            try:
                await answer.read(10)
            finally:
                answer.close()

        calls = [asyncio.ensure_future(one(number)) for number in range(150)]
        for number, each in enumerate(calls):
            if number % 11 == 0:
                asyncio.get_running_loop().call_later(0.0005 * (number % 40), each.cancel)
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert len([each for each in found if each is None]) > 60
        assert line._taken == len(line._idle) == len(line._open) <= 3
        assert not line._waiters and not line.busy
        await line.stop()


class TestOverTls:
    async def test_a_steady_load_opens_hardly_a_connection(self, serve: Serve, certificates: Certificates) -> None:
        provider = await serve(OK, certificates.server_context())
        line = Line(SystemClock(), replace(provider.upstream(), ca_file=str(certificates.authority), pool_size=4))
        reused = 0

        async def some() -> None:
            nonlocal reused
            for _ in range(100):
                answer = await line.send(post())
                assert await answer.read(10) == b"ok"
                reused += answer.reused

        await asyncio.gather(*[some() for _ in range(4)])
        assert reused >= 396
        await line.stop()

    async def test_a_large_answer_comes_whole(self, serve: Serve, certificates: Certificates) -> None:
        body = bytes(range(256)) * 20_000
        raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        provider = await serve(raw, certificates.server_context())
        line = Line(SystemClock(), replace(provider.upstream(), ca_file=str(certificates.authority)))
        assert await (await line.send(post(body))).read(len(body)) == body
        got = [piece async for piece in (await line.send(post())).chunks()]
        assert b"".join(got) == body
        assert provider.connections[0].bodies[0] == body
        await line.stop()


class TestAnAnswer:
    @pytest.fixture
    async def line(self, serve: Serve) -> AsyncIterator[tuple[Line, list[bytes]]]:
        raw: list[bytes] = []

        async def handler(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await seen.request(reader):
                writer.write(raw[0])
                await writer.drain()

        made = Line(SystemClock(), (await serve(handler)).upstream())
        yield made, raw
        await made.stop()

    @pytest.mark.parametrize(
        ("raw", "kept"),
        [
            (OK, True),
            (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", False),
            (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", False),
            (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", True),
            (CHUNKED + b"2\r\nok\r\n0\r\nX-Trailer: 1\r\nX-More: 2\r\n\r\n", True),
            (CHUNKED + b"1;a=b\r\no\r\n1\r\nk\r\n0\r\n\r\n", True),
            (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK, True),
        ],
    )
    async def test_keeps_its_connection_where_both_sides_may(
        self, line: tuple[Line, list[bytes]], raw: bytes, kept: bool
    ) -> None:
        made, raws = line
        raws.append(raw)
        for turn in range(3):
            answer = await made.send(post())
            assert (answer.status, answer.reused, await answer.read(10)) == (200, kept and turn > 0, b"ok")
            assert not {"x-trailer", "link"} & {name.lower() for name, _ in answer.headers}

    @pytest.mark.parametrize(("method", "status"), [("HEAD", b"200"), ("GET", b"204"), ("GET", b"304")])
    async def test_without_a_body_is_over_with_its_headers(
        self, line: tuple[Line, list[bytes]], method: str, status: bytes
    ) -> None:
        made, raws = line
        raws.append(b"HTTP/1.1 %b X\r\nContent-Length: 5\r\n\r\n" % status)
        for turn in range(3):
            answer = await made.send(replace(get(), method=method))
            assert (answer.reused, await answer.read(10)) == (turn > 0, b"")

    async def test_to_head_with_a_body_all_the_same_spoils_its_connection_and_no_call(
        self, line: tuple[Line, list[bytes]]
    ) -> None:
        made, raws = line
        raws.append(OK)
        for _ in range(3):
            answer = await made.send(replace(get(), method="HEAD"))
            assert (answer.status, answer.reused, await answer.read(10)) == (200, False, b"")

    async def test_is_read_piece_by_piece_and_then_whole(self, line: tuple[Line, list[bytes]]) -> None:
        made, raws = line
        raws.append(CHUNKED + b"3\r\nabc\r\n" * 3 + b"0\r\n\r\n")
        answer = await made.send(post())
        assert await answer.read(9) == b"abcabcabc"
        assert await answer.read(9) == b""

    async def test_that_was_closed_is_never_taken_for_whole(self, line: tuple[Line, list[bytes]]) -> None:
        made, raws = line
        raws.append(CHUNKED + b"3\r\nabc\r\n")
        answer = await made.send(post())
        answer.close()
        with pytest.raises(Exception, match="broke off"):
            await answer.read(10)
        assert made._taken == 0
