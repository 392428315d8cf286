"""Sender and Receiver over a real socket: in order, at least once, never waiting."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from proxy.channel import AskFailed, ChannelDown, ChannelFull, Peer, Receiver, Sender
from tests.kit import FakeMetrics


class Control:
    """A control process's half, with what it saw."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[bytes] = []
        self.errors: list[BaseException] = []
        self.joined = asyncio.Event()
        self.left = asyncio.Event()
        self.changed = asyncio.Event()
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.fail = 0
        self.receiver: Receiver

    async def start(self) -> None:
        self.receiver = Receiver(
            str(self.path),
            self.batch,
            on_ask=self.ask,
            on_join=self.join,
            on_leave=self.leave,
            on_error=self.errors.append,
        )
        await self.receiver.start()

    async def batch(self, lines: list[bytes]) -> None:
        await self.gate.wait()
        if self.fail:
            self.fail -= 1
            raise OSError("the disk is full")
        self.lines += lines
        self.changed.set()

    async def ask(self, peer: Peer, message: dict[str, Any]) -> dict[str, Any]:
        self.asked.set()
        if message.get("wait"):
            await asyncio.Event().wait()
        if message.get("fail"):
            raise ValueError("no")
        return {"seen": len(self.lines), "slot": peer.slot}

    def join(self, peer: Peer) -> None:
        self.joined.set()

    def leave(self, peer: Peer) -> None:
        self.left.set()

    def busy(self) -> bool:
        return any(connection.busy for connection in self.receiver._connections)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.lines) < count:
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    made = Control(tmp_path / "control.sock")
    await made.start()
    yield made
    made.gate.set()
    await made.receiver.stop(1.0)


@asynccontextmanager
async def sending(path: Path, **options: Any) -> AsyncIterator[Sender]:
    sender = Sender(path, slot=3, **options)
    await sender.start()
    try:
        yield sender
    finally:
        await sender.stop(1.0 if sender.connected else 0.01)
        gc.collect()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0)


async def test_records_arrive_in_order_without_being_asked_for(control: Control) -> None:
    async with sending(control.path) as sender:
        sent = [b'{"n":%d}' % number for number in range(3000)]
        for line in sent:
            sender.put(line)
        await control.until(len(sent))
        assert control.lines == sent
        assert sender.state() | {"unacknowledged_s": 0.0} == {
            "connected": True, "waiting_bytes": 0, "unacknowledged_s": 0.0, "stalled": False, "dropped": 0
        }  # fmt: skip


async def test_a_durable_record_is_with_control_when_the_call_returns(control: Control) -> None:
    async with sending(control.path) as sender:
        await sender.put_durable(b'"kept"')
        assert control.lines == [b'"kept"']


async def test_a_durable_record_that_nobody_confirms_says_so(tmp_path: Path) -> None:
    async with sending(tmp_path / "nobody.sock", held_bytes=20) as sender:
        with pytest.raises(ChannelDown):
            await sender.put_durable(b'"kept"', timeout_s=0.01)
        with pytest.raises(ChannelFull):
            await sender.put_durable(b"x" * 21)


async def test_the_newest_records_are_dropped_and_counted_when_the_buffer_is_full(tmp_path: Path) -> None:
    metrics = FakeMetrics()
    control = Control(tmp_path / "control.sock")
    async with sending(control.path, metrics=metrics, held_bytes=100) as sender:
        for number in range(30):
            sender.put(b"%010d" % number)
        assert sender.dropped == 20
        await control.start()
        await control.until(10)
        assert control.lines == [b"%010d" % number for number in range(10)]
    assert metrics.total("weir_records_dropped_total") == 20
    await control.receiver.stop(1.0)


async def test_what_was_not_acknowledged_is_sent_again_after_control_comes_back(control: Control) -> None:
    async with sending(control.path) as sender:
        await sender.put_durable(b'"first"')
        control.gate.clear()
        sender.put(b'"second"')
        await asyncio.sleep(0)
        await control.receiver.stop(0.0)
        sender.put(b'"third"')
        control.gate.set()
        await control.start()
        await control.until(3)
        assert control.lines == [b'"first"', b'"second"', b'"third"']


