"""What the admin port tells of security events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proxy.control.events import Events
from proxy.errors import BadRequest
from proxy.store.history import History
from tests.kit import FakeClock

NOON = 1_700_049_600.0


@pytest.fixture
def history(tmp_path: Path) -> History:
    made = History(tmp_path / "executions", FakeClock())
    for number, severity in enumerate(("low", "medium", "high", "critical", "odd")):
        found: dict[str, Any] = {
            "plugin": "g", "type": "word", "severity": severity, "action": "refuse", "score": 0.5, "reasons": ["r"],
            "counts": [["WORD", 2]], "recommended": "",
        }  # fmt: skip
        made.write([{"id": f"wr_{number}", "at": NOON + number, "agent": "a", "user": "ann", "findings": [found]}])
    return made


async def test_an_event_says_when_and_what_had_best_be_done(history: History) -> None:
    told = await Events(history).page({})
    assert [one["call"] for one in told["data"]] == ["wr_4", "wr_3", "wr_2", "wr_1", "wr_0"]
    assert [one["recommended"] for one in told["data"]] == ["review", "block_and_alert", "block", "review", "log"]
    assert told["data"][-1]["time"] == "2023-11-15T12:00:00.000Z"
    assert told["data"][-1]["counts"] == {"WORD": 2}
    assert told["next"] is None


async def test_pages_follow_their_cursor(history: History) -> None:
    events = Events(history)
    first = await events.page({"limit": "3"})
    second = await events.page({"limit": "3", "cursor": first["next"]})
    assert [one["call"] for one in first["data"] + second["data"]] == ["wr_4", "wr_3", "wr_2", "wr_1", "wr_0"]
    assert second["next"] is None


async def test_every_parameter_narrows(history: History) -> None:
    events = Events(history)
    for query, count in (
        ({"severity": "high"}, 1), ({"type": "word"}, 5), ({"type": "x"}, 0), ({"agent": "a"}, 5), ({"user": "bob"}, 0),
        ({"plugin": "g", "since": "2023-11-15T12:00:03Z"}, 2), ({"until": str(NOON + 1)}, 1),
    ):  # fmt: skip
        assert len((await events.page(query))["data"]) == count, query


@pytest.mark.parametrize(
    "query",
    [{"severity": "severe"}, {"outcome": "ok"}, {"limit": "0"}, {"limit": "1001"}, {"since": "then"}, {"cursor": "x"}],
)
async def test_a_parameter_that_is_none_is_told(history: History, query: dict[str, str]) -> None:
    with pytest.raises(BadRequest):
        await Events(history).page(query)
