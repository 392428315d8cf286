"""The buckets that a call takes from: which limits apply to it, under which keys, and until when."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from plugins.ratelimit.caps import Cap, caps
from plugins.ratelimit.options import MEASURES, By, Limit, Mode
from proxy.exchange import Exchange

Kind = Literal["requests", "tokens", "calls", "money"]
NANO_USD = 1_000_000_000
OWN = "own\0"
"""Begins whose a limit is that a key has for itself."""
MINUTE_S, DAY_S = 60.0, 86_400.0
SPARE_S = 3600.0
"""Windows are remembered for so long after their end, whatever the clocks of a fleet say."""
OF_KEYS = ("usd_per_day", "usd_per_month", "requests_per_minute", "tokens_per_minute", "concurrent")
"""Limits that a key may have of its own."""
_KINDS: tuple[tuple[str, Kind], ...] = (
    ("requests", "requests"), ("tokens", "tokens"), ("concurrent", "calls"), ("usd", "money"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pool:
    """One bucket (`ports.Allowance`) of one limit. Units: calls, tokens, nano-USD."""

    key: str
    capacity: int
    refill_per_s: float
    ttl_s: float
    slots: bool
    kind: Kind
    by: By
    measure: str
    """The option that sets it."""
    begins_s: float = 0.0
    ends_s: float = math.inf
    """When its window began, and when a new one begins; seconds since the epoch."""
    whose: str = ""
    """Tenant and name of whom it counts."""
    names: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    """Of the limit."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What calls of one caller and model take from, until `until_s`."""

    pools: tuple[Pool, ...]
    """Those that must have enough."""
    soft: tuple[tuple[Mode, Pool], ...]
    """Those that only tell."""
    caps: tuple[Cap, ...]
    """What a single call may ask for."""
    until_s: float
    tokens: bool
    money: bool

    @classmethod
    def of(cls, limits: Sequence[tuple[Limit, str]], secret: bytes, at_s: float) -> Plan:
        """`limits`: each that applies, and the name it applies to."""
        made = [(limit.mode, pool) for limit, name in limits for pool in pools_of(limit, name, secret, at_s)]
        every = [pool for _, pool in made]
        return cls(
            tuple(pool for mode, pool in made if mode == "enforce"),
            tuple((mode, pool) for mode, pool in made if mode != "enforce"),
            tuple(cap for limit, _ in limits for cap in caps(limit)),
            min((pool.ends_s for pool in every), default=math.inf),
            any(pool.kind in ("tokens", "money") for pool in every),
            any(pool.kind == "money" for pool in every),
        )


def applying(limits: Sequence[Limit], exchange: Exchange) -> Iterator[tuple[Limit, str]]:
    """The limits that this call must keep, and whose they are."""
    caller, model = exchange.caller, model_of(exchange)
    names: dict[str, tuple[str, str]] = {
        "key": (caller.key or "", caller.tenant + "\0" + (caller.key or caller.credential)),
        "agent": (caller.agent, f"{caller.tenant}\0{caller.agent}"),
        "user": (caller.user or "", f"{caller.tenant}\0{caller.user or ''}"),
        "tenant": (caller.tenant, caller.tenant),
        "model": (model, model),
        "all": ("", ""),
    }
    for limit in limits:
        shown, whole = names[limit.by]
        if fits(limit.names, shown) and fits(limit.models, model):
            yield limit, whole
    key = exchange.snapshot.identity.key(caller.key)
    if key is not None and (own := of_key(key)) is not None:
        yield own, OWN + key.name


def of_key(key: Any) -> Limit | None:
    """The limits that a key (`live.CallerKey`) has of its own."""
    given: dict[str, Any] = {name: value for name in OF_KEYS if (value := getattr(key, name, None)) is not None}
    made: dict[str, Any] = {"by": "key", **{name: value or NOTHING for name, value in given.items()}}
    return Limit(**made) if given else None


NOTHING = 1e-9
"""A budget of nothing: a nano-dollar."""


def model_of(exchange: Exchange) -> str:
    return exchange.target.model if exchange.target is not None else exchange.request.model


def pools_of(limit: Limit, name: str, secret: bytes, at_s: float) -> Iterator[Pool]:
    """The buckets of a limit, for whom it counts."""
    unit = "\0".join((limit.by, name, *limit.names, "", *limit.models))
    whose = hashlib.blake2b(unit.encode(errors="surrogatepass"), key=secret, digest_size=16).hexdigest()
    for measure in MEASURES:
        value = getattr(limit, measure)
        if value is None:
            continue
        kind = next(kind for start, kind in _KINDS if measure.startswith(start))
        capacity = max(1, round(value * NANO_USD)) if kind == "money" else int(value)
        key = f"limit:{whose}:{measure}"
        if kind == "calls":
            yield Pool(key, capacity, 0.0, 0.0, True, kind, limit.by, measure)
        elif measure.endswith("_minute"):
            yield Pool(key, capacity, capacity / MINUTE_S, 0.0, False, kind, limit.by, measure)
        else:
            window, begins_s, ends_s = _window(measure, at_s)
            ttl_s = ends_s - at_s + SPARE_S
            yield Pool(
                f"{key}:{window}", capacity, 0.0, ttl_s, False, kind, limit.by, measure,
                begins_s, ends_s, name, limit.names, limit.models,
            )  # fmt: skip


def _window(measure: str, at_s: float) -> tuple[str, float, float]:
    """The day or the month of a moment, its beginning and its end; by UTC."""
    now = datetime.fromtimestamp(at_s, UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if measure.endswith("_day"):
        return midnight.strftime("%Y-%m-%d"), midnight.timestamp(), (midnight + timedelta(days=1)).timestamp()
    first = midnight.replace(day=1)
    return first.strftime("%Y-%m"), first.timestamp(), (first + timedelta(days=32)).replace(day=1).timestamp()


def fits(patterns: tuple[str, ...], value: str) -> bool:
    """Exact or ending in *; no patterns fit all."""
    if not patterns:
        return True
    return any(value.startswith(one[:-1]) if one.endswith("*") else value == one for one in patterns)
