"""What is told of what was found: one finding a call, counts by type; and texts as they may be kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal

from plugins.pii.mask import Found, masked
from plugins.pii.operators import redacted
from plugins.pii.shapes import written
from proxy.exchange import Exchange, Finding, Segment

Severity = Literal["low", "medium", "high", "critical"]

SEVERITIES: Final[Mapping[str, Severity]] = MappingProxyType(
    {
        "SECRET": "critical", "BANK_ACCOUNT": "high", "CREDIT_CARD": "high", "CRYPTO": "high",
        "DRIVER_LICENSE": "high", "IBAN": "high", "NATIONAL_ID": "high", "PASSPORT": "high", "SSN": "high",
        "EMAIL": "low", "IP": "low", "PHONE": "low",
    }
)  # fmt: skip
LONG_CHARS: Final = 8192
"""Looking into more would hold the loop for milliseconds."""
SEARCHED_CHARS: Final = 1_000_000
"""Values times characters of the texts they are looked for in: a good millisecond."""
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


class Veil:
    """The `notes.Mask` of one call: what the call knows under its placeholder stands there under that, whatever else is
    found is redacted. Texts of the call were looked into on their way out, and are not once more."""

    __slots__ = ("_known", "_look", "_pairs", "_patient", "_values")

    def __init__(self, look: Callable[[str], Found], values: Callable[[], Mapping[str, str]], *, patient: bool) -> None:
        """`values`: the call's originals by the keys of their placeholders, as they are when it is over. `patient`:
        looking takes long whatever the text."""
        self._look = look
        self._values = values
        self._patient = patient
        self._known: dict[str, str] = {}
        self._pairs: list[tuple[str, str]] | None = None

    def knows(self, segments: Iterable[Segment]) -> None:
        """Texts that are masked by now."""
        for segment in segments:
            if not segment.sealed:
                self._known[segment.original] = self._known[segment.text] = segment.text

    def __call__(self, text: str) -> str:
        known = self._known.get(text)
        told = text if known is None else known
        for value, placeholder in self._masked():
            told = told.replace(value, placeholder)
        return told if known is not None else masked(told, self._look(told).places, _redacted)

    def slow(self, texts: Sequence[str]) -> bool:
        fresh = sum(len(text) for text in texts if text not in self._known)
        every = sum(map(len, texts)) * len(self._masked())
        return fresh > LONG_CHARS or every > SEARCHED_CHARS or (self._patient and fresh > 0)

    def _masked(self) -> list[tuple[str, str]]:
        """The longest first: it may have others in it."""
        if self._pairs is None:
            named = [(value, name.rpartition("_")) for name, value in self._values().items() if value]
            named.sort(key=lambda one: -len(one[0]))
            self._pairs = [(value, written(kind, token.lower())) for value, (kind, _, token) in named]
        return self._pairs


def _redacted(kind: str, value: str) -> str:
    return redacted(kind)
