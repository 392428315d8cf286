"""The control process: channel, records, audit trail, settings and admin port, started and stopped as one."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from proxy.channel import Peer, Receiver
from proxy.configuration.refusals import loopback
from proxy.configuration.settings import Settings
from proxy.configuration.sources import Loaded
from proxy.control.audit import load_key
from proxy.control.cache import Caches
from proxy.control.configuration import Configuration, Read, Surroundings
from proxy.control.coverage import Coverage
from proxy.control.desk import Desk
from proxy.control.doors import doors_at, port_of
from proxy.control.embeddings import Embeddings
from proxy.control.events import Events
from proxy.control.feedback import Feedback
from proxy.control.keys import Keys
from proxy.control.ledger import Ledger, reason
from proxy.control.money import Money
from proxy.control.privacy import Privacy
from proxy.control.queries import Executions, Trail
from proxy.control.recorder import Recorder
from proxy.control.redaction import Redactor
from proxy.control.retention import Retention
from proxy.control.spending import Spending
from proxy.control.vault import Vault
from proxy.errors import BadRequest, ConfigError, WeirError
from proxy.ports import Clock, Metrics
from proxy.snapshot import secret
from proxy.store.history import History

Json = Any
LOG = logging.getLogger("weir.control")
POLL_S = 1.0
CONFIRM_S = 10.0
"""How long workers get to do what they are told."""
STOP_S = 5.0


@dataclass(frozen=True, slots=True)
class Paths:
    """`data` is kept between runs, `run` is for the processes of this one."""

    data: Path
    run: Path
    file: Path | None = None


Application = Callable[[Desk, str | None], Any]
"""Makes an application of aiohttp of the desk and the admin token; called in a thread, so it may load what it needs."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What control gets from its surroundings. `render` is the exposition's, `published` hears of every settings
    version that took effect before the workers do (prices and facts for them are written there)."""

    clock: Clock
    metrics: Metrics
    read: Read
    render: Callable[[str], tuple[bytes, str]]
    environ: Mapping[str, str]
    admin: Application
    """The application of the admin port."""
    scrapers: Application
    """That of the second listener: metrics and probes."""
    published: Callable[[Loaded, int], None] = lambda loaded, version: None


@dataclass(slots=True)
class _Running:
    """What `stop` has to end."""

    doors: list[socket.socket] = field(default_factory=list)
    listeners: list[Any] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class Control:
    """`start` raises ConfigError or ConfigErrors where it cannot work; then `admin_port` is the one it listens on."""

    def __init__(self, paths: Paths, parts: Parts) -> None:
        self._paths = paths
        self._parts = parts
        self._running = _Running()
        self._ready = False
        self._stopping = False
        self._recorder: Recorder | None = None
        self._receiver: Receiver | None = None
        self._rejected = parts.metrics.counter("weir_settings_rejected_total")
        self._dropped = parts.metrics.counter("weir_records_dropped_total")
        self.admin_port = 0
        self.metrics_port: int | None = None
        self.configuration = Configuration(
            Surroundings(
                data=paths.data,
                run=paths.run,
                clock=parts.clock,
                read=parts.read,
                note=self._note,
                publish=self._publish,
                rejected=self._rejected.add,
                file=paths.file,
            )
        )

    async def start(self) -> None:
        paths, parts = self._paths, self._parts
        self.configuration.start()
        settings = self.configuration.loaded.settings
        key = load_key(paths.data, parts.environ)
        history = History(paths.data / "executions", parts.clock)
        content_key, redact = settings.audit.content_key, Redactor()
        self._recorder = recorder = Recorder(
            history,
            Ledger(paths.data, key, parts.clock),
            redact,
            vault=Vault(secret(content_key, parts.environ)) if content_key else None,
            dropped=self._dropped.add,
        )
        await recorder.start()
        await self.configuration.note_start()
        executions = Executions(history, recorder)
        feedback = Feedback(
            recorder, executions, parts.clock, redact, self._push, learns=lambda: self._settings().learning.enabled
        )
        self._receiver = Receiver(
            str(paths.run / "control.sock"),
            recorder.write,
            on_ask=_answering(executions, Spending(history), feedback),
            on_join=self._joined,
            on_error=_channel_failed,
        )
        await self._receiver.start()
        trail = Trail(recorder, paths.data / "audit.db", key)
        coverage = Coverage(self._settings)
        keys = Keys(self.configuration, parts.clock, self._reached)
        privacy = Privacy(recorder, trail, self._tell, configuration=self.configuration, keys=keys)
        money = Money(history)
        caches, vectors = Caches(self._tell, self._note), Embeddings(self._tell)
        desk = Desk(
            executions, trail, self.configuration, self, Events(history), coverage, keys, privacy, money, caches,
            vectors,
        )  # fmt: skip
        await self._listen(desk)
        loop = asyncio.get_running_loop()
        self._running.tasks += [
            loop.create_task(self._poll(), name="settings poll"),
            loop.create_task(Retention(recorder, parts.clock, self._settings).run(), name="retention"),
        ]
        self._ready = True

    async def stop(self) -> None:
        """What workers sent is acknowledged and committed before this returns."""
        self._ready, self._stopping = False, True
        for task in self._running.tasks:
            task.cancel()
        await asyncio.gather(*self._running.tasks, return_exceptions=True)
        for listener in self._running.listeners:
            await listener.stop()
        for door in self._running.doors:
            door.close()
        if self._receiver is not None:
            await self._receiver.stop(STOP_S)
        if self._recorder is not None:
            await self._recorder.stop()

    def hang_up(self) -> None:
        """SIGHUP: read the configuration anew, now."""
        task = asyncio.get_running_loop().create_task(self._reload(), name="reload")
        self._running.tasks.append(task)
        task.add_done_callback(self._running.tasks.remove)

    def readiness(self) -> tuple[bool, Json]:
        """Weir is ready where a worker takes calls; control alone answers none."""
        state = self._state()
        details: dict[str, Json] = {
            "state": state,
            "settings": self.configuration.state(),
            "workers": len(self.workers()),
        }
        if self._recorder is not None and self._recorder.failing:
            details["records"] = f"cannot be written: {self._recorder.failing}"
        return state == "ready", details

    def _state(self) -> str:
        if not self._ready:
            return "stopping" if self._stopping else "starting"
        if self._receiver is None or not self._receiver.peers:
            return "no worker"
        return "ready" if self._receiver.serving else "draining"

    def workers(self) -> list[Json]:
        peers = [] if self._receiver is None else self._receiver.peers
        return [
            {"id": peer.id, "pid": peer.pid, "slot": peer.slot} for peer in sorted(peers, key=lambda each: each.slot)
        ]

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        return await asyncio.to_thread(self._parts.render, accept)

    async def _listen(self, desk: Desk) -> None:
        settings, environ = self.configuration.loaded.settings, self._parts.environ
        token = secret(settings.admin_token, environ) if settings.admin_token else None
        if token is None and settings.admin_host != "localhost" and not loopback(settings.admin_host):
            raise ConfigError("beyond this machine the admin port needs a token: WEIR_ADMIN_TOKEN", key="admin_host")
        made = [(self._parts.admin, await self._bind(settings.admin_host, settings.admin_port, "admin_port"))]
        self.admin_port = port_of(made[0][1])
        if settings.metrics_listen:
            host, _, port = settings.metrics_listen.rpartition(":")
            made.append((self._parts.scrapers, await self._bind(host.strip("[]"), int(port), "metrics_listen")))
            self.metrics_port = port_of(made[1][1])
        opening = self._open([(partial(app, desk, token), doors) for app, doors in made])
        self._running.tasks.append(asyncio.get_running_loop().create_task(opening, name="admin port"))

    async def _bind(self, host: str, port: int, key: str) -> list[socket.socket]:
        """The port is ours from here on, and who calls waits until it is served."""
        try:
            doors = await doors_at(host, port)
        except OSError as error:
            advice = f"; choose another with --{key.replace('_', '-')}" if error.errno == errno.EADDRINUSE else ""
            said = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
            raise ConfigError(f"{host}:{port} cannot be opened: {said}{advice}", key=key) from error
        self._running.doors += doors
        return doors

    async def _open(self, made: list[tuple[Callable[[], Any], list[socket.socket]]]) -> None:
        """Serves the ports. aiohttp loads in a thread, while workers already take calls."""
        try:
            listening = await asyncio.to_thread(import_module, "proxy.control.listener")
            for make, doors in made:
                listener = listening.Listener(await asyncio.to_thread(make))
                self._running.listeners.append(listener)
                await listener.start(doors)
        except Exception as error:  # calls are served and recorded all the same
            LOG.critical("the admin port cannot be served", exc_info=error)

    def _settings(self) -> Settings:
        return self.configuration.loaded.settings

    def _publish(self, loaded: Loaded, version: int) -> None:
        self._parts.published(loaded, version)
        self._parts.metrics.gauge("weir_settings_version")(version)
        self._push({"snapshot": version})

    def _push(self, message: dict[str, Any]) -> None:
        if self._receiver is not None:
            self._receiver.push(message)

    def _joined(self, peer: Peer) -> None:
        """A worker that was away may have missed a push."""
        if self._receiver is not None:
            self._receiver.push({"snapshot": self.configuration.version}, to=peer)

    async def _note(self, who: str, action: str, details: Mapping[str, Any]) -> int:
        if self._recorder is None:
            raise RuntimeError("the audit trail is not open")
        try:
            return await self._recorder.admin(who, action, details)
        except (sqlite3.Error, OSError) as error:
            raise WeirError(f"the audit trail cannot be written: {reason(error)}", code="not_written") from error

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            try:
                await self.configuration.poll()
            except Exception as error:  # a look at the file that failed must not be the last one
                LOG.error("the configuration could not be looked at", exc_info=error)

    async def _reload(self) -> None:
        try:
            await self.configuration.reload("SIGHUP")
        except Exception as error:  # the running configuration stays
            LOG.error("the configuration could not be read anew", exc_info=error)

    async def _reached(self) -> tuple[int, int]:
        """How many workers there are, and how many confirm that new calls begin with the settings in use."""
        version = self.configuration.version
        receiver = self._receiver
        if receiver is None:
            return 0, 0
        told = await receiver.tell({"snapshot": version}, CONFIRM_S)
        done = [said for said in told.values() if (said.get("body") or {}).get("snapshot", 0) >= version]
        return len(receiver.peers), len(done)

    async def _tell(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        """What every worker says to it. WeirError where one of them does not, or there is none."""
        receiver = self._receiver
        peers = [] if receiver is None else receiver.peers
        told = await receiver.tell(message, CONFIRM_S) if receiver is not None else {}
        said = [answer["body"] for answer in told.values() if isinstance(answer.get("body"), dict)]
        if len(said) < max(1, len(peers)):
            raise WeirError(
                f"{len(said)} of {len(peers)} workers say what they hold: ask again when all of them are there",
                code="not_confirmed",
            )
        return said


def _answering(executions: Executions, spending: Spending, feedback: Feedback) -> Callable[[Peer, dict[str, Any]], Any]:
    async def on_ask(peer: Peer, question: dict[str, Any]) -> dict[str, Any]:
        if "spent" in question:
            return {"spent": await spending.answer(question["spent"])}
        if "verdict" in question:
            return {"verdict": await feedback.told(question["verdict"])}
        if "lessons" in question:
            return {"lessons": await feedback.after(question["lessons"])}
        call, credential = question.get("call"), question.get("credential")
        if not isinstance(call, str) or not isinstance(credential, str):
            raise BadRequest("a question names a call and a credential")
        return {"call": await executions.own(call, credential)}

    return on_ask


def _channel_failed(error: BaseException) -> None:
    LOG.warning("a worker's message failed: %s", type(error).__name__)


def facts(control: Control) -> dict[str, Any]:
    """What the supervisor is told when control is ready."""
    return {"admin_port": control.admin_port}
