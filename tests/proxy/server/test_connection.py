from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Callable

import orjson
import pytest

from proxy.live import Limits
from proxy.server.connection import WAITING_BYTES, Connection
from proxy.server.framing import AHEAD_MOST
from proxy.server.incoming import UNTAKEN_BYTES, Incoming
from proxy.server.reply import Reply
from proxy.server.sharing import Patience
from tests.raw import HOST, Door, echo, get, hear, opened, post


async def connect(door: Door) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", door.port)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(2):
        while not true():
            await asyncio.sleep(0.002)


async def deaf(incoming: Incoming, reply: Reply) -> None:
    """Answers without having read."""
    await reply.send(200, [], b"deaf")


async def test_time_for_a_head_does_not_run_between_calls() -> None:
    async with opened(echo, patience=Patience(header_s=0.05)) as door:
        reader, writer = await connect(door)
        for _ in range(2):
            writer.write(post(b"{}"))
            assert (await hear(reader, more=True)).status == 200
            await asyncio.sleep(0.08)
        writer.close()


async def test_time_for_a_head_ends_with_the_head() -> None:
    async with opened(echo, patience=Patience(header_s=0.05)) as door:
        reader, writer = await connect(door)
        whole = get(b"/v1/x")
        writer.write(whole[:10])
        await asyncio.sleep(0.01)
        writer.write(whole[10:])
        assert (await hear(reader, more=True)).status == 200
        await asyncio.sleep(0.08)
        writer.write(whole)
        assert (await hear(reader, more=True)).status == 200
        writer.close()


async def test_time_for_a_head_that_came_behind_another_call_runs_once_that_is_answered() -> None:
    async with opened(echo, patience=Patience(header_s=0.05)) as door:
        reader, writer = await connect(door)
        writer.write(get(b"/v1/x") + b"GET /v1/y HT")
        assert (await hear(reader, more=True)).status == 200
        assert (await hear(reader)).status == 408
        writer.close()


async def test_idle_time_begins_anew_with_each_call() -> None:
    async with opened(echo, patience=Patience(keepalive_s=0.1)) as door:
        reader, writer = await connect(door)
        for _ in range(3):
            await asyncio.sleep(0.06)
            writer.write(get(b"/v1/x"))
            assert (await hear(reader, more=True)).status == 200
        async with asyncio.timeout(1):
            assert await reader.read() == b""
        writer.close()


async def test_a_call_takes_as_long_as_it_takes() -> None:
    async def slow(incoming: Incoming, reply: Reply) -> None:
        await asyncio.sleep(0.1)
        await reply.send(200, [], b"slow")

    async with opened(slow, patience=Patience(keepalive_s=0.03, header_s=0.03, lingering_s=0.03)) as door:
        reader, writer = await connect(door)
        writer.write(get(b"/v1/x"))
        assert (await hear(reader, more=True)).body == b"slow"
        writer.close()


async def test_the_answer_to_broken_framing_survives_a_caller_that_goes_on_sending() -> None:
    """Closing at once would be a reset, and take the answer along."""
    async with opened(echo) as door:
        reader, writer = await connect(door)
        writer.write(b"nonsense\r\n\r\n")
        for _ in range(50):
            writer.write(bytes(10_000))
            await asyncio.sleep(0)
        async with asyncio.timeout(1):
            assert (await hear(reader)).status == 400
        writer.close()


async def test_an_early_answer_survives_a_caller_that_goes_on_sending() -> None:
    async with opened(echo, limits=Limits(body_bytes=10)) as door:
        reader, writer = await connect(door)
        writer.write(post(bytes(2_000_000)))
        async with asyncio.timeout(1):
            assert (await hear(reader)).status == 413
        writer.close()


async def test_a_body_that_nobody_read_is_thrown_away_and_the_next_call_served() -> None:
    async with opened(deaf) as door:
        reader, writer = await connect(door)
        writer.write(b"POST /v1/x HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\n")
        assert (await hear(reader, more=True)).body == b"deaf"
        writer.write(bytes(1_000_000) + get(b"/v1/x"))
        assert (await hear(reader, more=True)).body == b"deaf"
        writer.close()


