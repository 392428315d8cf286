"""Asking control what was spent: as often as it takes, and not for ever."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.channel import ChannelDown
from proxy.plugin import Spent
from proxy.spent import TRIES, Spending


class Control:
    def __init__(self, away: int) -> None:
        self.away = away
        self.asked: list[Any] = []

    async def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(question)
        if len(self.asked) <= self.away:
            raise ChannelDown("The control process is not there.")
        return {"spent": [["t", "a", "", 1, 2, 3, 4]]}


async def test_what_control_says_is_told_once_it_is_there() -> None:
    control = Control(away=3)
    told = await Spending(control)("agent", "2023-11-14", 5.0, models=True)
    assert told == [Spent("t", "a", "", 1, 2, 3, 4)]
    assert control.asked[-1] == {"spent": {"by": "agent", "day": "2023-11-14", "until": 5.0, "models": True}}


async def test_a_control_that_does_not_come_is_given_up() -> None:
    control = Control(away=TRIES)
    with pytest.raises(ChannelDown):
        await Spending(control)("all", "2023-11-14", 5.0)
    assert len(control.asked) == TRIES
