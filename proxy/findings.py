"""What plugins leave behind of a call, for record and audit: findings, steps, the audit entry."""

from __future__ import annotations

from dataclasses import asdict, dataclass, is_dataclass, replace
from typing import Any, Literal, NamedTuple

import orjson


@dataclass(frozen=True, slots=True)
class Finding:
    """What a guard found: becomes a security event. Never holds the text."""

    plugin: str
    type: str
    severity: Literal["low", "medium", "high", "critical"]
    action: str
    score: float = 1.0
    reasons: tuple[str, ...] = ()
    counts: tuple[tuple[str, int], ...] = ()
    recommended: str = ""
    """What whoever looks at it had best do; empty: what its severity says."""


@dataclass(frozen=True, slots=True)
class Saving:
    """What a plugin spared of a call, net: against what the same call would have taken without it. Negative where it
    cost more. Money is in nano-dollars, None where a price is not known."""

    plugin: str
    kind: str
    """How: hit, coalesced, semantic, embeddings, a technique of compression, routed, ..."""
    input_tokens: int = 0
    output_tokens: int = 0
    nano_usd: int | None = None
    risk: str = ""
    """What was risked for it, in a few words and figures; empty: nothing."""
    mode: Literal["enforce", "shadow"] = "enforce"
    """shadow: would have been spared."""


WHOLE = frozenset({"hit", "semantic", "coalesced"})
"""Kinds of savings that are the whole call: nothing is left of it that another could spare."""
WOULD = "would "
"""Begins the action of a finding of a plugin in shadow."""


def shadowed(findings: list[Finding], since: int) -> None:
    """Marks those from this place on as what a plugin in shadow would have done."""
    for place in range(since, len(findings)):
        if not findings[place].action.startswith(WOULD):
            findings[place] = replace(findings[place], action=f"{WOULD}{findings[place].action}")


@dataclass(slots=True)
class Step:
    """What one plugin did with this call, for audit and explain."""

    plugin: str
    hook: str
    what: str
    """edited n, answered, refused CODE, failed KIND, skipped WHY, would ..."""


class AuditEntry(NamedTuple):
    """What is to be chained of a call. `worker` (JSON) counts its entries by `seq`. The manifest, a JSON object, is
    what will be signed: nobody's name, no text; `content` has the texts, where they are kept."""

    worker: bytes
    seq: int
    manifest: bytes
    content: Any = None


def dumped(value: Any) -> bytes:
    """JSON, whatever callers, providers and plugins gave: what has no place in it is told as far as it can be."""
    try:
        return orjson.dumps(value, default=str)
    except TypeError:
        return orjson.dumps(_sayable(value, 32))


def _sayable(value: Any, depth: int) -> Any:
    """Numbers that no table holds are not known; halves of characters become question marks."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if value is None or isinstance(value, bool | float):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**63 else None
    if depth and isinstance(value, dict):
        return {_sayable(str(name), 0): _sayable(inner, depth - 1) for name, inner in value.items()}
    if depth and isinstance(value, list | tuple):
        return [_sayable(inner, depth - 1) for inner in value]
    return _sayable(str(value), 0) if depth else None
