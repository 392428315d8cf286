"""Tells workers what was spent before they began, so that a restart forgets no budget: sums of a day, by who pays."""

from __future__ import annotations

import asyncio
from typing import Any

from proxy.errors import BadRequest
from proxy.store.history import History
from proxy.store.rows import is_day
from proxy.store.spending import BY, Sums

Question = tuple[str, str, float, bool]


class Spending:
    """One day's file is read at a time, in a thread: about two seconds for a million calls. Who asks again what is
    being found out, because it took too long, waits for the same."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._turn = asyncio.Lock()
        self._asked: dict[Question, asyncio.Task[list[Sums]]] = {}

    async def answer(self, question: Any) -> list[Sums]:
        """`{"by", "day", "until", "models"}`: calls of that day that began before `until` (s). Raises BadRequest."""
        asked = _read(question)
        task = self._asked.get(asked)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._find(*asked), name="spending")
            self._asked[asked] = task
            task.add_done_callback(lambda _: self._asked.pop(asked, None))
        return await asyncio.shield(task)

    async def _find(self, by: str, day: str, until_s: float, models: bool) -> list[Sums]:
        async with self._turn:
            return await asyncio.to_thread(self._history.spent, day, by, until_s, models=models)


def _read(question: Any) -> Question:
    if not isinstance(question, dict):
        raise BadRequest("what was spent is asked by day")
    by, day, until_s = question.get("by"), question.get("day"), question.get("until")
    if not isinstance(by, str) or by not in BY or not isinstance(day, str) or not is_day(day):
        raise BadRequest("what was spent is asked by a kind of limit and a day")
    if not isinstance(until_s, int | float):
        raise BadRequest("what was spent is asked up to a moment")
    return by, day, float(until_s), question.get("models") is True
