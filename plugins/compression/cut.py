"""Which messages may be dropped from a call, in whole turns or steps, and the call without them: Cut.

A turn begins with what the user says; a step begins with what the model does next and has the results of its calls in
it, so a call and its result go together. The system prompt stays, and so do the newest turn and step.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

Json = Any
FIELDS = MappingProxyType({"chat": "messages", "messages": "messages", "responses": "input"})
"""Where a dialect has its messages."""
_SYSTEM = ("system", "developer")
_RESULTS = ("tool_result", "mcp_tool_result")


@dataclass(frozen=True, slots=True)
class Cut:
    """Messages `start` to `end` (exclusive) are left out; `note` says so in their place."""

    start: int
    end: int
    note: str = ""


def units(messages: Sequence[Json]) -> list[tuple[int, int]]:
    """What may be dropped, oldest first, as ranges of messages: whole turns, then the older steps of the newest."""
    lead = next((at for at, one in enumerate(messages) if not _is_system(one)), len(messages))
    begins = [at for at in range(lead, len(messages)) if _begins_turn(messages, at)]
    if not begins:
        return []
    turns = list(zip([lead, *begins[1:]], begins[1:], strict=False))
    newest = begins[-1]
    steps = [at for at in range(newest + 1, len(messages)) if _begins_step(messages, at)]
    return [*turns, *itertools.pairwise(steps)]


def without(messages: Sequence[Json], cuts: Sequence[Cut], part: str) -> list[Json]:
    """The messages without what is cut, a note in its place: before the words of the turn that follows, else behind
    those of the turn that it was taken from. `part`: the type of a text part of the dialect."""
    gone = {at for cut in cuts for at in range(cut.start, cut.end)}
    made = {at: message for at, message in enumerate(messages) if at not in gone}
    for cut in cuts:
        if not cut.note:
            continue
        after = cut.end
        while after in gone:
            after += 1
        if after in made and _is_user(made[after]):
            made[after] = _noted(made[after], cut.note, part, before=True)
            continue
        before = max((at for at in made if at < cut.start and _is_user(made[at])), default=None)
        if before is not None:
            made[before] = _noted(made[before], cut.note, part, before=False)
    return [made[at] for at in sorted(made)]


def _noted(message: Json, note: str, part: str, *, before: bool) -> Json:
    content = message.get("content")
    if type(content) is list:
        said: Json = {"type": part, "text": note}
        return {**message, "content": [said, *content] if before else [*content, said]}
    return {**message, "content": f"{note}\n\n{content}" if before else f"{content}\n\n{note}"}


def _is_system(message: Json) -> bool:
    return type(message) is dict and message.get("role") in _SYSTEM


def _is_user(message: Json) -> bool:
    """What the user says, not what tools gave back in the user's name."""
    if type(message) is not dict or message.get("role") != "user":
        return False
    content = message.get("content")
    if type(content) is not list:
        return type(content) is str
    return not any(type(block) is dict and block.get("type") in _RESULTS for block in content)


def _begins_turn(messages: Sequence[Json], at: int) -> bool:
    return _is_user(messages[at]) and not (at and _is_user(messages[at - 1]))


def _begins_step(messages: Sequence[Json], at: int) -> bool:
    """The model's doing, where the one before was not: its reasoning, words and calls stay together."""
    return _is_models(messages[at]) and not _is_models(messages[at - 1])


def _is_models(message: Json) -> bool:
    if type(message) is not dict:
        return False
    role, kind = message.get("role"), message.get("type")
    if role is not None:
        return bool(role == "assistant")
    return type(kind) is str and (kind == "reasoning" or (kind.endswith("_call") and "output" not in kind))
