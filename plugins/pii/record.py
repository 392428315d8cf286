"""What is told of what was found: one finding a call, counts by type; and texts as they may be kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Literal

from plugins.pii.mask import Found, masked
from plugins.pii.operators import redacted
from plugins.pii.shapes import written
from proxy.exchange import Exchange, Finding

Severity = Literal["low", "medium", "high", "critical"]

SEVERITIES: Final[Mapping[str, Severity]] = MappingProxyType(
    {
        "SECRET": "critical", "BANK_ACCOUNT": "high", "CREDIT_CARD": "high", "CRYPTO": "high",
        "DRIVER_LICENSE": "high", "IBAN": "high", "NATIONAL_ID": "high", "PASSPORT": "high", "SSN": "high",
        "EMAIL": "low", "IP": "low", "PHONE": "low",
    }
)  # fmt: skip
ORDER: Final[tuple[Severity, ...]] = ("low", "medium", "high", "critical")


def severity(types: Mapping[str, int]) -> Severity:
    """Of the worst that was found."""
    return max((SEVERITIES.get(name, "medium") for name in types), key=ORDER.index, default="low")


def note(exchange: Exchange, name: str, counts: Mapping[str, int], sealed: Mapping[str, int]) -> None:
    """`sealed`: what stands under a signature of the provider, or came as tokens, and goes as it came."""
    for types, action in ((counts, "mask"), (sealed, "pass")):
        if types:
            told = tuple(sorted(types.items()))
            exchange.find(Finding(name, "pii", severity(types), action, counts=told))
    if counts:
        exchange.step(name, "request", f"masked {sum(counts.values())}")


def veiled(text: str, values: Mapping[str, str], look: Callable[[str], Found]) -> str:
    """A text of a call or its answer without personal data: what the call knows under its placeholder, whatever else
    is found redacted."""
    for name in sorted(values, key=lambda name: -len(values[name])):
        kind, _, token = name.rpartition("_")
        text = text.replace(values[name], written(kind, token.lower()))
    return masked(text, look(text).places, lambda kind, value: redacted(kind))
