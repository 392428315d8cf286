"""A call that is too long for its agent's context made to fit: extracts, a summary, old turns dropped, else refused."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from plugins.compression.cut import FIELDS, Cut, units, without
from plugins.compression.plan import Plan
from plugins.compression.question import question_of
from plugins.compression.selection import extract
from plugins.compression.shrink import Count, shrunk
from plugins.compression.summary import Summariser
from plugins.compression.turns import Turn
from proxy.errors import Refused
from proxy.exchange import Exchange, Saving, Segment, dumped
from proxy.plugin import Kit

CODE = "context_too_long"
PLUGIN = "compression"
ROOM = 0.85
"""A call that was too long is brought to this share of what is allowed, so that the next turns fit as they are."""
PER_TEXT = 4
"""Tokens around each text."""
LEAST_EXTRACT = 200
"""Tokens; shorter texts are not worth an extract."""
PARTS = MappingProxyType({"chat": "text", "messages": "text", "responses": "input_text"})
"""What a part of a message that is text is called."""
EXTRACTS = 256
"""Of one conversation."""


@dataclass(slots=True)
class Task:
    """One call that is being made to fit."""

    exchange: Exchange
    plan: Plan
    turn: Turn
    count: Count
    sources: dict[int, str]
    """What texts were before they were made shorter, by the identity of their segment."""
    most: int
    now: int = 0
    """Tokens of the call as it is."""

    @property
    def goal(self) -> int:
        return int(ROOM * self.most)


class Fitter:
    """Brings calls down to `max_context_tokens`, in the same way in every turn while that is enough."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._summariser = Summariser(kit)

    def forget(self, user: str) -> int:
        """The summaries of this user's conversations."""
        return self._summariser.forget(user)

    async def fit(self, task: Task) -> list[Saving]:
        """Edits the call. Raises Refused where nothing helps."""
        request = task.exchange.request
        if len(request.body) <= task.most:  # no token is shorter than a byte
            return []
        return await self._fit(task)

    async def _fit(self, task: Task) -> list[Saving]:
        in_thread = self._kit.tasks.in_thread
        await in_thread(_begin, task)
        savings: list[Saving] = []
        whole = task.now
        if task.turn.extracts or whole > task.most:
            spared = await in_thread(_extracted, task)
            if spared:
                savings.append(_saving("extract", spared, "passages that do not concern the question"))
        if task.turn.cuts or task.now > task.most:
            savings += await self._cut(task)
        if task.now > task.most:
            raise Refused(
                PLUGIN,
                f"This call has about {whole:,} tokens, and its agent may send {task.most:,} (max_context_tokens); "
                f"with extracts of tool results and without the old turns it still has about {task.now:,}.",
                code=CODE,
            )
        return savings

    async def _cut(self, task: Task) -> list[Saving]:
        """Old turns dropped: those of before, and where that is not enough, more."""
        request = task.exchange.request
        name = FIELDS.get(request.dialect)
        original = request.get(name) if name else None
        if name is None or not isinstance(original, list):
            return []
        present = request.present()[name]
        placed = len(present) == len(original)
        sizes = await self._kit.tasks.in_thread(_sizes, present, task, placed)
        same = original if placed else present  # (where others have added messages, theirs count)
        cuts = task.turn.cuts if _same(task.turn, same) else ()
        left = task.now - _inside(cuts, sizes)
        kind = "drop"
        if left > task.most:
            cuts, left = _deeper(present, sizes, task)
            if not cuts:
                return []
            summary = await self._summariser.summary(task.exchange, task.plan, _dropped(present, cuts))
            kind = "summary" if summary else "drop"
            cuts = _noted(cuts, sizes, summary, task.most)
            task.turn.cuts, task.turn.mark = cuts, _mark(same, cuts)
        elif cuts and task.turn.summarised:
            kind = "summary"
        task.turn.summarised = kind == "summary"
        if not cuts:
            return []
        request.set(name, without(present, cuts, PARTS[request.dialect]))
        notes = sum(task.count(cut.note) for cut in cuts)
        spared, task.now = task.now - left - notes, left + notes
        return [_saving(kind, spared, "old turns")]


def _begin(task: Task) -> None:
    request, count = task.exchange.request, task.count
    tools = request.get("tools")
    texts = [one for one in request.segments if one.kind != "tool_description" or not tools]
    task.now = sum([count(one.text) for one in texts]) + PER_TEXT * len(texts)
    if tools:
        task.now += count(dumped(tools).decode())


