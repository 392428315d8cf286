from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import orjson
import pytest

from proxy.errors import Overloaded, Refused, UnknownPath
from proxy.server.incoming import Incoming
from proxy.server.reply import Reply
from tests.certificates import certificates
from tests.raw import Handle, echo, get, hear, opened, post, say


async def never(incoming: Incoming, reply: Reply) -> None:
    raise AssertionError("served")


class Held:
    """A handler that answers when it is let go."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, incoming: Incoming, reply: Reply) -> None:
        self.begun.set()
        await self.go.wait()
        await reply.send(200, [], b"done")


async def test_probes_are_answered_without_a_handler() -> None:
    async with opened(never) as door:
        live = await say(door.port, get(b"/livez"))
        ready = await say(door.port, get(b"/readyz?verbose"))
        head = await say(door.port, b"HEAD /livez HTTP/1.1\r\nHost: a\r\n\r\n", method="HEAD")
        wrong = await say(door.port, post(b"", path=b"/livez"))
    assert (live.status, live.body, live.headers["cache-control"]) == (200, b'{"status":"ok"}', "no-store")
    assert (ready.status, orjson.loads(ready.body)["status"]) == (503, "starting")
    assert (head.status, head.body) == (200, b"")
    assert (wrong.status, wrong.headers["allow"]) == (405, "GET, HEAD")


async def test_errors_that_a_handler_raises_are_answered() -> None:
    async def handle(incoming: Incoming, reply: Reply) -> None:
        await incoming.read()
        if incoming.path == "/v1/refused":
            raise Refused("guard", "no", code="guarded")
        raise UnknownPath("nothing lives here")

    async with opened(handle) as door:
        assert (await say(door.port, post(b"", path=b"/v1/refused"))).code == "guarded"
        answer = await say(door.port, post(b"", path=b"/v1/messages"))
    assert (answer.status, orjson.loads(answer.body)["type"], answer.closed) == (404, "error", False)


async def test_a_handler_that_breaks_gets_a_500_that_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def handle(incoming: Incoming, reply: Reply) -> None:
        raise ValueError("sk-canary-4711")

    with caplog.at_level(logging.DEBUG):
        async with opened(handle) as door:
            answer = await say(door.port, get(b"/v1/x"))
    assert (answer.status, answer.code) == (500, "internal_error")
    assert b"canary" not in answer.body
    assert "canary" not in caplog.text
    assert "ValueError at test_front.py:" in caplog.text


async def nothing(incoming: Incoming, reply: Reply) -> None:
    return


async def half(incoming: Incoming, reply: Reply) -> None:
    await reply.start(200, [])
    await reply.write(b"half")


async def half_then_broken(incoming: Incoming, reply: Reply) -> None:
    await half(incoming, reply)
    raise Overloaded("full")


async def test_a_handler_that_forgets_to_answer_is_answered_for() -> None:
    async with opened(nothing) as door:
        assert (await say(door.port, get(b"/v1/x"))).status == 500


@pytest.mark.parametrize("handle", [half, half_then_broken])
async def test_a_handler_that_forgets_the_end_is_cut_off(handle: Handle) -> None:
    async with opened(handle) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(get(b"/v1/x"))
        assert (await reader.read()).endswith(b"4\r\nhalf\r\n")
        writer.close()


async def test_draining_waits_for_what_runs_and_serves_what_comes() -> None:
    held = Held()
    async with opened(held) as door:
        running = asyncio.ensure_future(say(door.port, get(b"/v1/x")))
        await held.begun.wait()
        draining = asyncio.ensure_future(door.front.drain(5))
        await asyncio.sleep(0)
        late = asyncio.ensure_future(say(door.port, get(b"/v1/late")))
        assert (await say(door.port, get(b"/readyz"))).status == 503
        assert (await say(door.port, get(b"/livez"))).status == 200
        while door.front.running < 2:
            await asyncio.sleep(0.002)
        assert not draining.done()
        held.go.set()
        assert await draining == 0
        for answer in (await running, await late):
            assert (answer.status, answer.headers["connection"], answer.closed) == (200, "close", True)


async def test_unready_changes_nothing_but_the_probe() -> None:
    async with opened(echo) as door:
        door.front.unready()
        assert orjson.loads((await say(door.port, get(b"/readyz"))).body)["status"] == "draining"
        assert not (await say(door.port, get(b"/v1/x"))).closed


async def test_draining_ends_at_its_cap_and_stopping_tells_who_still_waits() -> None:
    held = Held()
    async with opened(held) as door:
        waiting = asyncio.ensure_future(say(door.port, get(b"/v1/x")))
        await held.begun.wait()
        assert await door.front.drain(0.01) == 1
        await door.front.stop(0.5)
        answer = await waiting
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "overloaded", "1")


async def test_stopping_cuts_streams_and_closes_idle_connections() -> None:
    begun = asyncio.Event()

    async def handle(incoming: Incoming, reply: Reply) -> None:
        await half(incoming, reply)
        begun.set()
        await asyncio.Event().wait()

    async with opened(handle) as door:
        idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", door.port)
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(get(b"/v1/x"))
        await begun.wait()
        async with asyncio.timeout(2):
            await door.front.stop(0.2)
            assert (await reader.read()).endswith(b"half\r\n")
            assert await idle_reader.read() == b""
        writer.close()
        idle_writer.close()
        assert door.front.connections == 0
        with pytest.raises(ConnectionError):
            await say(door.port, get(b"/livez"))


async def test_callers_that_left_leave_nothing_behind() -> None:
    held = Held()
    async with opened(held) as door:
        writers = [(await asyncio.open_connection("127.0.0.1", door.port))[1] for _ in range(20)]
        for writer in writers:
            writer.write(get(b"/v1/x"))
        async with asyncio.timeout(2):
            while door.front.running < 20:
                await asyncio.sleep(0.002)
            for writer in writers:
                writer.close()
            while door.front.running or door.front.connections:
                await asyncio.sleep(0.002)


async def test_tls_is_served(tmp_path: Path) -> None:
    made = certificates(tmp_path)
    async with opened(echo, tls=made.server_context()) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port, ssl=made.client_context())
        writer.write(post(b"{}"))
        answer = await hear(reader)
        writer.close()
    assert orjson.loads(answer.body)["bytes"] == 2