async def test_a_batch_whose_acknowledgement_was_lost_is_not_handled_twice(control: Control) -> None:
    async with sending(control.path) as sender:
        await control.joined.wait()
        control.gate.clear()
        sender.put(b'"once"')
        waiting = asyncio.create_task(sender.put_durable(b'"twice?"'))
        await until(control.busy)
        assert sender._transport is not None
        sender._transport.abort()
        await until(lambda: len(control.receiver._connections) == 2)
        control.gate.set()
        await waiting
        assert control.lines == [b'"once"', b'"twice?"']


async def test_a_handler_that_fails_gets_the_batch_again(control: Control) -> None:
    control.fail = 2
    async with sending(control.path) as sender:
        await sender.put_durable(b'"patient"')
    assert control.lines == [b'"patient"']
    assert [str(error) for error in control.errors] == ["the disk is full"] * 2


async def test_a_worker_whose_batch_cannot_be_handled_is_not_taken_for_gone(control: Control) -> None:
    control.fail = 1
    async with sending(control.path) as sender:
        sender.put(b'"patient"')
        await control.left.wait()
        assert [peer.slot for peer in control.receiver.peers] == [3] == [peer.slot for peer in control.receiver.serving]
        await control.until(1)
        assert len(control.receiver.peers) == 1


async def test_a_worker_that_drains_is_connected_and_does_not_serve_also_over_its_next_connection(
    control: Control,
) -> None:
    async with sending(control.path) as sender:
        await until(lambda: len(control.receiver.serving) == 1)
        sender.draining()
        await until(lambda: control.receiver.serving == [])
        assert len(control.receiver.peers) == 1
        control.joined.clear()
        assert sender._transport is not None
        sender._transport.abort()
        await control.joined.wait()
        assert control.receiver.serving == []