async def test_a_body_that_nobody_read_and_that_does_not_come_ends_the_connection() -> None:
    async with opened(deaf, patience=Patience(lingering_s=0.03)) as door:
        reader, writer = await connect(door)
        writer.write(b"POST /v1/x HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\nabc")
        assert (await hear(reader, more=True)).body == b"deaf"
        async with asyncio.timeout(1):
            assert await reader.read() == b""
        writer.close()


async def test_a_body_that_nobody_reads_stays_outside() -> None:
    seen: list[Incoming] = []
    go = asyncio.Event()

    async def handle(incoming: Incoming, reply: Reply) -> None:
        seen.append(incoming)
        await go.wait()
        await reply.send(200, [], b"%d" % len(await incoming.read()))

    async with opened(handle) as door:
        reader, writer = await connect(door)
        writer.write(post(bytes(8_000_000)))
        await until(lambda: seen and seen[0].received > UNTAKEN_BYTES)
        await asyncio.sleep(0.05)
        assert seen[0].received < UNTAKEN_BYTES + 600_000  # one read more
        go.set()
        assert (await hear(reader)).body == b"8000000"
        writer.close()


async def test_calls_behind_one_another_are_answered_in_their_order() -> None:
    async def handle(incoming: Incoming, reply: Reply) -> None:
        await asyncio.sleep(0.01 if incoming.path == "/v1/first" else 0)
        await reply.send(200, [], incoming.path.encode() + await incoming.read())

    async with opened(handle) as door:
        reader, writer = await connect(door)
        writer.write(post(b"1", path=b"/v1/first") + post(b"2", path=b"/v1/second"))
        await asyncio.sleep(0.002)
        writer.write(post(b"3", path=b"/v1/third") + get(b"/v1/fourth")[:20])
        await asyncio.sleep(0.002)
        writer.write(get(b"/v1/fourth")[20:])
        heard = [(await hear(reader, more=True)).body for _ in range(4)]
        writer.close()
    assert heard == [b"/v1/first1", b"/v1/second2", b"/v1/third3", b"/v1/fourth"]


async def test_a_refusal_waits_for_the_answers_before_it() -> None:
    async with opened(echo) as door:
        reader, writer = await connect(door)
        writer.write(post(b"{}") + b"nonsense\r\n\r\n" + get(b"/v1/x"))
        assert (await hear(reader, more=True)).status == 200
        answer = await hear(reader)
        writer.close()
    assert (answer.status, answer.closed) == (400, True)


async def test_whoever_sends_too_many_calls_at_once_is_told_which_one_was_the_last() -> None:
    async with opened(echo) as door:
        reader, writer = await connect(door)
        writer.write(get(b"/v1/x") * 100)
        heard = [await hear(reader, more=True) for _ in range(AHEAD_MOST)]
        assert await reader.read() == b""
        writer.close()
    assert [answer.headers.get("connection") for answer in heard] == [None] * (AHEAD_MOST - 1) + ["close"]


async def test_what_waits_behind_a_call_is_bounded_and_served() -> None:
    sizes: list[int] = []

    async def handle(incoming: Incoming, reply: Reply) -> None:
        sizes.append(len(await incoming.read()))
        await asyncio.sleep(0.02)
        await reply.send(200, [], b"")

    async with opened(handle) as door:
        reader, writer = await connect(door)
        writer.write(get(b"/v1/x"))
        await until(lambda: sizes)
        writer.write(post(bytes(4_000_000)) + get(b"/v1/x"))
        await asyncio.sleep(0.005)
        connection = next(found for found in gc.get_objects() if type(found) is Connection and found.transport)
        assert len(connection._held) < WAITING_BYTES + 600_000
        for _ in range(3):
            assert (await hear(reader, more=True)).status == 200
        writer.close()
    assert sizes == [0, 4_000_000, 0]


