"""Many connections, streams and workers: how they are shared, what each holds, and who notices when a worker goes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import cast

import pytest

from benchmarks.scale import Counted, call, close, connected, disturb, opened_streams, short_calls, until
from benchmarks.subject import Subject, private_kb, target, weir
from proxy.processes.files import FEW
from tests.certificates import Certificates
from tests.elsewhere import Elsewhere
from tests.raw import post
from tests.worker import weir as weir_here

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
SHARE = 0.2
PLAIN = ("audit", "metering")
DATA_SEGMENTS_IN = 152
"""Where `struct tcp_info` has the number of segments with data that came."""
EVENT = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"%d"}}]}\n\n'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def two() -> Iterator[Subject]:
    """A Weir with two workers."""
    with target() as port, weir(f"http://127.0.0.1:{port}", workers=2) as subject:
        yield subject


async def test_each_of_two_workers_gets_its_half_of_500_connections(two: Subject) -> None:
    wires = await connected(two.port, 500)
    await until(lambda: sum(two.connections()) >= 500)
    assert max(two.connections()) <= 250 * (1 + SHARE)
    await close(wires)


@pytest.mark.parametrize("how", ["drain", "reload"])
async def test_no_call_is_lost_while_workers_are_replaced_or_settings_change(two: Subject, how: str) -> None:
    """Each call comes over a connection of its own, so that some always wait to be accepted."""
    ends: Counter[str] = Counter()
    stop = asyncio.Event()
    callers = [asyncio.ensure_future(short_calls(two.port, ends, stop)) for _ in range(8)]
    for number in range(2):
        seen = ends["ok"]
        await until(lambda seen=seen: ends["ok"] > seen + 50)  # type: ignore[misc]
        await disturb(two, how, number)
    seen = ends["ok"]
    await until(lambda: ends["ok"] > seen + 50)
    stop.set()
    await asyncio.gather(*callers)
    assert set(ends) == {"ok"}


async def test_a_killed_worker_takes_its_own_connections_and_nobody_elses(two: Subject) -> None:
    """Its successor answers what had come to its socket and was not accepted yet."""
    first, second = two.pids("worker")
    theirs = await connected(two.port, 40)
    await until(lambda: sum(two.connections()) == 40)
    on_second = len(two.sockets(second))
    os.kill(first, signal.SIGSTOP)
    waiting = await connected(two.port, 40)
    asked = [wire.send(call()) for wire in (*theirs, *waiting)]
    await until(lambda: len(two.sockets(second)) > on_second and sum(map(asyncio.Future.done, asked)) > on_second)
    os.kill(first, signal.SIGKILL)
    ends = await asyncio.wait_for(asyncio.gather(*asked), 30)
    assert Counter(ends[40:]) == {"ok": 40}
    assert Counter(ends[:40])["ok"] == on_second
    await close([*theirs, *waiting])


def test_a_worker_may_open_as_many_files_as_the_system_allows() -> None:
    few = ("sh", "-c", 'ulimit -Sn 256; exec "$@"', "sh")
    with target() as port, weir(f"http://127.0.0.1:{port}", prefix=few) as subject:
        (worker,) = subject.pids("worker")
        soft, hard = open_files(worker)
        assert soft == hard
        assert open_files(subject.process.pid)[0] == 256, "the command of `weir run` inherits the supervisor's"
        assert FEW > 256


def open_files(pid: int) -> tuple[int, int]:
    line = next(line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if "open files" in line)
    soft, hard = line.split()[3:5]
    return int(soft), int(hard)


@pytest.mark.parametrize(
    ("tls", "plugins", "most_kb"),
    [(False, PLAIN, 20), (True, PLAIN, 90), (False, (), 32)],
    ids=["plain", "tls", "guarded"],
)
async def test_an_open_stream_takes_little_memory(
    tls: bool, plugins: tuple[str, ...], most_kb: int, certificates: Certificates
) -> None:
    options = ("--tls", str(certificates.server)) if tls else ()
    scheme, authority = ("https", certificates.authority) if tls else ("http", None)
    with (
        target(*options) as port,
        weir(f"{scheme}://127.0.0.1:{port}", authority=authority, plugins=plugins) as subject,
    ):
        (worker,) = subject.pids("worker")
        streams, each_kb = await opened_streams(subject.port, 100, 600_000), []
        for _ in range(3):  # an arena or a table that is made once falls into one of the three
            before = private_kb(worker)
            streams += await opened_streams(subject.port, 150, 600_000)
            each_kb.append((private_kb(worker) - before) / 150)
        await close(streams)
        assert median(each_kb) < most_kb, each_kb


async def test_calls_over_tls_share_their_connections(certificates: Certificates) -> None:
    loop = asyncio.get_running_loop()
    tls = certificates.server_context()
    server = await loop.create_server(lambda: Counted(loop.call_later), "127.0.0.1", 0, ssl=tls)
    Counted.made, port = 0, server.sockets[0].getsockname()[1]
    upstream = {"ca_file": str(certificates.authority)}
    async with weir_here(provider=Elsewhere(f"https://127.0.0.1:{port}"), upstream=upstream) as running:
        wires, data = await connected(running.port, 4), call()
        for _ in range(100):
            assert await asyncio.gather(*(wire.send(data) for wire in wires)) == ["ok"] * 4
        for wire in wires:
            wire.transport.close()
    server.close()
    assert 1 <= Counted.made <= 4


class Stepped(asyncio.Protocol):
    """A provider that says its next event when it is told to; remembers in how many segments its call came."""

    def __init__(self, made: list[Stepped]) -> None:
        made.append(self)
        self.transport: asyncio.Transport
        self.came = b""
        self.segments = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.came += data
        self.segments = segments(self.transport)

    def say(self, number: int) -> None:
        event = EVENT % number
        self.transport.write((HEAD if number == 0 else b"") + b"%x\r\n%b\r\n" % (len(event), event))


def segments(transport: asyncio.BaseTransport) -> int:
    info = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return int(struct.unpack_from("I", info, DATA_SEGMENTS_IN)[0])


async def test_every_read_is_one_write_and_none_waits_for_another() -> None:
    """No Nagle, no delayed acknowledgement: each event leaves in a segment of its own, in whole, when it has come."""
    loop, made = asyncio.get_running_loop(), list[Stepped]()
    server = await loop.create_server(lambda: Stepped(made), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    body = b'{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"%b"}]}' % (b"word " * 300)
    async with weir_here(provider=Elsewhere(f"http://127.0.0.1:{port}")) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(post(body, b"Content-Type: application/json", b"Authorization: Bearer sk-caller"))
        await until(lambda: made and made[0].came.endswith(b"}"))
        assert made[0].segments == 1
        seen = []
        for number in range(20):
            made[0].say(number)
            await reader.readuntil(EVENT % number)
            seen.append(segments(writer.transport))
        assert seen == list(range(seen[0], seen[0] + 20))
        assert undelayed(running.port, port) == {"caller": [True], "provider": [True]}
        writer.close()
    server.close()


def undelayed(own: int, provider: int) -> dict[str, list[bool]]:
    """Of Weir's sockets to each side, all of them in this process: whether they have TCP_NODELAY."""
    found: dict[str, list[bool]] = {"caller": [], "provider": []}
    for name in os.listdir("/proc/self/fd"):
        if not kind_of(name).startswith("socket:"):
            continue
        with suppress(OSError), socket.socket(fileno=os.dup(int(name))) as held:
            if held.family != socket.AF_INET:
                continue
            here, there = held.getsockname()[1], held.getpeername()[1]
            side = "caller" if here == own else "provider" if there == provider else ""
            if side:
                found[side].append(bool(held.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
    return found


def kind_of(name: str) -> str:
    with suppress(OSError):
        return os.readlink(f"/proc/self/fd/{name}")
    return ""
