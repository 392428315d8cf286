"""What was spent on a day before this process began: asked of the control process, which has the history."""

from __future__ import annotations

from typing import Any, Protocol

from proxy.errors import WeirError
from proxy.plugin import Spent

TRIES = 12
"""Each takes as long as control may take to answer (`Sender.ask`): a minute in all."""


class Asks(Protocol):
    async def ask(self, question: dict[str, Any]) -> dict[str, Any]: ...


class Spending:
    """`plugin.SpentKit`."""

    def __init__(self, records: Asks) -> None:
        self._records = records

    async def __call__(self, by: str, day: str, until_s: float, *, models: bool = False) -> list[Spent]:
        """Raises WeirError where control has not answered for a minute."""
        question = {"spent": {"by": by, "day": day, "until": until_s, "models": models}}
        for left in reversed(range(TRIES)):
            try:
                told = await self._records.ask(question)
                break
            except WeirError:
                if not left:
                    raise
        return [Spent(*each) for each in told.get("spent", ())]
