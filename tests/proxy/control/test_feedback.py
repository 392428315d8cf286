"""What callers say of answers: who may, what is kept, and what workers are told of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy.control.feedback import KEPT, NOTES_BYTES, PAGE, Feedback
from proxy.control.ledger import Ledger
from proxy.control.queries import Executions
from proxy.control.recorder import Recorder
from proxy.control.redaction import Redactor
from proxy.errors import BadRequest
from proxy.store.feedback import NAMES, OF_USER
from proxy.store.history import History
from proxy.store.rows import Filter
from tests.kit import FakeClock
from tests.proxy.control.records import KEY, record

NOTE = {"routing": ["cheap", 1.5, 1.0]}


class Case:
    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.clock.jump(2000.0)
        self.recorder = Recorder(
            History(folder / "executions", self.clock), Ledger(folder, KEY, self.clock), Redactor()
        )  # fmt: skip
        self.pushed: list[dict[str, Any]] = []
        executions = Executions(self.recorder.history, self.recorder)
        self.learns = True
        self.feedback = Feedback(
            self.recorder, executions, self.clock, Redactor(), self.pushed.append, learns=lambda: self.learns
        )

    async def call(self, number: int = 1, **fields: Any) -> None:
        fields = {"lessons": NOTE, "tenant": "t1", **fields}
        await self.recorder.write([orjson.dumps(record(number, **fields))])

    async def say(self, number: int = 1, score: float = 0.0, **more: Any) -> Any:
        wish = {"call": f"wr_{number:08d}", "name": "answer", "score": score, "tenant": "t1", "credential": "cafe"}
        return await self.feedback.told({**wish, **more})

    def kept(self, user: str = "u1") -> list[dict[str, Any]]:
        return [dict(row) for _, rows in self.recorder.history.sums(OF_USER, Filter(), (user,)) for row in rows]


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Case]:
    made = Case(folder)
    await made.recorder.start()
    try:
        yield made
    finally:
        await made.recorder.stop()


@pytest.fixture
async def case(tmp_path: Path) -> AsyncIterator[Case]:
    async with opened(tmp_path) as made:
        yield made


async def test_a_verdict_is_kept_and_workers_are_told_that_there_is_one(case: Case) -> None:
    await case.call()
    assert await case.say() == {"state": "kept", "before": None, "taught": ["routing"]}
    (told,) = await case.feedback.after(0)
    assert told[1:] == ["wr_00000001", "answer", 0.0, "t1", "agent-1", NOTE]
    assert case.pushed == [{"feedback": told[0]}]
    assert await case.feedback.after(told[0]) == []


async def test_the_last_word_counts_and_whoever_heard_the_first_is_told(case: Case) -> None:
    await case.call()
    await case.say(score=0.0)
    ((heard, *_),) = await case.feedback.after(0)
    assert (await case.say(score=1.0))["before"] == 0.0
    assert [told[3] for told in await case.feedback.after(heard)] == [1.0]
    assert [told[3] for told in await case.feedback.after(0)] == [1.0]
    assert len(case.kept()) == 1


async def test_who_judges_one_call_again_and_again_pushes_no_other_verdict_out(case: Case) -> None:
    await case.call(1)
    await case.call(2)
    await case.say(2)
    for score in (0.1, 0.2, 0.3):
        await case.say(1, score)
    assert [told[1] for told in await case.feedback.after(0)] == ["wr_00000002", "wr_00000001"]


@pytest.mark.parametrize(
    ("who", "state"),
    [
        ({"credential": "beef"}, "kept"),
        ({"tenant": "other"}, "kept"),
        ({"tenant": "other", "credential": "beef"}, "forbidden"),
        ({"tenant": "", "credential": ""}, "forbidden"),
    ],
)
async def test_a_call_is_judged_by_who_made_it_or_by_its_tenant(case: Case, who: dict[str, Any], state: str) -> None:
    await case.call()
    assert (await case.say(**who))["state"] == state
    assert len(case.kept()) == (1 if state == "kept" else 0)


async def test_a_call_without_tenant_or_credential_is_nobodys(case: Case) -> None:
    await case.call(tenant="", credential="")
    assert (await case.say(tenant="", credential=""))["state"] == "forbidden"


async def test_of_a_call_that_is_not_known_nothing_is_kept(case: Case) -> None:
    await case.call()
    assert await case.say(7) == {"state": "unknown"}
    assert case.pushed == []


async def test_a_call_is_judged_under_so_many_names(case: Case) -> None:
    await case.call()
    for number in range(NAMES):
        assert (await case.say(name=f"n{number}"))["state"] == "kept"
    assert await case.say(name="more") == {"state": "full"}


async def test_a_verdict_that_nobody_learns_of_is_kept_all_the_same(case: Case) -> None:
    await case.call(1, lessons={})
    await case.call(2, lessons={"routing": "x" * NOTES_BYTES})
    for number in (1, 2):
        assert await case.say(number) == {"state": "kept", "before": None, "taught": []}
    assert case.pushed == []
    assert await case.feedback.after(0) == []
    assert len(case.kept()) == 2


async def test_secrets_are_taken_out_of_comments(case: Case) -> None:
    await case.call()
    await case.say(comment="it told me sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGH")
    (kept,) = case.kept()
    assert kept["comment"].startswith("it told me")
    assert "abcdefgh" not in kept["comment"]


async def test_another_control_tells_the_same_in_the_same_order(tmp_path: Path) -> None:
    async with opened(tmp_path) as case:
        for number in range(1, 6):
            await case.call(number)
        for number in (3, 1, 5, 2, 4):
            await case.say(number, score=number / 10)
        told = await case.feedback.after(0)
    async with opened(tmp_path) as case:
        assert await case.feedback.after(0) == told
        assert await case.feedback.after(told[2][0]) == told[3:]
        case.clock.jump(-3600.0)  # a clock that was set back changes no order
        await case.say(1, score=1.0)
        assert (await case.feedback.after(told[-1][0]))[0][3] == 1.0


async def test_so_many_are_told_at_a_time_and_so_many_in_all(case: Case) -> None:
    case.feedback._ready = True
    for n in range(1, KEPT + 51):
        case.feedback._keep([n, f"wr_{n}", "answer", 1.0, "t", "a", {}])
    page = await case.feedback.after(0)
    assert (len(page), page[0][0]) == (PAGE, 51)
    assert (await case.feedback.after(KEPT + 48))[-1][0] == KEPT + 50


@pytest.mark.parametrize("wish", [None, [], {"call": "x", "more": 1}])
async def test_what_is_no_verdict_is_refused(case: Case, wish: Any) -> None:
    with pytest.raises(BadRequest):
        await case.feedback.told(wish)


@pytest.mark.parametrize("heard", [None, "1", True, 1.5])
async def test_what_is_no_number_of_a_verdict_is_refused(case: Case, heard: Any) -> None:
    with pytest.raises(BadRequest):
        await case.feedback.after(heard)


async def test_where_nothing_is_to_be_learnt_verdicts_are_kept_for_when_it_is(case: Case) -> None:
    await case.call()
    case.learns = False
    assert await case.say() == {"state": "kept", "before": None, "taught": []}
    assert (case.pushed, await case.feedback.after(0), len(case.kept())) == ([], [], 1)
    case.learns = True
    assert len(await case.feedback.after(0)) == 1
