"""The end of a call as the log tells it: a line for each refusal, without a word of the call's."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import pytest

from proxy.live import CallerKey, Entry, Identity
from proxy.settling import LINES_PER_S
from tests.asking import FORMS, asking
from tests.pairs import SURFACES, body
from tests.plugins_for_tests import Refuses, listed

ONE_CALL = Entry("ratelimit", "ratelimit", options={"limits": [{"by": "agent", "requests_per_day": 1}]})


def told(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(one)["fields"] for one in caplog.records if one.getMessage() == "a call was refused"]


@pytest.mark.parametrize(("surface", "stream"), FORMS)
async def test_a_refusal_is_one_line_with_call_agent_plugin_and_code_and_no_text(
    surface: str, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "weir")
    async with asking(listed(Refuses)) as weir:
        got = await weir.ask(surface, stream, x_weir_agent="tax")
        record = await weir.record()
    (line,) = told(caplog)
    assert line == {"call": record["id"], "agent": "tax", "plugin": "refuses", "code": "rule_7", "status": 400}
    assert got.headers["x-weir-request-id"] == record["id"] and "something" not in caplog.text


async def test_limits_and_rights_are_refusals_too_and_calls_that_pass_are_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "weir")
    own = CallerKey("k", hashlib.sha256(b"weir-key").hexdigest(), models=("gpt-*",))
    async with asking(ONE_CALL, identity=Identity(keys=(own,))) as weir:
        for model, key in (("gpt-4o", "weir-key"), ("gpt-4o", "weir-key"), ("o3", "weir-key"), ("gpt-4o", "weir-no")):
            headers = {"authorization": f"Bearer {key}"}
            await weir.post(SURFACES["chat"][0], body("chat", model), "chat", **headers)
        await weir.running.sink.wait_for(4)
    assert [(one["plugin"], one["code"], one["status"]) for one in told(caplog)] == [
        ("ratelimit", "rate_limit_exceeded", 429), ("", "model_not_allowed", 403), ("", "invalid_api_key", 401),
    ]  # fmt: skip


async def test_a_flood_of_refusals_is_counted_and_not_written_out(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "weir")
    async with asking(listed(Refuses)) as weir:
        settling = weir.running.worker.pipeline.settling
        house: Any = settling._house
        now = house.now()
        monkeypatch.setattr(settling, "_house", _At(house, lambda: now))
        for _ in range(LINES_PER_S + 5):
            await weir.ask()
        await weir.running.sink.wait_for(LINES_PER_S + 5)
        assert len(told(caplog)) == LINES_PER_S
        now += 1.0
        await weir.ask()
        await weir.running.sink.wait_for(LINES_PER_S + 6)
    assert told(caplog)[-1]["not_logged"] == 5


class _At:
    """A house with a clock of the test's."""

    def __init__(self, house: Any, now: Any) -> None:
        self._house = house
        self.now = now

    def __getattr__(self, name: str) -> Any:
        return getattr(self._house, name)