async def test_a_control_that_hangs_is_told_by_the_age_of_what_it_does_not_acknowledge(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.channel.sender.STALLED_S", 0.0)
    async with sending(control.path) as sender:
        await control.joined.wait()
        assert (sender.state()["unacknowledged_s"], sender.state()["stalled"]) == (0.0, False)
        control.gate.clear()
        waiting = asyncio.create_task(sender.put_durable(b'"lost?"'))
        await until(control.busy)
        await until(lambda: sender.state()["unacknowledged_s"] > 0)
        assert sender.state()["stalled"] and sender.state()["connected"]
        control.gate.set()
        await waiting
        assert not sender.state()["stalled"]


async def test_stop_sends_what_is_left_and_waits_for_the_word(control: Control) -> None:
    async with sending(control.path) as sender:
        await control.joined.wait()
        for number in range(100):
            sender.put(b"%d" % number)
        assert await sender.stop(2.0) == 0
        assert len(control.lines) == 100


async def test_stop_ends_in_time_and_says_what_was_lost(tmp_path: Path) -> None:
    async with sending(tmp_path / "nobody.sock") as sender:
        sender.put(b"1")
        waiting = asyncio.create_task(sender.put_durable(b"2"))
        await asyncio.sleep(0)
        assert await sender.stop(0.01) == 2
        with pytest.raises(ChannelDown):
            await waiting
        with pytest.raises(ChannelDown):
            await sender.ask({})
        sender.put(b"3")
        assert sender.dropped == 3


async def test_a_question_sees_what_was_put_before_it(control: Control) -> None:
    async with sending(control.path) as sender:
        sender.put(b"1")
        assert await sender.ask({"what": "seen"}) == {"seen": 1, "slot": 3}


async def test_questions_fail_apart_and_in_time(control: Control) -> None:
    async with sending(control.path) as sender:
        with pytest.raises(AskFailed, match="could not answer") as failed:
            await sender.ask({"fail": True})
        assert "no" in failed.value.reason
        with pytest.raises(ChannelDown):
            await sender.ask({"wait": True}, timeout_s=0.02)
        assert (await sender.ask({}))["slot"] == 3
        control.asked.clear()
        asking = asyncio.create_task(sender.ask({"wait": True}))
        await control.asked.wait()
        await control.receiver.stop(0.0)
        with pytest.raises(ChannelDown, match="went away"):
            await asking


async def test_pushes_are_handled_in_order_and_acknowledged(control: Control) -> None:
    seen: list[int] = []

    async def handle(message: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        seen.append(message["n"])
        if message["n"] == 9:
            raise ValueError("nine")
        return {"done": message["n"]}

    async with sending(control.path, on_push=handle):
        await control.joined.wait()
        (peer,) = control.receiver.peers
        assert (peer.pid, peer.slot) == (os.getpid(), 3)
        for number in range(5):
            assert control.receiver.push({"n": number}) == 1
        assert await control.receiver.tell({"n": 5}, 2.0) == {peer: {"body": {"done": 5}}}
        assert seen == [0, 1, 2, 3, 4, 5]
        assert (await control.receiver.tell({"n": 9}, 2.0, to=peer))[peer]["error"] == "ValueError: nine"


async def test_a_plain_function_may_handle_pushes_too(control: Control) -> None:
    seen: list[dict[str, Any]] = []
    async with sending(control.path, on_push=seen.append):
        await control.joined.wait()
        assert len(await control.receiver.tell({"snapshot": 4}, 2.0)) == 1
    assert seen == [{"snapshot": 4}]


async def test_one_worker_of_several_can_be_told(control: Control) -> None:
    def answer(slot: int) -> Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]:
        async def handle(message: dict[str, Any]) -> dict[str, Any]:
            return {"slot": slot}

        return handle

    async with sending(control.path, on_push=answer(1)) as one, sending(control.path, on_push=answer(2)) as two:
        await asyncio.gather(one.ask({}), two.ask({}))
        said = await control.receiver.tell({}, 2.0)
        assert sorted(reply["body"]["slot"] for reply in said.values()) == [1, 2]
        assert len(await control.receiver.tell({}, 2.0, to=control.receiver.peers[0])) == 1


async def test_a_worker_that_does_not_answer_does_not_hold_control_up(control: Control) -> None:
    async def never(message: dict[str, Any]) -> None:
        await asyncio.Event().wait()

    async with sending(control.path, on_push=never):
        await control.joined.wait()
        assert await control.receiver.tell({}, 0.02) == {}


async def test_control_hears_of_workers_that_leave(control: Control) -> None:
    async with sending(control.path) as sender:
        await control.joined.wait()
        await sender.stop(1.0)
        async with asyncio.timeout(2):
            await control.left.wait()
    assert control.receiver.peers == []


async def test_stop_of_control_finishes_the_batch_in_work(control: Control) -> None:
    async with sending(control.path) as sender:
        await control.joined.wait()
        control.gate.clear()
        keeping = asyncio.create_task(sender.put_durable(b"1"))
        await until(control.busy)
        stopping = asyncio.create_task(control.receiver.stop(2.0))
        await until(lambda: any(one.closing for one in control.receiver._connections))
        control.gate.set()
        await asyncio.gather(keeping, stopping)
        assert control.lines == [b"1"]


async def test_a_new_control_takes_over_a_stale_socket_and_an_old_one_leaves_it_alone(control: Control) -> None:
    successor = Control(control.path)
    await successor.start()
    await control.receiver.stop(1.0)
    async with sending(control.path) as sender:
        await sender.put_durable(b"1")
    assert successor.lines == [b"1"]
    assert os.stat(control.path).st_mode & 0o777 == 0o600
    await successor.receiver.stop(1.0)
    assert not control.path.exists()


@pytest.mark.parametrize("raw", [b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\2\1{}", b"\0\0\0\0\3", b"\xff\xff\xff\xff\1"])
async def test_whoever_does_not_speak_the_protocol_is_cut_off_alone(control: Control, raw: bytes) -> None:
    async with sending(control.path) as sender:
        reader, writer = await asyncio.open_unix_connection(str(control.path))
        writer.write(raw)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        await sender.put_durable(b"1")
    assert len(control.errors) == 1


async def test_a_sender_survives_a_listener_that_talks_nonsense(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    dialled = asyncio.Event()

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\0\0\0\0\x63")
        dialled.set()
        await reader.read()
        writer.close()
        await writer.wait_closed()

    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(path))
    server = await asyncio.start_unix_server(babble, sock=bound)
    async with sending(path) as sender:
        sender.put(b"1")
        await dialled.wait()
        server.close()
        control = Control(path)
        await control.start()
        await control.until(1)
        await control.receiver.stop(1.0)


def test_the_channel_works_on_uvloop_and_leaves_nothing_open(tmp_path: Path) -> None:
    async def story() -> list[bytes]:
        control = Control(tmp_path / "control.sock")
        await control.start()
        async with sending(control.path) as sender:
            await sender.put_durable(b"1")
            await control.receiver.stop(1.0)
            sender.put(b"2")
            await control.start()
            await control.until(2)
            assert (await sender.ask({}))["seen"] == 2
        await control.receiver.stop(1.0)
        return control.lines

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(story()) == [b"1", b"2"]
    gc.collect()
