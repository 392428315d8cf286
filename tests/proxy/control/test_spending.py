from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.control.spending import Spending
from proxy.errors import BadRequest
from proxy.store.history import History
from tests.kit import FakeClock
from tests.proxy.control.records import record

DAY, NEXT_S = "2023-11-14", 1_700_006_400.0
EVER = 1_800_000_000.0


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    made = History(tmp_path / "executions", FakeClock())
    yield made
    made.close()


async def asked(history: History, by: str, until_s: float = EVER, **more: Any) -> list[tuple[Any, ...]]:
    return sorted(await Spending(history).answer({"by": by, "day": DAY, "until": until_s, **more}))


async def test_sums_of_a_day_are_told_by_whom_a_limit_counts(history: History) -> None:
    told: dict[str, Any] = {"attempts": 1, "target_model": "gpt-4o-eu"}
    history.write(
        [
            record(1, **told, cache_read_tokens=100, key="k"),
            record(2, **told, cost_nano_usd=None),
            record(4, attempts=1, tenant="t", user="u2", credential="beef", target_model=""),
            record(7, **{**told, "at": NEXT_S}),
        ]
    )
    assert await asked(history, "agent") == [
        ("default", "agent-1", "", 1, 115, 0, 1000), ("default", "agent-2", "", 1, 15, 15, 0),
        ("t", "agent-1", "", 1, 15, 0, 1000),
    ]  # fmt: skip
    assert [one[:2] for one in await asked(history, "user")] == [("default", "u1"), ("t", "u2")]
    assert [one[:2] for one in await asked(history, "key")] == [("default", "cafe"), ("default", "k"), ("t", "beef")]
    assert [one[:2] for one in await asked(history, "own")] == [("", ""), ("", "k")]
    assert [one[:2] for one in await asked(history, "tenant")] == [("default", ""), ("t", "")]
    assert [one[1] for one in await asked(history, "model")] == ["gpt-4o", "gpt-4o-eu"]
    assert await asked(history, "all") == [("", "", "", 3, 145, 15, 2000)]
    split = await asked(history, "all", models=True)
    assert [(one[2], one[3]) for one in split] == [("gpt-4o", 1), ("gpt-4o-eu", 2)]


async def test_only_calls_that_were_let_through_before_the_moment_count(history: History) -> None:
    history.write(
        [
            record(1, outcome="limited"),
            record(2, outcome="caller_error", attempts=0),
            record(3, outcome="caller_error", attempts=1),
            record(4, outcome="refused", attempts=0),
            record(5, parent="wr_00000001"),
            record(6),
        ]
    )
    assert [one[3] for one in await asked(history, "all")] == [3]
    assert [one[3] for one in await asked(history, "all", until_s=record(6)["at"])] == [2]


async def test_a_day_without_calls_has_no_sums(history: History) -> None:
    assert await asked(history, "user") == []


async def test_who_asks_again_meanwhile_waits_for_the_same(history: History) -> None:
    history.write([record(1)])
    reads = 0

    class Counting:
        def spent(self, *asked: Any, **more: Any) -> Any:
            nonlocal reads
            reads += 1
            return history.spent(*asked, **more)

    spending = Spending(Counting())  # type: ignore[arg-type]
    question = {"by": "all", "day": DAY, "until": EVER}
    first, second = await asyncio.gather(spending.answer(question), spending.answer(dict(question)))
    assert first == second and reads == 1


@pytest.mark.parametrize(
    "wrong",
    [None, {}, {"by": "1; DROP", "day": DAY, "until": 1}, {"by": [], "day": DAY, "until": 1},
     {"by": "all", "day": "../x", "until": 1}, {"by": "all", "day": DAY, "until": "now"}],
)  # fmt: skip
async def test_what_is_no_question_is_refused(history: History, wrong: Any) -> None:
    with pytest.raises(BadRequest):
        await Spending(history).answer(wrong)
