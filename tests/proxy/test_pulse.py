"""The moment a stream starts, and its silence after that."""

from __future__ import annotations

import asyncio
from typing import Any

from proxy.clock import SystemClock
from proxy.live import Streams
from proxy.ports import Headers
from proxy.pulse import COMMENT, PING, Pulse
from proxy.tasks import Tasks
from tests import kit


class FakeReply:
    """Keeps what was written; `await reply.wrote(n)` waits for so much."""

    def __init__(self) -> None:
        self.started = False
        self.status = 0
        self.headers: Headers = []
        self.pieces: list[bytes] = []
        self.gone = False
        self._more = asyncio.Event()

    async def start(self, status: int, headers: Headers, lines: bytes = b"") -> None:
        self.started, self.status, self.headers = True, status, headers
        self._more.set()

    async def write(self, data: bytes) -> None:
        if self.gone:
            raise ConnectionResetError("the caller has gone")
        self.pieces.append(data)
        self._more.set()

    def push(self, data: bytes) -> bool:
        raise AssertionError("a pulse can wait")

    async def ready(self) -> None:
        raise AssertionError("a pulse waits for nobody")

    async def end(self, last: bytes = b"") -> None:
        raise AssertionError("a pulse ends nothing")

    async def send(self, status: int, headers: Headers, body: bytes, lines: bytes = b"") -> None:
        raise AssertionError("a pulse sends nothing whole")

    def abort(self) -> None:
        raise AssertionError("a pulse cuts nothing")

    async def until(self, test: Any) -> None:
        async with asyncio.timeout(5):
            while not test():
                self._more.clear()
                await self._more.wait()


def pulse(dialect: Any = "chat", **streams: float) -> tuple[Pulse, FakeReply, list[str]]:
    failures: list[str] = []
    call, reply = kit.exchange(kit.snapshot(streams=Streams(**streams))), FakeReply()  # type: ignore[arg-type]
    call.request.dialect = dialect
    tasks = Tasks(kit.FakeMetrics(), lambda name, error: failures.append(f"{name}: {error!r}"))
    return Pulse(reply, SystemClock().monotonic_s, tasks, call), reply, failures


async def test_a_provider_that_thinks_long_gets_its_caller_an_early_answer_and_heartbeats() -> None:
    beating, reply, _ = pulse(early_answer_s=0.01, heartbeat_s=0.01)
    beating.await_headers()
    await reply.until(lambda: len(reply.pieces) >= 3)
    beating.stop()
    assert (reply.status, dict(reply.headers)["content-type"]) == (200, "text/event-stream")
    assert set(reply.pieces) == {COMMENT}


async def test_heartbeats_of_messages_are_pings() -> None:
    beating, reply, _ = pulse("messages", early_answer_s=0.01, heartbeat_s=0.01)
    beating.await_headers()
    await reply.until(lambda: len(reply.pieces) >= 2)
    beating.stop()
    assert set(reply.pieces) == {PING}


async def test_start_up_events_wait_for_content_or_for_their_time() -> None:
    beating, reply, _ = pulse(hold_s=60.0)
    beating.hold(200, [("a", "b")])
    beating.keep(b"one")
    beating.keep(b"")
    beating.keep(b"two")
    assert not reply.started
    assert beating.holding
    await beating.release()
    assert (reply.headers, reply.pieces, beating.holding) == ([("a", "b")], [b"onetwo"], False)
    beating.stop()

    beating, reply, _ = pulse(hold_s=0.01)
    beating.hold(201, [])
    beating.keep(b"one")
    await reply.until(lambda: reply.pieces)
    assert (reply.status, reply.pieces) == (201, [b"one"])
    beating.stop()


async def test_where_nothing_is_to_be_gained_the_headers_go_out_at_once() -> None:
    beating, reply, _ = pulse(hold_s=60.0)
    beating.await_headers()
    await beating.open(201, [("a", "b")])
    assert (reply.started, reply.status, reply.headers, reply.pieces) == (True, 201, [("a", "b")], [])
    assert not beating.holding
    await beating.open(202, [])
    assert reply.status == 201
    beating.stop()


async def test_a_timer_that_rings_for_an_earlier_purpose_beats_no_sooner() -> None:
    beating, reply, _ = pulse(early_answer_s=0.02, heartbeat_s=0.1)
    beating.await_headers()
    await beating.open(200, [])
    begun = SystemClock().monotonic_s()
    await reply.until(lambda: reply.pieces)
    assert SystemClock().monotonic_s() - begun > 0.09
    beating.stop()


async def test_no_more_is_held_than_it_may() -> None:
    beating, _, _ = pulse(hold_bytes=4)
    beating.hold(200, [])
    beating.keep(b"123")
    assert not beating.full
    beating.keep(b"4")
    assert beating.full
    beating.stop()


async def test_what_another_target_said_before_is_forgotten() -> None:
    beating, reply, _ = pulse()
    beating.hold(200, [("x", "first")])
    beating.keep(b"first")
    beating.drop()
    beating.hold(200, [("x", "second")])
    beating.keep(b"second")
    await beating.release()
    assert (reply.headers, reply.pieces) == ([("x", "second")], [b"second"])
    beating.stop()


async def test_a_stream_that_flows_has_no_heartbeats_and_one_that_stalls_has() -> None:
    beating, reply, _ = pulse(heartbeat_s=0.2)
    beating.hold(200, [])
    await beating.release()
    for _ in range(5):
        await asyncio.sleep(0.02)
        await beating.write(b"event")
    assert COMMENT not in reply.pieces
    await reply.until(lambda: COMMENT in reply.pieces)
    beating.stop()


async def test_after_its_end_nothing_is_written() -> None:
    beating, reply, failures = pulse(early_answer_s=0.005, heartbeat_s=0.005)
    beating.await_headers()
    beating.stop()
    await asyncio.sleep(0.02)
    assert not reply.started
    assert (reply.pieces, failures) == ([], [])


async def test_a_caller_that_has_gone_is_no_failure_of_the_pulse() -> None:
    beating, reply, failures = pulse(early_answer_s=0.005, heartbeat_s=0.005)
    reply.gone = True
    beating.await_headers()
    await reply.until(lambda: reply.started)
    await asyncio.sleep(0.02)
    beating.stop()
    assert failures == []


async def test_zero_turns_them_off() -> None:
    beating, _, _ = pulse(early_answer_s=0.0, heartbeat_s=0.0)
    beating.await_headers()
    beating.hold(200, [])
    await beating.release()
    assert not beating.bell
    beating.stop()
