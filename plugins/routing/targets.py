"""Which upstream a name in the options stands for, and whether this caller may be sent there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from plugins.routing.options import fits
from proxy.errors import UnknownModel
from proxy.exchange import Caller, Dialect, Exchange, Request, Target
from proxy.plugin import Kit

DIALECTS: tuple[Dialect, ...] = ("chat", "messages", "responses", "completions")
"""In which models are exchanged for others."""


Resolve = Callable[[str], "Target | None"]


def resolver(kit: Kit, exchange: Exchange) -> Resolve:
    """Finds where a call like this one goes for a name: `upstream/model`, an alias or a model; None: nowhere."""

    def resolve(name: str) -> Target | None:
        if kit.targets is None:
            return None
        with suppress(UnknownModel):
            found = next(iter(kit.targets(exchange, name)), None)
            return found if found is not None and _meant(exchange.snapshot, name, found) else None
        return None

    return resolve


def _meant(snapshot: Any, name: str, found: Target) -> bool:
    """Whether `upstream/model` leads to that upstream. One that takes every model would take a misspelt one as well."""
    first, slash, _ = name.partition("/")
    if not slash or name in snapshot.aliases:
        return True
    if first in snapshot.upstreams:
        return found.upstream == first
    return any(pattern != "*" and fits((pattern,), name) for pattern in snapshot.upstreams[found.upstream].models)


def unserved(kit: Kit, names: Iterable[str]) -> str:
    """The first of these that no upstream serves in any dialect; empty: none, or nobody knows."""
    if kit.targets is None:
        return ""
    snapshot = kit.live.current
    probes = [
        Exchange("", Caller(), Request(dialect, "POST", "", "", [], b""), at_s=0.0, start=0.0, snapshot=snapshot)
        for dialect in DIALECTS
    ]
    for name in names:
        if all(resolver(kit, probe)(name) is None for probe in probes):
            return name
    return ""


def barred(exchange: Exchange, target: Target, home: str) -> str:
    """Why the caller may not use it, by its key's models, or by who pays; empty: it may. A credential of the caller's
    own goes to the upstream that the asked model is at (`home`) and nowhere else."""
    snapshot, caller, request = exchange.snapshot, exchange.caller, exchange.request
    if target.upstream != home and request.dialect == "responses" and request.get("store") is not False:
        return f"the next call builds on what {home} keeps"
    if not _allowed(snapshot, caller, target.model):
        return "its key may not use it"
    return _unpaid(snapshot.upstreams.get(target.upstream), caller, home)


def _allowed(snapshot: Any, caller: Caller, model: str) -> bool:
    if caller.key is None:
        return True
    key = snapshot.identity.key(caller.key)
    return key is not None and (not key.models or any(_matches(pattern, model) for pattern in key.models))


def _unpaid(upstream: Any, caller: Caller, home: str) -> str:
    if upstream is None:
        return "there is no such upstream"
    if upstream.key is not None or upstream.auth == "none":
        return "" if caller.vouched else f"only callers with a key of Weir's own may use {upstream.name}"
    return "" if upstream.name == home else f"upstream {upstream.name} has no key"


def _matches(pattern: str, model: str) -> bool:
    return model.startswith(pattern[:-1]) if pattern.endswith("*") else model == pattern
