"""The judgement of a call's texts: remembered where they came before, in slices and off the loop where long."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from plugins.injection import templates
from plugins.injection.position import Position
from proxy.exchange import Exchange, Segment
from proxy.plugin import Kit

SLICE_CHARS = 12_000
"""Of a long text that are judged at once."""
OVERLAP_CHARS = 600
"""Of a slice that the next one begins with, so that nothing hides on the edge."""
LOOP_COST = 8_000
"""Characters of one call that are judged on the event loop; a character beyond ASCII counts as several."""
FOREIGN_COST = 4


class Verdict(Protocol):
    """What a judge says of a text."""

    @property
    def score(self) -> float: ...

    @property
    def reasons(self) -> tuple[str, ...]: ...

    @property
    def flagged(self) -> bool: ...

    @property
    def classic(self) -> bool: ...


class Judges(Protocol):
    """What judges: pure, safe in any thread."""

    def judge(self, text: str, position: Position) -> Verdict: ...

    def threshold(self, position: Position, false_positives: float) -> float:
        """The score from which on harmless texts are taken for attacks at this rate."""
        ...


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found in one text: nothing of it that could be read."""

    score: float
    reasons: tuple[str, ...]
    flagged: bool
    """By the threshold that comes with the model."""
    classic: bool
    templated: bool
    """Control tokens of a chat template stand in it."""


CLEAN = Seen(0.0, (), False, False, False)
Asked = list[tuple[Segment, Position]]


def judged(judge: Judges, text: str, position: Position) -> Seen:
    """One text, however long; the highest score of its slices counts."""
    verdicts = [judge.judge(piece, position) for piece in slices(text)]
    worst = max(verdicts, key=lambda verdict: verdict.score)
    classic = [verdict for verdict in verdicts if verdict.classic]
    reasons = worst.reasons if worst.classic or not classic else (*worst.reasons, *classic[0].reasons)
    return Seen(
        worst.score,
        tuple(dict.fromkeys(reasons)),
        any(verdict.flagged for verdict in verdicts),
        bool(classic),
        templates.found(text),
    )


def slices(text: str) -> Iterator[str]:
    """A long text in overlapping pieces."""
    if len(text) <= SLICE_CHARS:
        yield text
        return
    for start in range(0, len(text) - OVERLAP_CHARS, SLICE_CHARS - OVERLAP_CHARS):
        yield text[start : start + SLICE_CHARS]


class Screen:
    """One judge and what was remembered of its judgements. `fingerprint` names rules and model; `slow`: never on the
    event loop."""

    def __init__(self, kit: Kit, plugin: str, judge: Judges, fingerprint: str, *, slow: bool = False) -> None:
        self._kit = kit
        self._plugin = plugin
        self._fingerprint = fingerprint
        self._loop_cost = 0 if slow else LOOP_COST
        self.judge = judge

    def sort(self, exchange: Exchange, asked: Asked) -> tuple[list[Seen | None], Asked]:
        """What is known of these texts, None where nothing is; and those that are new."""
        segments = [settled(segment) if segment.fresh else segment for segment, _ in asked]
        known: list[Seen | None] = self._kit.memory.recall_all(self._plugin, self._fingerprint, exchange, segments)
        return known, [one for one, seen in zip(asked, known, strict=True) if seen is None]

    async def see(self, exchange: Exchange, fresh: Asked) -> dict[int, Seen]:
        """New texts judged, by the identity of their segment. Waits only where there is much to read."""
        work: Callable[[], list[Seen]] = lambda: [judged(self.judge, one.original, at) for one, at in fresh]  # noqa: E731
        if cost(one.original for one, _ in fresh) <= self._loop_cost:
            found = work()
        else:
            found = await self._kit.tasks.in_thread(work)
        made: dict[int, Seen] = {}
        for (segment, _), seen in zip(fresh, found, strict=True):
            made[id(segment)] = seen
            self._kit.memory.remember(self._plugin, self._fingerprint, exchange, settled(segment), seen)
        return made


def cost(texts: Iterable[str]) -> int:
    """What it takes to judge them, in characters of ASCII."""
    return sum(len(text) * (1 if text.isascii() else FOREIGN_COST) for text in texts)


def settled(segment: Segment) -> Segment:
    """The same text as in a later turn: what is found in it does not depend on when it came."""
    return Segment(segment.role, segment.kind, segment.original) if segment.fresh else segment
