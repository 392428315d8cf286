"""Plugins out of the server, for explain and scan: the real classes, options and tables, no network, nothing kept."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from proxy import pricing, snapshot
from proxy.clock import SystemClock
from proxy.configuration import checking, sources
from proxy.derived import derived
from proxy.errors import ConfigError, PluginFailed
from proxy.exchange import Exchange, Response, Target
from proxy.live import Entry, Live, Snapshot
from proxy.memory import Memory
from proxy.plugin import Kit, Plugin
from proxy.prices import Prices
from proxy.registry import Registry, find, with_options
from proxy.shadow import ShadowStore
from proxy.store.memory import MemoryStore
from proxy.tasks import Tasks
from proxy.telemetry.page import Page
from proxy.tokens import Tokens
from proxy.upstream import endpoint


@dataclass(frozen=True, slots=True)
class Bench:
    snapshot: Snapshot
    plugins: dict[str, Plugin[Any]]
    clock: SystemClock


@asynccontextmanager
async def opened(config: str | None, environ: Mapping[str, str], only: str = "") -> AsyncIterator[Bench]:
    """The chain of a configuration; with `only`, that plugin is on and enforcing, listed or not."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in a worker
    made = _snapshot(config, environ)
    made = with_options(_with_only(made, only) if only else made)
    clock, page = SystemClock(), Page(None)
    tasks = Tasks(page, _lost)
    kit = Kit(
        clock=clock,
        store=ShadowStore(MemoryStore(clock)),
        tokens=Tokens(),
        prices=Prices(pricing.compile_prices()),
        metrics=page,
        tasks=tasks,
        live=Live(made),
        ask=_no_ask,
        memory=Memory(),
        secret=derived(os.urandom(32)),
        targets=endpoint.targets_of,
    )
    registry = Registry(kit)
    try:
        plugins = await registry.prepare(made)
        yield Bench(made, plugins, clock)
    finally:
        await registry.stop()
        await tasks.stop(1.0)
        page.close()


def _snapshot(config: str | None, environ: Mapping[str, str]) -> Snapshot:
    try:
        loaded = sources.read(Path(config) if config else None, {}, environ, None)
        checking.verify(loaded, find)
    except sources.ConfigErrors as errors:
        raise ConfigError("the configuration is wrong: " + "; ".join(checking.failed(errors))) from errors
    return snapshot.load(snapshot.dump(loaded.settings, 1), environ)


def _with_only(made: Snapshot, name: str) -> Snapshot:
    listed = [entry for entry in made.chain if entry.name == name]
    entry = replace(listed[0], enabled=True, mode="enforce") if listed else Entry(name, name)
    return replace(made, chain=(entry,), agents={})


async def _no_ask(exchange: Exchange, target: Target, call: dict[str, Any], purpose: str) -> Response:
    raise PluginFailed(purpose, "no model is asked here")


def _lost(name: str, error: BaseException) -> None:
    raise ConfigError(f"work beside the plugin failed: {name}: {error}")
