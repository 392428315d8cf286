"""A guard for tests: notes every text that it is shown, and refuses or changes those with its word in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from proxy.errors import Refused
from proxy.exchange import Exchange, Finding, Segment
from proxy.live import Entry
from proxy.plugin import Filter, Kit, Plugin
from proxy.wire.positions import place_of
from tests.streams import Swap

RULE = "Rule 9 does not let this pass."


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """What to do about a word."""

    word: str = "canary"
    """The word."""
    does: str = "see"
    """see, refuse, answer (refuse with an answer), replace."""
    side: str = "both"
    """request, answer or both."""
    by: str = "PARROT"
    """What is put in its place."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A text that the guard was shown."""

    side: str
    position: str
    text: str
    sealed: bool


class Probe(Plugin[ProbeOptions]):
    name = "probe"
    Options = ProbeOptions
    positions = frozenset({"request", "answer"})

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self.seen: list[Seen] = []
        self.finished = 0

    def saw(self, side: str, word: str) -> set[str]:
        """The positions at which the word was."""
        return {one.position for one in self.seen if one.side == side and word in one.text}

    async def request(self, exchange: Exchange) -> None:
        said = exchange.options(self)
        for segment in exchange.request.segments:
            place = place_of(segment, answer=False)
            self.seen.append(Seen("request", place, segment.original, segment.sealed))
            if said.word not in segment.original or said.side == "answer" or said.does == "see":
                continue
            self._found(exchange, said, place)
            if said.does != "replace":
                raise Refused(self.name, RULE, code="rule_9", as_answer=said.does == "answer")
            if not segment.sealed:
                segment.text = segment.text.replace(said.word, said.by)

    def filter(self, exchange: Exchange, segment: Segment) -> Filter:
        return _Watching(self, exchange, segment)

    async def finish(self, exchange: Exchange) -> None:
        self.finished += 1

    def _found(self, exchange: Exchange, said: ProbeOptions, place: str) -> None:
        action = "replace" if said.does == "replace" else "refuse"
        exchange.find(
            Finding(self.name, "word", "high", action, 0.9, ("rule 9", place), (("WORD", 1),), recommended="review")
        )


class Asks(Probe):
    """Looks at calls only."""

    name = "asks"
    positions = frozenset({"request"})


class _Watching:
    def __init__(self, probe: Probe, exchange: Exchange, segment: Segment) -> None:
        self._probe, self._exchange, self._segment = probe, exchange, segment
        self._said = exchange.options(probe)
        self._swap = Swap(self._said.word, self._said.by)
        self._text = ""
        self._found = False

    def feed(self, piece: str) -> str:
        self._text += piece
        said = self._said
        if said.word in self._text and said.side != "request" and said.does != "see":
            if not self._found:
                self._found = True
                self._probe._found(self._exchange, said, place_of(self._segment, answer=True))
            if said.does != "replace":
                self._note()
                raise Refused(self._probe.name, RULE, code="rule_9", as_answer=said.does == "answer")
            return self._swap.feed(piece)
        return self._swap.feed(piece) if said.does == "replace" and said.side != "request" else piece

    def close(self) -> str:
        self._note()
        return self._swap.close() if self._said.does == "replace" and self._said.side != "request" else ""

    def _note(self) -> None:
        place = place_of(self._segment, answer=True)
        self._probe.seen.append(Seen("answer", place, self._text, self._segment.sealed))


def probing(
    cls: type[Probe] = Probe, *, name: str = "", envelope: dict[str, Any] | None = None, **options: Any
) -> Entry:
    """The entry of a probe with these options."""
    return Entry(name or cls.name, f"tests.probes:{cls.__name__}", options=options, **(envelope or {}))
