"""Every verdict is heard once, in its order, whatever happens to the channel."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from proxy.app import lessons
from proxy.app.lessons import Lessons
from proxy.errors import StoreDown
from proxy.plugin import Verdict


class Control:
    """Has verdicts, and gives two at a time."""

    def __init__(self) -> None:
        self.verdicts: list[list[Any]] = []
        self.asked = 0
        self.away = 0
        self.taught: list[tuple[str, float, float | None, Any]] = []

    def say(self, call: str, score: float, name: str = "answer") -> None:
        self.verdicts.append([len(self.verdicts) + 1, call, name, score, "t", "a", {"routing": [call]}])

    async def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            self.away -= 1
            raise StoreDown("away")
        return {"lessons": [each for each in self.verdicts if each[0] > question["lessons"]][:2]}

    async def teach(self, verdict: Verdict, notes: Mapping[str, Any]) -> None:
        await asyncio.sleep(0)
        self.taught.append((verdict.call, verdict.score, verdict.before, notes["routing"]))


@pytest.fixture
def control(monkeypatch: pytest.MonkeyPatch) -> Control:
    monkeypatch.setattr(lessons, "AGAIN_S", 0.0)
    return Control()


def made(control: Control) -> Lessons:
    return Lessons(control.ask, control.teach)


async def test_all_is_heard_in_order_and_once(control: Control) -> None:
    heard = made(control)
    for number in range(5):
        control.say(f"c{number}", 1.0)
    assert await heard.follow() == 5
    assert await heard.follow() == 5
    assert control.taught == [(f"c{number}", 1.0, None, [f"c{number}"]) for number in range(5)]


async def test_a_word_in_anothers_place_comes_with_that(control: Control) -> None:
    heard = made(control)
    control.say("c", 0.0)
    await heard.follow()
    control.say("c", 1.0)
    await heard.follow()
    assert [(score, before) for _, score, before, _ in control.taught] == [(0.0, None), (1.0, 0.0)]


async def test_what_is_said_of_one_call_under_several_names_is_one_word_on_it(control: Control) -> None:
    heard = made(control)
    for name, score in (("answer", 1.0), ("tone", 0.0), ("tone", 0.5), ("other", 0.0)):
        control.say("c", score, name)
    await heard.follow()
    assert [(score, before) for _, score, before, _ in control.taught] == [
        (1.0, None), (0.5, 1.0), (0.75, 0.5), (0.5, 0.75),
    ]  # fmt: skip


async def test_while_control_is_away_it_is_asked_again_and_then_given_up(control: Control) -> None:
    heard = made(control)
    control.say("c", 0.0)
    control.away = 2
    assert await heard.follow() == 1
    control.say("d", 0.0)
    control.away = 100
    assert await heard.follow() == 1
    control.away = 0
    assert await heard.follow() == 2


async def test_those_who_are_told_at_once_ask_twice_at_most(control: Control) -> None:
    heard = made(control)
    control.say("c", 0.0)
    await asyncio.gather(*(heard.follow() for _ in range(50)))
    assert control.asked <= 4  # two of them, and each until there is no more
    assert len(control.taught) == 1


async def test_scores_are_remembered_of_so_many(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lessons, "REMEMBERED", 2)
    heard = made(control)
    for call in ("a", "b", "c", "a", "c"):
        control.say(call, 0.5)
    await heard.follow()
    assert [before for _, _, before, _ in control.taught] == [None, None, None, None, 0.5]
    assert len(heard._scores) == 2
