"""A worker: one event loop that serves calls. `Worker` builds its objects from a snapshot; `main` is the process."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import uvloop

from proxy import snapshot
from proxy.app.lessons import Lessons
from proxy.app.parts import PRICES, SNAPSHOT, SOCKET, LazyPrices, open_store, read_facts
from proxy.ask import Asker
from proxy.chain import Chain
from proxy.channel.sender import Sender
from proxy.clock import SystemClock
from proxy.cork import Cork
from proxy.derived import derived
from proxy.errors import ConfigError, Overloaded, WeirError
from proxy.express import Express
from proxy.held import Held
from proxy.house import House, Records
from proxy.live import Live, Snapshot
from proxy.local import Calls, Feedback, Models, endpoints
from proxy.memory import Memory
from proxy.pipeline import Pipeline
from proxy.plugin import Kit
from proxy.ports import Metrics, Prices, Store
from proxy.processes import files, life
from proxy.processes.early import Wait
from proxy.registry import Registry, with_options
from proxy.relay import Relay
from proxy.server.auth import Auth, allowed
from proxy.server.encodings import inflate
from proxy.server.expiry import Expiry
from proxy.server.front import Front
from proxy.server.probes import Probes
from proxy.server.tunnel import tunnel
from proxy.shadow import ShadowStore
from proxy.spent import Spending
from proxy.tasks import Tasks
from proxy.telemetry.lag import Lag
from proxy.telemetry.logs import Log, install
from proxy.telemetry.page import Page
from proxy.tokens import Tokens
from proxy.trim import one_arena, trim
from proxy.upstream import endpoint, tls
from proxy.upstream.client import Client
from proxy.upstream.pool import Pool
from proxy.wire import DIALECTS, codec

log = logging.getLogger("weir.worker")


@dataclass(slots=True)
class Chains:
    """The chain of the newest snapshot."""

    current: Chain


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker gets from its surroundings: real in a process, fakes in tests."""

    records: Records
    metrics: Metrics
    store: Store
    prices: Prices
    secret: bytes
    details: Mapping[str, Callable[[], Any]]
    alone: bool = False
    """No other process sees the store."""


