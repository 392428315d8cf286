"""The control process: reads the configuration, lays ready what workers need, keeps records, serves the admin port."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import signal
import threading
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import uvloop

from proxy.app.configured import add_arguments, given_flags
from proxy.app.parts import OWN_PRICES, PRICES, Facts, fleet_secret, write_facts, write_whole
from proxy.app.voice import say
from proxy.clock import SystemClock
from proxy.configuration import checking, pricelist, sources
from proxy.configuration.overlay import Overlay
from proxy.configuration.sources import ConfigErrors, Loaded
from proxy.control.desk import Desk
from proxy.control.process import Control, Parts, Paths, facts
from proxy.errors import ConfigError
from proxy.pricetable import table
from proxy.processes import life
from proxy.registry import find
from proxy.telemetry.logs import Log, install
from proxy.telemetry.page import Page
from proxy.trim import one_arena, trim


def main(arguments: list[str]) -> int:
    """The process: the configuration's arguments, then `--run DIR --port N --ready-fd N --life-fd N`."""
    one_arena()
    parser = argparse.ArgumentParser(prog="weir control")
    add_arguments(parser)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--store", help="hot state that was started for this Weir, in place of the configured one")
    parser.add_argument("--ready-fd", type=int, default=-1)
    parser.add_argument("--life-fd", type=int, default=-1)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_control(parser.parse_args(arguments)))


async def _control(options: argparse.Namespace) -> int:
    flags = {**given_flags(options), "port": options.port}
    clock, run = SystemClock(), options.run

    def read(overlay: Overlay) -> Loaded:
        loaded = checking.verify(sources.read(options.config, flags, os.environ, overlay), find)
        write_whole(run / OWN_PRICES, json.dumps(pricelist.read(options.config, os.environ)).encode())
        return loaded

    try:
        page = Page.create(run, "control")
        first = read(Overlay())
        said = first.settings.log
        install(Log(clock, level=said.level, format=said.format).bind(process="control"), said.level)
        data = _data(first)
        _lay_ready(data, run, first, options.store)
        control = Control(
            Paths(data, run, options.config),
            Parts(
                clock=clock,
                metrics=page,
                read=read,
                render=Scrape(run).render,
                environ=os.environ,
                admin=partial(_app, "admin_app"),
                scrapers=partial(_app, "metrics_app"),
            ),
        )
        await control.start()
    except (ConfigError, ConfigErrors) as error:
        for line in checking.failed(error) if isinstance(error, ConfigErrors) else [f"weir: {error}"]:
            say(line)
        return 2
    except OSError as error:  # a full disk, above all
        say(f"weir: control cannot start: {error}")
        return 1
    return await _until_stopped(control, options, page)


def _data(loaded: Loaded) -> Path:
    return Path(loaded.settings.data_dir).expanduser().resolve()


def _lay_ready(data: Path, run: Path, loaded: Loaded, store: str | None) -> None:
    """What workers read before their first call: facts and prices. The snapshot is the configuration's matter."""
    settings = loaded.settings
    hot = store or settings.store
    alone = settings.workers == 1 and settings.store in ("auto", "memory")
    key, log = settings.secret or str(fleet_secret(data)), settings.log
    write_facts(run, Facts(hot, key, log.level, log.format, alone))
    write_whole(run / PRICES, table())


class Scrape:
    """The exposition, loaded at the first scrape. Called in threads."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._made: Any = None

    def render(self, accept: str) -> tuple[bytes, str]:
        with self._lock:
            self._made = self._made or import_module("proxy.telemetry.exposition").Exposition(self._run)
        found: tuple[bytes, str] = self._made.render(accept)
        return found


def _app(name: str, desk: Desk, token: str | None) -> Any:
    """An application of the admin port; loads aiohttp, so not before it is asked for."""
    return getattr(import_module("proxy.server.admin"), name)(desk, token)


async def _until_stopped(control: Control, options: argparse.Namespace, page: Page) -> int:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, control.hang_up)
    if options.life_fd >= 0:
        life.watch(options.life_fd, loop, stopping.set)
    if options.ready_fd >= 0:
        told: dict[str, Any] = facts(control)
        life.ready(options.ready_fd, told)
    trim()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    gc.enable()
    await stopping.wait()
    await control.stop()
    page.close()
    return 0
