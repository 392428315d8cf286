"""What was found in one text of an answer, told as findings: at once when first found, the rest at the text's end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from plugins.output_filter.options import Action
from proxy.errors import Refused
from proxy.exchange import Exchange, Finding

Kind = Literal["secret", "personal", "link", "prompt", "call"]
Severity = Literal["low", "medium", "high", "critical"]

SENTENCES: Mapping[Kind, str] = MappingProxyType(
    {
        "secret": "The answer had a secret in it that did not come from the caller.",
        "personal": "The answer had personal data in it that did not come from the caller.",
        "link": "The answer had an address in it that carries data to a host that is not allowed.",
        "prompt": "The answer told the system prompt.",
        "call": "The answer called a tool in a way that a rule calls unsafe.",
    }
)
"""What is said to the caller."""
REASONS = 8


class Report:
    """Findings of one text."""

    def __init__(self, exchange: Exchange, plugin: str, *, as_answer: bool) -> None:
        self._exchange = exchange
        self._plugin = plugin
        self._as_answer = as_answer
        self._more: dict[tuple[Kind, Action, Severity], Counter[str]] = {}
        self._told: set[tuple[Kind, Action]] = set()

    def note(self, kind: Kind, action: Action, what: str, *, severity: Severity, score: float = 1.0) -> None:
        """Something was found. Raises Refused where that is what follows."""
        if (kind, action) not in self._told:
            self._told.add((kind, action))
            self._find(kind, action, severity, Counter({what: 1}), score)
        else:
            self._more.setdefault((kind, action, severity), Counter())[what] += 1
        if action == "refuse":
            raise Refused(self._plugin, SENTENCES[kind], code=f"output_{kind}", as_answer=self._as_answer)

    def close(self) -> None:
        for (kind, action, severity), counts in self._more.items():
            self._find(kind, action, severity, counts, 1.0)
        self._more.clear()

    def _find(self, kind: Kind, action: Action, severity: Severity, counts: Counter[str], score: float) -> None:
        told = counts.most_common(REASONS)
        self._exchange.find(
            Finding(
                self._plugin, f"output_{kind}", severity, action, score,
                tuple(what for what, _ in told), tuple(sorted(told)),
            )
        )  # fmt: skip
