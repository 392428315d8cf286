"""What a worker hears of verdicts: it asks control for those that are new to it, and tells its plugins, in order."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from proxy.errors import WeirError
from proxy.plugin import Verdict

TRIES: Final = 5
AGAIN_S: Final = 0.2
REMEMBERED: Final = 8192
"""Calls whose scores are known when something more is said of them."""

Ask = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
Teach = Callable[[Verdict, Mapping[str, Any]], Awaitable[None]]


class Lessons:
    """`ask` is a question to control, `teach` tells the plugins."""

    def __init__(self, ask: Ask, teach: Teach) -> None:
        self._ask = ask
        self._teach = teach
        self._turn = asyncio.Lock()
        self._waits = False
        """Somebody is about to ask: whoever comes now need not."""
        self._scores: OrderedDict[str, dict[str, float]] = OrderedDict()
        self.heard = 0
        """The number of the last verdict that plugins were told of."""

    async def follow(self) -> int:
        """Hears what is new; gives the number of the last. While control is away nothing is: who comes back is told."""
        if self._waits:
            return self.heard
        self._waits = True
        async with self._turn:
            self._waits = False
            for left in reversed(range(TRIES)):
                try:
                    while await self._page():
                        pass
                    break
                except WeirError:
                    if left:
                        await asyncio.sleep(AGAIN_S)
        return self.heard

    async def _page(self) -> bool:
        """Whether there may be more."""
        found = (await self._ask({"lessons": self.heard})).get("lessons") or []
        for n, call, name, score, tenant, agent, notes in found:
            self.heard = n
            before, mean = self._said(call, name, score)
            await self._teach(Verdict(call, name, mean, before, tenant, agent, None), notes)
        await asyncio.sleep(0)
        return bool(found)

    def _said(self, call: str, name: str, score: float) -> tuple[float | None, float]:
        """What is thought of the call now, and what was before: however much is said of it, it is one call."""
        scores = self._scores.pop(call, {})
        before = _mean(scores) if scores else None
        scores[name] = score
        self._scores[call] = scores
        if len(self._scores) > REMEMBERED:
            self._scores.popitem(last=False)
        return before, _mean(scores)


def _mean(scores: Mapping[str, float]) -> float:
    return sum(scores.values()) / len(scores)