class Worker:
    """One worker's objects. `start` on a bound socket, `swap` on new settings, `stop` drains."""

    def __init__(self, first: Snapshot, parts: Parts) -> None:
        """Raises ConfigError where there is no plugin of a name."""
        self._parts = parts
        self._clock = SystemClock()
        self.live = Live(with_options(first))
        self.tasks = Tasks(parts.metrics, _task_failed)
        self._cork = Cork()
        self.client = Client(self._clock, cork=self._cork)
        self._lag = Lag(self._clock.monotonic_s, parts.metrics)
        self._asker = Asker()
        self.swapping = asyncio.Lock()
        self._expiry = Expiry(self._clock.wall_s, lambda: self.tasks.spawn("keys ended", self.renew()))
        self._tokens = Tokens()
        self.registry = Registry(
            Kit(
                clock=self._clock,
                store=ShadowStore(parts.store, alone=parts.alone),
                tokens=self._tokens,
                prices=parts.prices,
                metrics=parts.metrics,
                tasks=self.tasks,
                live=self.live,
                ask=self._asker,
                memory=Memory(),
                secret=derived(parts.secret),
                spent=Spending(parts.records),
                targets=endpoint.targets_of,
            )
        )
        self.lessons = Lessons(parts.records.ask, self.registry.teach)
        self.front: Front
        self.chains: Chains
        self.pipeline: Pipeline

    async def start(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Raises ConfigError where a plugin cannot work with the settings."""
        parts, now = self._parts, self._clock.monotonic_s
        self.chains = Chains(await self._chain(self.live.current))
        pool = Pool(self.client, self._clock, parts.metrics)
        held = Held(parts.store)
        calls = Calls(parts.records)
        house = House(
            now=now,
            wall=self._clock.wall_s,
            chains=self.chains,
            pool=pool,
            link=self.client,
            store=parts.store,
            records=parts.records,
            tasks=self.tasks,
            metrics=parts.metrics,
            identify=Auth(self._clock.wall_s).identify,
            allowed=allowed,
            inflate=inflate,
            decode=self._tokens.decode,
            secret=parts.secret,
            local=endpoints(Models(self.client), calls, Feedback(parts.records)),
            held=held,
            kept=calls.keep,
            relay=Relay(now, pool, self.client, held, tunnel),
        )
        self._asker.bind(house)
        self.pipeline = Pipeline(house)
        await self.client.prepare(self.live.current.upstreams.values())
        probes = Probes(lambda: self.live.current, dict(parts.details))
        self.express = Express(house, self.pipeline)
        self.front = Front(
            self.pipeline.handle,
            limits=lambda: self.live.current.limits,
            probes=probes,
            express=self.express.depart,
            cork=self._cork,
        )
        self._version = parts.metrics.gauge("weir_settings_version")
        self._version(self.live.current.version)
        await self.front.start(sock, tls)
        self._lag.start()
        self._expiry.watch(self.live)

    async def _chain(self, whole: Snapshot) -> Chain:
        return Chain(whole, await self.registry.prepare(whole), self._clock.monotonic_s)

    async def swap(self, made: Snapshot) -> None:
        """New settings, whole or not at all. Running calls keep theirs."""
        whole = with_options(made)
        ready = await self.client.ready(whole.upstreams.values())
        try:
            chain = await self._chain(whole)
        except BaseException:
            await self.client.drop(ready)
            raise
        self.client.place(ready)
        self.chains.current = chain
        self.live.swap(whole)
        self.express.forget()
        self._version(whole.version)
        await self.client.sweep()

    async def renew(self) -> None:
        """The settings at hand once more: a key among them has ended."""
        async with self.swapping:
            await self.swap(self.live.current)

    async def stop(self, drain_s: float) -> None:
        """Drains to the cap, then ends what is left, plugins included."""
        await self.front.drain(drain_s)
        self._expiry.stop()
        self._lag.stop()
        await self.front.stop()
        await self.tasks.stop(2.0)
        await self.registry.stop()
        await self.client.stop()


def _task_failed(name: str, error: BaseException) -> None:
    log.error("work beside the calls failed: %s: %r", name, error)


def main(arguments: list[str]) -> int:
    """The process: `--fd N --slot I --run DIR ...` as the supervisor gives them, or `--talk-fd N` to hear them."""
    gc.set_threshold(50_000, 20, 100)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # (those of an embedder are small)
    one_arena()
    _warm()
    given = _ordered(int(arguments[1])) if arguments[:1] == ["--talk-fd"] else arguments
    if given is None:
        return 0
    options = _options(given)
    _load(options.warm.split(","))
    gc.freeze()
    if not life.admitted(options.gate_fd, options.life_fd):
        return 0
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(options))


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="weir worker")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--slot", type=int, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--drain-s", type=float, default=30.0)
    parser.add_argument("--unready-ms", type=float, default=0.0)
    parser.add_argument("--ready-fd", type=int, default=-1)
    parser.add_argument("--life-fd", type=int, default=-1)
    parser.add_argument("--gate-fd", type=int, default=-1)
    parser.add_argument("--beat-s", type=float, default=0.0, help="say so often that the event loop is not held")
    parser.add_argument("--warm", default="", help="modules that will be needed, with a comma between")
    parser.add_argument("--tls-cert")
    parser.add_argument("--tls-key")
    parser.add_argument("--tls-client-ca")
    return parser.parse_args(arguments)


def _ordered(talk_fd: int) -> list[str] | None:
    order = Wait(talk_fd).ordered()
    if order is None:
        return None
    given, (ready, life_, sock, *gate) = order
    fds = ["--ready-fd", str(ready), "--life-fd", str(life_), "--fd", str(sock)]
    return [*given, *fds, *(f"--gate-fd={fd}" for fd in gate)]


def _warm() -> None:
    """What every worker needs before its first call and no setting changes, made while control is at its start."""
    for dialect in DIALECTS:
        codec(dialect)
    tls.trusting()


def _load(modules: list[str]) -> None:
    """A module may have a function `ahead` for what it needs whatever the settings. What cannot be loaded is told where
    it is needed."""
    for name in filter(None, modules):
        with suppress(Exception):
            getattr(import_module(name), "ahead", int)()


async def _serve(options: argparse.Namespace) -> int:
    process = Process(options)
    try:
        await process.start()
    except (ConfigError, WeirError, ValueError) as error:
        sys.stderr.write(f"weir worker {options.slot}: {error}\n")
        return 2
    return await process.until_stopped()


class Process:
    """The worker as a process: the channel to control, signals, the supervisor's pipes."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._run: Path = options.run
        self._stopping = asyncio.Event()
        self._page = Page.create(self._run, options.slot)
        self._sender = Sender(self._run / SOCKET, slot=options.slot, page=self._page.path, metrics=self._page)
        self._sender.on_push = self._pushed
        self._worker: Worker
        self._newest = 0
        """The version that control last told of; it may tell before there is a worker."""
        self._started = False

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        if self._options.life_fd >= 0:
            life.watch(self._options.life_fd, loop, self._orphaned)
        first, facts = self._read(), read_facts(self._run)
        told = Log(SystemClock(), level=facts.log_level, format=facts.log_format)
        install(told.bind(process=f"worker {self._options.slot}"), facts.log_level)
        if (short := files.shortage(files.raise_limit())) and self._options.slot == 0:
            log.warning("%s", short)
        urls = {name: upstream.url for name, upstream in first.upstreams.items()}
        await self._sender.start()
        store = await open_store(facts.store, os.environ, SystemClock(), self._page)
        parts = Parts(
            records=self._sender,
            metrics=self._page,
            store=store,
            prices=LazyPrices(self._run / PRICES, urls),
            secret=facts.key(os.environ),
            details={"records": self._sender.state, "store": lambda: "away" if getattr(store, "down", False) else "ok"},
            alone=facts.alone,
        )
        self._worker = Worker(first, parts)
        sock = socket.socket(fileno=self._options.fd)
        await self._worker.start(sock, self._tls())
        self._started = True
        self._catch_up()
        trim()
        gc.freeze()
        gc.enable()
        if self._options.ready_fd >= 0 and self._options.beat_s:
            life.beat(self._options.ready_fd, loop, self._options.beat_s)
        elif self._options.ready_fd >= 0:
            life.ready(self._options.ready_fd)

    def _orphaned(self) -> None:
        """The supervisor is dead: whoever starts next waits for this port, so there is no time to be polite."""
        self._options.unready_ms = 0.0
        self._stopping.set()

    def _read(self) -> Snapshot:
        return snapshot.load((self._run / SNAPSHOT).read_bytes(), os.environ)

    def _tls(self) -> ssl.SSLContext | None:
        if not self._options.tls_cert:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._options.tls_cert, self._options.tls_key)
        if self._options.tls_client_ca:
            context.load_verify_locations(self._options.tls_client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL  # who shows none is judged by identity; probes have none
        return context

    async def _pushed(self, message: dict[str, Any]) -> dict[str, Any]:
        """A command of control's. What this gives says that it was done: which settings new calls begin with by now,
        what was forgotten, what is held."""
        self._newest = max(self._newest, message.get("snapshot", 0))
        if not self._started:
            if message.keys() - {"snapshot", "feedback"}:
                raise Overloaded("this worker is only starting")
            return {"snapshot": 0}
        if "forget" in message or "order" in message:
            self._worker.express.forget()
        if "forget" in message:
            return {"forgotten": await self._worker.registry.forget(str(message["forget"]))}
        if "order" in message:
            return {"done": await self._worker.registry.order(dict(message["order"]))}
        if "export" in message:
            return {"held": await self._worker.registry.export(str(message["export"]))}
        self._worker.tasks.spawn("verdicts", self._worker.lessons.follow())  # also of the time that control was away
        if self._newest > self._worker.live.current.version:
            await self._swap()
        return {"snapshot": self._worker.live.current.version}

    def _catch_up(self) -> None:
        self._worker.tasks.spawn("verdicts", self._worker.lessons.follow())
        if self._newest > self._worker.live.current.version:
            self._worker.tasks.spawn("swap", self._swap())

    async def _swap(self) -> None:
        async with self._worker.swapping:
            try:
                made = self._read()
                if made.version > self._worker.live.current.version:
                    await self._worker.swap(made)
            except (ConfigError, WeirError, OSError, ValueError) as error:
                log.error("the new settings were not taken: %s", error)
                self._page.counter("weir_settings_rejected_total").add()

    async def until_stopped(self) -> int:
        await self._stopping.wait()
        self._worker.front.unready()
        self._sender.draining()
        await asyncio.sleep(self._options.unready_ms / 1000)
        await self._worker.stop(self._options.drain_s)
        await self._sender.stop(5.0)
        self._page.close()
        return 0
