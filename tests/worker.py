"""A whole worker in the test's own loop: real server, real client, simulated provider; records land in a list."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import orjson

from benchmarks.provider import Provider
from proxy.app.worker import Parts, Worker
from proxy.clock import SystemClock
from proxy.live import Entry, Snapshot, Upstream
from proxy.record import parsed
from proxy.store.memory import MemoryStore
from tests import kit


class Sink:
    """Records in memory; `await sink.next()` waits for one more."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.durable: list[dict[str, Any]] = []
        self._more = asyncio.Event()

    def put(self, line: bytes) -> None:
        self.records.append(dict(parsed(line)))
        self._more.set()

    async def put_durable(self, line: bytes) -> None:
        self.durable.append(orjson.loads(line))

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        return {}

    async def wait_for(self, count: int, within_s: float = 5.0) -> list[dict[str, Any]]:
        async with asyncio.timeout(within_s):
            while len(self.records) < count:
                self._more.clear()
                await self._more.wait()
        return self.records


class Running:
    """What a test gets: where to call, what was recorded, the provider behind."""

    def __init__(self, worker: Worker, port: int, sink: Sink, provider: Provider, tls: bool) -> None:
        self.worker = worker
        self.port = port
        self.sink = sink
        self.provider = provider
        self.root = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        self.url = self.root + "/v1"

    @property
    def records(self) -> list[dict[str, Any]]:
        return self.sink.records


DEFAULT = (Entry("audit", "audit"), Entry("metering", "metering"))


def settings(provider_url: str, *chain: Entry, **changes: Any) -> Snapshot:
    """A snapshot with one upstream, the provider, under the chain given (default: audit and metering)."""
    upstream = Upstream("sim", provider_url, **changes.pop("upstream", {}))
    others = {one.name: one for one in changes.pop("upstreams", ())}
    made = kit.snapshot(*(chain or DEFAULT), upstreams={"sim": upstream, **others}, **changes)
    return replace(made, resolve=None)


@asynccontextmanager
async def weir(
    *chain: Entry,
    provider: Provider | None = None,
    tls: ssl.SSLContext | None = None,
    sink: Sink | None = None,
    **changes: Any,
) -> AsyncIterator[Running]:
    """`async with weir() as running: ... running.url`. `changes` are fields of the snapshot, `upstream` of its one
    upstream; `upstreams` are others beside it."""
    own = provider or Provider()
    sink = sink or Sink()
    async with own:
        made = settings(own.url, *chain, **changes)
        parts = Parts(
            records=sink,
            metrics=kit.FakeMetrics(),
            store=MemoryStore(SystemClock()),
            prices=kit.FakePrices(),
            secret=b"test secret",
            details={},
        )
        worker = Worker(made, parts)
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        await worker.start(sock, tls)
        try:
            yield Running(worker, sock.getsockname()[1], sink, own, tls is not None)
        finally:
            await worker.stop(1.0)
