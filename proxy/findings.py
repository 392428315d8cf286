"""What plugins leave behind of a call, for record and audit: findings, steps, the audit entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple


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
