"""A plugin's own call to a model."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.ask import PRIORITY
from proxy.live import Agent
from tests.asking import asking
from tests.plugins_for_tests import Asks, Edits, Refuses, listed


async def test_it_goes_out_without_the_chain_at_its_parents_charge_and_is_metered_and_audited() -> None:
    async with asking(listed(Asks), listed(Edits)) as weir:
        assert (await weir.ask(x_weir_agent="a-1", x_weir_session="s-1")).status == 200
        assert weir.plugin("asks").heard == ["You said: is this fine?"]  # (no plugin has edited it)
        child, parent = await weir.running.sink.wait_for(2)
        assert (child["parent"], child["purpose"]) == (parent["id"], "judge")
        assert (child["agent"], child["session"]) == ("a-1", "s-1")
        assert child["conversation"] == parent["conversation"]
        assert (child["outcome"], child["usage_source"]) == ("ok", "provider")
        assert child["cost_nano_usd"] > 0
        assert child["audit"]["action"] == "llm.call"
        assert set(child["plugins_us"]) == {"audit", "metering"}
        assert (parent["parent"], parent["purpose"]) == (None, "")
        assert weir.counted("weir_requests_total", agent="a-1") == 2


async def test_nothing_of_the_caller_goes_along_and_it_has_the_lowest_priority() -> None:
    async with asking(listed(Asks), upstream={"key": "weirs-own"}) as weir:
        await weir.ask(x_custom="private")
        sent = weir.provider.requests[0]
        assert sent.header("authorization") == "Bearer weirs-own"
        assert sent.header("x-custom") is None
        assert sent.json == {
            "messages": [{"role": "user", "content": "is this fine?"}], "model": "gpt-4o-mini", "stream": False,
        }  # fmt: skip
        assert PRIORITY < 0


async def test_a_callers_own_credential_is_not_spent_on_it() -> None:
    async with asking(listed(Asks)) as weir:
        await weir.ask()
        assert [sent.header("authorization") for sent in weir.provider.requests] == [None, "Bearer sk-caller"]


async def test_it_is_off_in_shadow() -> None:
    agents = {"quiet": Agent(plugins={"asks": {"mode": "shadow"}})}
    async with asking(listed(Asks), agents=agents) as weir:
        assert (await weir.ask(x_weir_agent="quiet")).status == 200
        assert weir.plugin("asks").heard == ["PluginFailed"]
        assert len(weir.provider.requests) == 1
        assert (await weir.record())["audit"]["plugins"]["asks"] == ["request would fail PluginFailed"]


@pytest.mark.parametrize(("on_error", "status"), [("open", 200), ("closed", 503)])
async def test_a_model_that_does_not_answer_is_a_failure_of_the_plugin(on_error: Any, status: int) -> None:
    async with asking(listed(Asks, on_error=on_error)) as weir:
        weir.plugin("asks").kit.ask  # noqa: B018  it is there
        weir.provider.key = "sk-caller"
        assert (await weir.ask()).status == status  # the plugin asks without a credential, and gets a 401
        child = (await weir.running.sink.wait_for(2))[0]
        assert (child["outcome"], child["status"]) == ("provider_error", 401)
        assert weir.plugin("asks").heard == ["UpstreamFailed"]


async def test_one_that_takes_too_long_is_cancelled_and_recorded_so() -> None:
    async with asking(listed(Asks, timeout_ms=50)) as weir:
        ask = weir.plugin("asks").kit.ask

        async def slowly(exchange: Any) -> None:
            call = {"messages": [{"role": "user", "content": "[[sim hang=1]]"}]}
            await ask(exchange, exchange.target, call, "judge")

        weir.plugin("asks").request = slowly
        assert (await weir.ask()).status == 200
        records = await weir.running.sink.wait_for(2)
        assert sorted(one["outcome"] for one in records) == ["cancelled", "ok"]
        await weir.provider.until(lambda: not weir.provider.running)


@pytest.mark.parametrize("surface", ["chat", "messages", "responses"])
async def test_it_speaks_the_dialect_of_its_parent(surface: str) -> None:
    async with asking(listed(Asks)) as weir:
        asks = weir.plugin("asks")
        said = {"messages": [{"role": "user", "content": "fine?"}]}
        bodies = {"messages": {"max_tokens": 5, **said}, "responses": {"input": "fine?"}, "chat": said}

        async def ask(exchange: Any) -> None:
            found = await asks.kit.ask(exchange, exchange.target, bodies[surface], "judge")
            asks.heard.append((found.text, found.complete, found.usage is not None))

        asks.request = ask
        assert (await weir.ask(surface)).status == 200
        assert asks.heard == [("You said: fine?", True, True)]


async def test_it_is_noted_before_it_is_sent_where_audit_is_strict() -> None:
    async with asking(listed(Asks), audit_strict=True) as weir:
        await weir.ask()
        begun = [line["audit"]["call"] for line in weir.running.sink.durable]
        assert sorted(begun) == sorted(one["id"] for one in await weir.running.sink.wait_for(2))


async def test_guards_are_not_asked_about_it() -> None:
    async with asking(listed(Asks), listed(Refuses, options={"word": "fine"})) as weir:
        assert (await weir.ask()).status == 200
