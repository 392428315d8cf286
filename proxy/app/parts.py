"""What control lays ready in the run directory for workers: facts, the price table; and how they are opened."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

from proxy.errors import ConfigError
from proxy.exchange import Usage
from proxy.ports import Clock, Metrics, Store
from proxy.prices import Prices, parse_overrides
from proxy.snapshot import secret
from proxy.store.memory import MemoryStore

FACTS = "facts.json"
PRICES = "prices.json"
OWN_PRICES = "own-prices.json"
LOOK_S = 5.0
"""How often a worker looks whether the operator's own prices have changed."""
SNAPSHOT = "snapshot.json"
SOCKET = "control.sock"
SECRET_BYTES = 32
LEAST_CHARACTERS = 32
"""Of a secret that is given; `openssl rand -hex 32` makes one."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a worker must know beside the snapshot, fixed while Weir runs. `store` may be a reference to a secret."""

    store: str
    secret: str
    """A reference (env:NAME, file:PATH), or the path of this Weir's own."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"
    alone: bool = False
    """One worker, and hot state that nobody else can see."""

    def key(self, environ: Mapping[str, str]) -> bytes:
        """The key of this Weir's fingerprints and hashes; the same for all its workers, and for a fleet that is given
        one secret."""
        if not self.secret.startswith(("env:", "file:")):
            return _key(Path(self.secret))
        given = secret(self.secret, environ)
        if len(given) < LEAST_CHARACTERS:
            raise ConfigError(f"the secret behind {self.secret} is too short: {LEAST_CHARACTERS} characters at least")
        return hashlib.blake2b(given.encode(), digest_size=SECRET_BYTES, person=b"weir fleet").digest()


def write_facts(run: Path, facts: Facts) -> None:
    write_whole(run / FACTS, json.dumps(asdict(facts)).encode())


def read_facts(run: Path) -> Facts:
    return Facts(**json.loads((run / FACTS).read_text()))


def fleet_secret(data: Path) -> Path:
    """The file with 32 random bytes, made at the first start, readable by its owner only."""
    path = data / "secret"
    if not path.exists():
        write_whole(path, base64.b64encode(os.urandom(SECRET_BYTES)))
    _key(path)
    return path


def _key(path: Path) -> bytes:
    try:
        key = base64.b64decode(path.read_bytes().strip(), validate=True)
    except OSError as error:
        raise ConfigError(f"the secret of this Weir, {path}, cannot be read: {error.strerror}") from error
    except ValueError:
        key = b""
    if len(key) != SECRET_BYTES:
        raise ConfigError(f"the secret of this Weir, {path}, is damaged: put it back, or remove it for a new one")
    return key


def write_whole(path: Path, raw: bytes) -> None:
    """The file as a whole or not at all, safe on disk, its owner's only. Raises ConfigError where it cannot be."""
    draft = path.with_name(f".{path.name}.new")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


async def open_store(reference: str, environ: Mapping[str, str], clock: Clock, metrics: Metrics | None = None) -> Store:
    """Hot state: memory, or the Redis that `reference` names; it may be away, and is then found later."""
    url = secret(reference, environ)
    if url in ("auto", "memory"):
        return MemoryStore(clock)
    told = None if metrics is None else _away(metrics)
    # (a worker without Redis does not pay for its library)
    store = import_module("proxy.store.redis").RedisStore(url, on_change=told)
    await store.start()
    opened: Store = store
    return opened


def _away(metrics: Metrics) -> Callable[[bool], None]:
    """Metrics of whether hot state is away, and how often it has been."""
    now = metrics.gauge("weir_store_away")
    outages = metrics.counter("weir_store_outages_total")
    now(0.0)

    def changed(away: bool) -> None:
        now(float(away))
        if away:
            outages.add()

    return changed


class LazyPrices:
    """`ports.Prices` that reads its table when the first call is priced: a worker that meters nothing pays nothing. The
    operator's own prices lie beside it, and are read anew when they have changed."""

    def __init__(self, path: Path, urls: Mapping[str, str]) -> None:
        self._path = path
        self._own = path.with_name(OWN_PRICES)
        self._urls = dict(urls)
        self._prices: Prices | None = None
        self._stamp: tuple[int, int] | None = None
        self._look_s = 0.0

    def cost_nano_usd(self, upstream: str, model: str, usage: Usage, at_s: float) -> tuple[int | None, str]:
        if self._prices is None or not self._look_s - LOOK_S <= at_s < self._look_s:
            self._look_s = at_s + LOOK_S
            self._read()
        assert self._prices is not None
        return self._prices.cost_nano_usd(upstream, model, usage, at_s)

    def _read(self) -> None:
        try:
            found = self._own.stat()
            stamp = (found.st_mtime_ns, found.st_ino)
        except OSError:
            stamp = None
        if self._prices is not None and stamp == self._stamp:
            return
        rows = json.loads(self._own.read_bytes()) if stamp is not None else []
        table = self._path.read_bytes() if self._prices is None else None
        overrides = parse_overrides(rows)
        if table is not None:
            self._prices = Prices(table, overrides, urls=self._urls)
        elif self._prices is not None:
            self._prices.override(overrides)
        self._stamp = stamp
