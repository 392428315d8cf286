"""What holds a worker's event loop: long bodies and answers through a whole worker, and the longest hold of each.

`python -m benchmarks.lag [--mb 1 5 30] [--repeat 3] [--only WORDS]`. The worker runs in this process; who calls and who
answers are one other process. Between two ticks of a task that wants to run every millisecond lie the worker's own work
(`cpu`, of the loop's thread) and whatever else kept it from running (`wall`: other threads that hold the interpreter,
other processes too). What is inherent holds in each repetition, so the least of them counts.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import gzip
import json
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import brotli  # type: ignore[import-untyped]
import orjson
import uvloop
import zstandard

from proxy.app.worker import Parts, Worker
from proxy.clock import SystemClock
from proxy.live import Entry, Identity, Limits, Snapshot, Streams, Upstream
from proxy.store.memory import MemoryStore

CHAT = "/v1/chat/completions"
SPREAD = random.Random(3)
PLAIN = ["".join(SPREAD.choices("etaoinshrdlu", k=SPREAD.randint(2, 9))) for _ in range(999)]
FAR = ["".join(SPREAD.choices("абвгдежзик漢字中文本日é", k=SPREAD.randint(2, 9))) for _ in range(999)]


# ---- what is sent and answered --------------------------------------------------------------------------------------


def text(size: int, words: list[str] = PLAIN, blank: str = " ") -> str:
    made, long = [], 0
    while long < size:
        made.append(SPREAD.choice(words))
        long += len(made[-1].encode()) + 1
    return blank.join(made)


def call(content: str, **more: Any) -> dict[str, Any]:
    return {"model": "json", "messages": [{"role": "user", "content": content}], **more}


def turns(size: int, each: int) -> dict[str, Any]:
    one = {"role": "user", "content": text(each)}
    other = {"role": "assistant", "content": [{"type": "text", "text": text(each)}]}
    return {"model": "json", "messages": [one, other] * (size // each // 2)}


def nested(size: int) -> bytes:
    unit = b"[" * 120 + b'"x"' + b"]" * 120
    return b'{"model":"json","messages":[{"role":"user","content":"x"}],"tools":[' + b",".join(
        [b'{"d":' + unit + b"}"] * (size // 250)
    ) + b"]}"  # fmt: skip


Made = Callable[[int], bytes]
BODIES: Mapping[str, Made] = MappingProxyType({
    "one text": lambda size: orjson.dumps(call(text(size))),
    "turns": lambda size: orjson.dumps(turns(size, 400)),
    "not ASCII": lambda size: orjson.dumps(call(text(size, FAR))),
    "escaped": lambda size: json.dumps(call(text(size // 3, FAR))).encode(),
    "lines": lambda size: orjson.dumps(call(text(size, PLAIN, "\n"))),
    "pretty": lambda size: json.dumps(turns(size // 2, 80), indent=2).encode(),
    "deep": nested,
    "doubled key": lambda size: orjson.dumps(call(text(size)))[:-1] + b',"model":"m"}',
    "broken": lambda size: orjson.dumps(call(text(size)))[:-1] + b",}",
    "gzip": lambda size: gzip.compress(orjson.dumps(turns(size, 400)), 1),
    "zstd": lambda size: zstandard.compress(orjson.dumps(turns(size, 400))),
    "br": lambda size: brotli.compress(orjson.dumps(turns(size, 400)), quality=1),
})  # fmt: skip


def answer(kind: str, size: int) -> bytes:
    usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
    head = {"id": "x", "object": "chat.completion", "created": 1, "model": "json"}
    if kind in ("stream", "event"):
        pieces = [text(size)] if kind == "event" else [text(400)] * (size // 500)
        events = [{**head, "choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
        events.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage})
        body = b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events) + b"data: [DONE]\n\n"
        return _http(body, b"text/event-stream")
    if kind == "floats":
        rows = [[SPREAD.random() for _ in range(1536)] for _ in range(max(1, size // 30_000))]
        data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)]
        return _http(orjson.dumps({"object": "list", "model": "m", "data": data, "usage": usage}))
    message = {"role": "assistant", "content": text(size if kind in ("long", "mute long") else 100)}
    doc = {**head, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    return _http(orjson.dumps(doc if kind.startswith("mute") else {**doc, "usage": usage}))


def _http(body: bytes, kind: bytes = b"application/json") -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (kind, len(body), body)


@dataclass(frozen=True)
class Case:
    name: str
    body: bytes
    answer: bytes
    path: str = CHAT
    coding: str = ""

    @property
    def request(self) -> bytes:
        coding = f"content-encoding: {self.coding}\r\n" if self.coding else ""
        head = f"POST {self.path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{coding}"
        return f"{head}content-length: {len(self.body)}\r\n\r\n".encode() + self.body


def case(name: str, mb: int) -> Case:
    """By its name: a kind of body, or of answer."""
    size = mb << 20
    if name in BODIES:
        coding = name if name in ("gzip", "zstd", "br") else ""
        return Case(name, BODIES[name](size), answer("json", 0), coding=coding)
    if name == "floats":
        return Case(name, b'{"model":"m","input":"x"}', answer(name, size), "/v1/embeddings")
    if name == "mute":
        return Case(name, orjson.dumps(call(text(size))), answer("mute", 0))
    return Case(name, orjson.dumps(call("x", stream=name in ("stream", "event"))), answer(name, size))


CASES = (*BODIES, "long", "mute long", "floats", "stream", "event", "mute")


# ---- the other process: it calls, and it is the provider ------------------------------------------------------------


def other() -> None:
    """Serves on a port that it tells; for each line `{"name", "mb", "port"}` makes that call and tells its status."""
    server = socket.create_server(("127.0.0.1", 0))
    now: list[Case] = []
    threading.Thread(target=_provide, args=(server, now), daemon=True).start()
    print(server.getsockname()[1], flush=True)
    for line in sys.stdin:
        wanted = json.loads(line)
        if not now or wanted["again"] is False:
            now[:] = [case(wanted["name"], wanted["mb"])]
        with socket.create_connection(("127.0.0.1", wanted["port"])) as connection:
            sender = threading.Thread(target=_send, args=(connection, now[0].request))
            sender.start()
            head, _ = _whole(connection)
            sender.join()
        print(head[9:12].decode(), flush=True)


def _send(connection: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):  # refused before it was all there
        connection.sendall(data)


def _provide(server: socket.socket, now: list[Case]) -> None:
    while True:
        connection, _ = server.accept()
        threading.Thread(target=_answer, args=(connection, now), daemon=True).start()


def _answer(connection: socket.socket, now: list[Case]) -> None:
    with connection, contextlib.suppress(OSError):  # refused as too large
        while _whole(connection)[0]:
            connection.sendall(now[0].answer)


def _whole(connection: socket.socket) -> tuple[bytes, int]:
    """The head of one message, read to its end."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(1 << 20)
        if not piece:
            return b"", 0
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    got, length = len(rest), int(fields.get(b"content-length", -1))
    last = rest
    while got < length or (length < 0 and not last.endswith(b"0\r\n\r\n")):
        last = connection.recv(1 << 20)
        if not last:
            break
        got += len(last)
    return head, got


