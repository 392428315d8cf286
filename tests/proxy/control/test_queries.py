from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from proxy.control.queries import Executions, Trail
from proxy.control.recorder import Recorder
from proxy.control.redaction import Redactor
from proxy.errors import BadRequest
from proxy.store.history import History
from tests.kit import FakeClock
from tests.proxy.control.records import KEY, line, trail

redact = Redactor()


@pytest.fixture
async def recorder(tmp_path: Path) -> AsyncIterator[Recorder]:
    made = Recorder(History(tmp_path / "executions", FakeClock()), trail(tmp_path), redact)
    await made.start()
    await made.write([line(n) for n in range(1, 8)])
    yield made
    await made.stop()


@pytest.fixture
def executions(recorder: Recorder) -> Executions:
    return Executions(recorder.history, recorder)


async def test_pages_lead_to_each_other(executions: Executions) -> None:
    first = await executions.page({"limit": "5"})
    second = await executions.page({"limit": "5", "cursor": first["next"]})
    assert [row["id"][-1] for row in first["data"] + second["data"]] == list("7654321")
    assert second["next"] is None


async def test_times_are_seconds_or_iso(executions: Executions) -> None:
    seconds = await executions.page({"since": "1700001003", "until": "1700001005"})
    iso = await executions.page({"since": "2023-11-14T22:30:03Z", "until": "2023-11-14T22:30:05"})
    assert [row["id"][-1] for row in seconds["data"]] == list("43") == [row["id"][-1] for row in iso["data"]]


async def test_a_row_shows_money_and_time_but_no_credential(executions: Executions) -> None:
    row = await executions.one("wr_00000003")
    assert row is not None
    assert row["cost_usd"] == 1e-6 and row["time"] == "2023-11-14T22:30:03.000Z" and "credential" not in row
    assert await executions.one("nothing") is None


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "-1"},
        {"limit": "²"},
        {"since": "yesterday"},
        {"since": "nan"},
        {"until": "1e999"},
        {"cursor": "!"},
        {"cursor": "W10"},
        {"agnet": "x"},
        {"limit": "9" * 30},
    ],
)
async def test_a_wrong_parameter_is_told_by_name(executions: Executions, query: dict[str, str]) -> None:
    with pytest.raises(BadRequest) as caught:
        await executions.page(query)
    assert caught.value.param == next(iter(query))


async def test_only_its_own_credential_learns_what_a_call_came_to(executions: Executions) -> None:
    own = await executions.own("wr_00000003", "cafe")
    assert own is not None and own["cost_usd"] == 1e-6 and own["overhead_ms"] == 0.5 and "credential" not in own
    for credential in ("", "caff", "cafeé"):
        assert await executions.own("wr_00000003", credential) is None


async def test_a_call_that_is_on_its_way_is_waited_for(executions: Executions, recorder: Recorder) -> None:
    asking = asyncio.ensure_future(executions.own("wr_00000020", "cafe"))
    await asyncio.sleep(0)
    await recorder.write([line(20)])
    assert await asking is not None
    assert await executions.own("wr_00000021", "cafe") is None


async def test_the_trail_is_paged_newest_first(recorder: Recorder, tmp_path: Path) -> None:
    desk = Trail(recorder, tmp_path / "audit.db", KEY)
    first = await desk.page({"limit": "6"})
    second = await desk.page({"limit": "6", "below": str(first["next"])})
    assert [each["n"] for each in first["data"] + second["data"]] == [8, 7, 6, 5, 4, 3, 2, 1]
    assert second["next"] is None
    assert [each["n"] for each in (await desk.page({"call": "wr_00000003"}))["data"]] == [4]
    assert len((await desk.page({"agent": "agent-1", "action": "llm.call"}))["data"]) == 3


async def test_the_trail_is_verified_while_it_grows(recorder: Recorder, tmp_path: Path) -> None:
    desk = Trail(recorder, tmp_path / "audit.db", KEY)
    reports = await asyncio.gather(desk.verify({}), recorder.write([line(9)]), desk.verify({}))
    assert reports[0]["ok"] and reports[2]["ok"]
    head = await desk.checkpoint()
    told = await desk.verify({"checkpoint": orjson.dumps(head).decode()})
    assert told["ok"] and told["checkpoint"] == 9
    with pytest.raises(BadRequest):
        await desk.verify({"checkpoint": "nonsense"})