def _extracted(task: Task) -> int:
    """Tool results and documents from the oldest on, to a half of their tokens, then to a quarter, until the call fits.
    What was extracted before is extracted in the same way."""
    segments = [one for one in task.exchange.request.segments if _cuttable(task, one)]
    was = task.now
    for segment in segments:
        budget = task.turn.extracts.get(_digest(task, segment))
        if budget is not None:
            _extract(task, segment, budget)
    if task.now <= task.most:
        return was - task.now
    for share in (2, 4):
        for segment in segments:
            if task.now <= task.goal:
                return was - task.now
            tokens = task.count(_source(task, segment))
            if tokens >= LEAST_EXTRACT and _extract(task, segment, tokens // share):
                task.turn.extracts[_digest(task, segment)] = tokens // share
                if len(task.turn.extracts) > EXTRACTS:
                    task.turn.extracts.popitem(last=False)
    return was - task.now


def _extract(task: Task, segment: Segment, budget: int) -> bool:
    source = _source(task, segment)
    question = question_of(task.exchange.request, segment)
    made = extract(source, question, budget, task.count(source))
    if made is None:
        return False
    shorter = shrunk(made, task.plan.rules[segment.kind, segment.role], task.count).text
    spared = task.count(segment.text) - task.count(shorter)
    if spared <= 0:
        return False
    segment.text = shorter
    task.now -= spared
    return True


def _cuttable(task: Task, segment: Segment) -> bool:
    return (
        segment.kind in ("tool_result", "document")
        and not segment.sealed
        and ((segment.kind, segment.role) in task.plan.rules)
    )


def _source(task: Task, segment: Segment) -> str:
    return task.sources.get(id(segment), segment.text)


def _digest(task: Task, segment: Segment) -> bytes:
    return hashlib.blake2b(_source(task, segment).encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _sizes(messages: Sequence[Any], task: Task, placed: bool) -> list[int]:
    """Tokens of each message, as those of the call were counted. `placed`: the texts stand where they stood."""
    if not placed:
        return [task.count(dumped(message).decode()) for message in messages]
    sizes = [0] * len(messages)
    for segment in task.exchange.request.segments:
        if segment.kind != "tool_description" and 0 <= segment.index < len(sizes):
            sizes[segment.index] += task.count(segment.text) + PER_TEXT
    return sizes


def _inside(cuts: Sequence[Cut], sizes: Sequence[int]) -> int:
    return sum(sum(sizes[cut.start : cut.end]) for cut in cuts)


def _deeper(messages: Sequence[Any], sizes: Sequence[int], task: Task) -> tuple[tuple[Cut, ...], int]:
    """The oldest turns that have to go so that there is room again, joined to as few cuts as can be."""
    left = task.now
    cuts: list[Cut] = []
    for start, end in units(messages):
        if left <= task.goal:
            break
        left -= sum(sizes[start:end])
        if cuts and cuts[-1].end == start:
            cuts[-1] = Cut(cuts[-1].start, end)
        else:
            cuts.append(Cut(start, end))
    return tuple(cuts), left


def _noted(cuts: Sequence[Cut], sizes: Sequence[int], summary: str, most: int) -> tuple[Cut, ...]:
    """Each with its note; a summary stands in the first."""
    made: list[Cut] = []
    for cut in cuts:
        tokens = sum(sizes[cut.start : cut.end])
        number = cut.end - cut.start
        note = f"[{number} earlier messages (about {tokens:,} tokens) were left out: the call may have {most:,}.]"
        if summary and not made:
            note = f"{note[:-1]} Summary of what was left out:]\n{summary}\n[End of the summary.]"
        made.append(Cut(cut.start, cut.end, note))
    return tuple(made)


def _dropped(messages: Sequence[Any], cuts: Sequence[Cut]) -> list[Any]:
    return [message for cut in cuts for message in messages[cut.start : cut.end]]


def _mark(messages: Sequence[Any], cuts: Sequence[Cut]) -> bytes:
    """Stands for what is dropped, so that it is the same in a later turn."""
    told = dumped(_dropped(messages, cuts))
    return hashlib.blake2b(told, digest_size=16).digest()


def _same(turn: Turn, messages: Sequence[Any]) -> bool:
    return bool(turn.cuts) and turn.cuts[-1].end < len(messages) and _mark(messages, turn.cuts) == turn.mark


def _saving(kind: str, tokens: int, risk: str) -> Saving:
    return Saving(PLUGIN, kind, input_tokens=tokens, risk=f"left out: {risk}")