# ---- the worker, watched --------------------------------------------------------------------------------------------


@dataclass
class Held:
    """The longest hold of one call, in milliseconds."""

    wall_ms: float = 0.0
    cpu_ms: float = 0.0


class Nothing:
    """Metrics, records and prices that keep nothing."""

    def counter(self, name: str, **labels: str) -> Nothing:
        return self

    def histogram(self, name: str, **labels: str) -> Nothing:
        return self

    def gauge(self, name: str, **labels: str) -> Callable[[float], None]:
        return lambda value: None

    def add(self, amount: float = 1.0) -> None: ...
    def observe(self, value: float) -> None: ...
    def put(self, line: bytes) -> None: ...
    async def put_durable(self, line: bytes) -> None: ...

    async def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        return {}

    def cost_nano_usd(self, *call: object) -> tuple[None, str]:
        return None, ""


class Bench:
    """`async with Bench() as bench: await bench.held("turns", 5)`."""

    async def __aenter__(self) -> Bench:
        self._other = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.lag", "--other", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._other.stdout is not None
        provider = int(await self._other.stdout.readline())
        chain = (Entry("audit", "audit"), Entry("metering", "metering"))
        made = Snapshot(
            version=1, upstreams={"sim": Upstream("sim", f"http://127.0.0.1:{provider}/v1")}, aliases={}, chain=chain,
            agents={}, identity=Identity(), limits=Limits(body_bytes=64 << 20), streams=Streams(), resolve=None,
        )  # fmt: skip
        nothing: Any = Nothing()
        store = MemoryStore(SystemClock())
        parts = Parts(records=nothing, metrics=nothing, store=store, prices=nothing, secret=b"s", details={})
        self._worker = Worker(made, parts)
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        await self._worker.start(sock)
        self._port = sock.getsockname()[1]
        gc.collect()
        gc.freeze()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._other.kill()
        await self._other.wait()
        await self._worker.stop(1.0)
        gc.unfreeze()

    async def held(self, name: str, mb: int, repeat: int, enough_ms: float = 0.0) -> Held:
        """The least of up to `repeat` calls; fewer where one of them stayed under `enough_ms`."""
        least = Held(1e9, 1e9)
        for turn in range(repeat):
            one = await self._once(name, mb, again=turn > 0)
            least = Held(min(least.wall_ms, one.wall_ms), min(least.cpu_ms, one.cpu_ms))
            if max(least.wall_ms, least.cpu_ms) < enough_ms:
                break
        return least

    async def _once(self, name: str, mb: int, *, again: bool) -> Held:
        assert self._other.stdin is not None and self._other.stdout is not None
        held = Held()
        watch = asyncio.create_task(_watch(held))
        wanted = {"name": name, "mb": mb, "port": self._port, "again": again}
        self._other.stdin.write(json.dumps(wanted).encode() + b"\n")
        await self._other.stdout.readline()
        await asyncio.sleep(0.02)  # (the call is settled beside)
        watch.cancel()
        return held


async def _watch(held: Held) -> None:
    wall, cpu = time.perf_counter(), time.thread_time()
    while True:
        await asyncio.sleep(0.001)
        now, used = time.perf_counter(), time.thread_time()
        held.wall_ms = max(held.wall_ms, (now - wall) * 1000 - 1)
        held.cpu_ms = max(held.cpu_ms, (used - cpu) * 1000)
        wall, cpu = now, used


async def main(options: argparse.Namespace) -> None:
    async with Bench() as bench:
        for mb in options.mb:
            for name in options.only or CASES:
                held = await bench.held(name, mb, options.repeat)
                print(f"{mb:3} MB  {name:12}  wall {held.wall_ms:7.1f} ms  cpu {held.cpu_ms:7.1f} ms", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, nargs="+", default=[1, 5, 30])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=CASES)
    parser.add_argument("--other", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.other:
        other()
    else:
        gc.set_threshold(50_000, 20, 100)
        uvloop.run(main(given))