async def test_a_caller_that_leaves_with_a_call_waiting_behind_cancels_the_first() -> None:
    ended: list[str] = []

    async def handle(incoming: Incoming, reply: Reply) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(incoming.path)

    async with opened(handle) as door:
        _, writer = await connect(door)
        writer.write(get(b"/v1/first") + get(b"/v1/second") + get(b"/v1/third")[:9])
        await until(lambda: door.front.running)
        writer.close()
        await until(lambda: not door.front.running and not door.front.connections)
    assert ended == ["/v1/first"]


async def test_a_caller_that_says_it_sends_no_more_has_left() -> None:
    async def handle(incoming: Incoming, reply: Reply) -> None:
        await asyncio.Event().wait()

    async with opened(handle) as door:
        reader, writer = await connect(door)
        writer.write(get(b"/v1/x"))
        await until(lambda: door.front.running)
        writer.write_eof()
        async with asyncio.timeout(1):
            assert await reader.read() == b""
        assert door.front.running == 0
        writer.close()


async def test_a_call_whose_caller_has_left_before_it_began_is_not_counted_for_ever() -> None:
    async with opened(echo) as door:
        for _ in range(20):
            _, writer = await connect(door)
            writer.write(get(b"/v1/x"))
            writer.transport.abort()
        await until(lambda: not door.front.connections and not door.front.running)


async def test_a_caller_that_takes_no_last_answer_is_reset_in_the_end() -> None:
    async def handle(incoming: Incoming, reply: Reply) -> None:
        reply.put(200, [("connection", "close")], bytes(20_000_000))

    async with opened(handle, patience=Patience(stall_s=0.1)) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port, limit=1)
        writer.write(get(b"/v1/x", b"Connection: close"))
        await until(lambda: door.front.connections)
        await until(lambda: not door.front.connections)
        del reader
        writer.close()


async def test_stopping_resets_those_who_do_not_read() -> None:
    async def handle(incoming: Incoming, reply: Reply) -> None:
        reply.put(200, [], bytes(20_000_000))

    async with opened(handle) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port, limit=1)
        writer.write(get(b"/v1/x"))
        await until(lambda: door.front.connections)
        async with asyncio.timeout(1):
            await door.front.stop(0.05)
        await until(lambda: not door.front.connections)
        del reader
        writer.close()


async def test_nothing_waits_for_more_to_send() -> None:
    """No Nagle: the first byte of a stream leaves when it is written."""
    async with opened(echo) as door:
        reader, writer = await connect(door)
        writer.write(get(b"/v1/x"))
        assert (await hear(reader, more=True)).status == 200
        connection = next(found for found in gc.get_objects() if type(found) is Connection and found.transport)
        assert connection.transport is not None
        raw = connection.transport.get_extra_info("socket")
        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        writer.close()


async def test_a_connection_that_ended_leaves_no_garbage() -> None:
    async with opened(echo) as door:
        reader, writer = await connect(door)
        writer.write(post(b"{}"))
        assert orjson.loads((await hear(reader, more=True)).body)["bytes"] == 2
        gc.collect()
        gc.disable()
        try:
            writer.close()
            await until(lambda: not door.front.connections)
            await asyncio.sleep(0.01)
            assert [found for found in gc.get_objects() if type(found) in (Connection, Incoming, Reply)] == []
        finally:
            gc.enable()


@pytest.mark.parametrize("size", [10, 300_000])
async def test_a_body_that_is_there_is_read_without_waiting(size: int) -> None:
    waited: list[bool] = []

    async def handle(incoming: Incoming, reply: Reply) -> None:
        await until(lambda: incoming.complete)
        reading = incoming.read()
        with pytest.raises(StopIteration):
            reading.send(None)
        waited.append(False)
        await reply.send(200, [], b"")

    async with opened(handle) as door:
        reader, writer = await connect(door)
        writer.write(post(bytes(size)))
        assert (await hear(reader, more=True)).status == 200
        writer.close()
    assert waited == [False]
