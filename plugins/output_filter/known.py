"""What the caller knows already: the texts of the call, against which a find in the answer is held."""

from __future__ import annotations

import re
from functools import cached_property

from proxy.exchange import Exchange, Segment

TEXT_CHARS = 2_000_000
"""Of the newest texts of a call, so much is looked at."""
_NO_DIGIT = re.compile(r"[^0-9]+")
DIGITS = 7


class Known:
    """The texts of one call, as they stand at the plugin's place (below `pii` without personal data of the caller).
    Put together when first asked; most answers never ask."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    @cached_property
    def _segments(self) -> list[Segment]:
        return list(self._exchange.request.segments)

    @cached_property
    def _all(self) -> str:
        return _joined(self._segments)

    @cached_property
    def _said(self) -> str:
        return _joined([segment for segment in self._segments if segment.role != "system"])

    @cached_property
    def _digits(self) -> str:
        return " ".join(_NO_DIGIT.sub("", segment.text) for segment in self._segments[-512:])[-TEXT_CHARS:]

    def personal(self, value: str) -> bool:
        """Whether it stands in any text of the call, however it is spaced."""
        if value.casefold() in self._all:
            return True
        digits = _NO_DIGIT.sub("", value)
        return len(digits) >= DIGITS and "@" not in value and digits[-10:] in self._digits

    def secret(self, value: str) -> bool:
        """Whether it stands in what the caller said or its tools gave; the system prompt's are nobody's to know."""
        return value.casefold() in self._said

    def tools(self, value: str) -> bool:
        """Whether it stands in what tools gave, and in nothing that the caller said."""
        own = ("tool_result", "document")
        others = [segment for segment in self._segments if segment.kind not in own and segment.role != "tool"]
        theirs = [segment for segment in self._segments if segment.kind in own or segment.role == "tool"]
        return value in _joined(theirs) and value not in _joined(others)

    def told(self, value: str) -> bool:
        """Whether it stands in the conversation, the system prompt included."""
        return value.casefold() in self._all


def _joined(segments: list[Segment]) -> str:
    kept: list[str] = []
    room = TEXT_CHARS
    for segment in reversed(segments):
        if room <= 0:
            break
        kept.append(segment.text[:room])
        room -= len(segment.text)
    return "\n".join(kept).casefold()
