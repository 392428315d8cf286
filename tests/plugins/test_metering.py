"""What calls took, used and cost: in headers, in records, in metrics; nothing unknown is zero."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.metering import Metering, MeteringOptions
from proxy.exchange import Response, Target, Usage
from proxy.plugin import overrides
from tests import kit
from tests.asking import FORMS, asking
from tests.pairs import STREAMING, body
from tests.plugins_for_tests import Answers, Judges, Refuses, listed

# --- cost


async def test_the_cost_of_a_json_answer_stands_in_a_header_and_in_the_record() -> None:
    async with asking() as weir:
        got = await weir.ask()
        record = await weir.record()
        tokens = record["input_tokens"] + record["output_tokens"]
        assert record["cost_nano_usd"] == 1000 * tokens  # (the price of the tests' price list)
        assert got.headers["x-weir-cost-usd"] == f"{tokens / 1e6:.9f}"
        assert float(got.headers["x-weir-overhead-ms"]) > 0
        assert record["price_source"] == "fake"


@pytest.mark.parametrize("surface", STREAMING)
async def test_the_cost_of_a_stream_stands_in_the_record(surface: str) -> None:
    async with asking() as weir:
        got = await weir.ask(surface, True)
        record = await weir.record()
        assert record["cost_nano_usd"] == 1000 * (record["input_tokens"] + record["output_tokens"]) > 0
        assert record["usage_source"] == "provider"
        assert "x-weir-cost-usd" not in got.headers


async def test_tokens_that_came_from_the_providers_cache_are_counted_once() -> None:
    async with asking() as weir:
        await weir.ask(wish="cached=5", raw=body("chat", "gpt-4o-mini[[sim cached=5]]"))
        record = await weir.record()
        assert record["cache_read_tokens"] == 5
        whole = weir.counted("weir_tokens_total", type="input") + weir.counted("weir_tokens_total", type="cache_read")
        assert whole == record["input_tokens"] + 5


async def test_an_unknown_price_is_none_and_counted_never_zero() -> None:
    async with asking() as weir:
        got = await weir.ask(raw=body("chat", "unpriced"))
        record = await weir.record()
        assert (record["cost_nano_usd"], record["price_source"]) == (None, "unknown")
        assert "x-weir-cost-usd" not in got.headers
        assert weir.counted("weir_unknown_price_total", model="unpriced") == 1
        assert weir.counted("weir_cost_usd_total") == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_what_weir_answered_itself_costs_nothing(stream: bool) -> None:
    for plugin in (Answers, Refuses):
        async with asking(listed(plugin)) as weir:
            got = await weir.ask(stream=stream)
            record = await weir.record()
            assert (record["cost_nano_usd"], record["price_source"]) == (0, "answered_by_weir")
            assert weir.counted("weir_tokens_total") == weir.counted("weir_unknown_price_total") == 0
            if plugin is Answers and not stream:
                assert got.headers["x-weir-cost-usd"] == "0.000000000"


async def test_what_failed_at_the_provider_has_no_known_cost() -> None:
    async with asking() as weir:
        await weir.ask(wish="status=500")
        record = await weir.record()
        assert (record["cost_nano_usd"], record["usage_source"]) == (None, "none")


# --- estimates


@pytest.mark.parametrize(("surface", "stream"), [form for form in FORMS if form[0] not in ("embeddings", "messages")])
async def test_without_the_providers_word_tokens_are_counted(surface: str, stream: bool) -> None:
    async with asking() as weir:
        await weir.ask(surface, stream, wish="usage=0")
        record = await weir.record()
        assert record["usage_source"] == "estimated"
        assert 2 <= record["input_tokens"] <= 10
        assert 4 <= record["output_tokens"] <= 8
        assert record["cost_nano_usd"] > 0
        assert weir.counted("weir_tokens_total", source="estimated", type="output") == record["output_tokens"]


async def test_estimating_may_be_turned_off() -> None:
    from proxy.live import Agent

    agents = {"plain": Agent(plugins={"metering": {"options": {"estimate": False}}})}
    async with asking(agents=agents) as weir:
        await weir.ask(wish="usage=0", x_weir_agent="plain")
        record = await weir.record()
        assert (record["usage_source"], record["output_tokens"], record["cost_nano_usd"]) == ("none", None, None)


@pytest.mark.parametrize("surface", STREAMING)
async def test_what_a_caller_that_left_had_been_given_is_counted(surface: str) -> None:
    async with asking() as weir:
        headers = {"content-type": "application/json", "authorization": "Bearer x"}
        from tests.pairs import SURFACES

        raw = body(surface, "gpt-4o-mini[[sim chunks=40 interval=0.01]]", stream=True)
        answer = await weir.session.post(weir.running.root + SURFACES[surface][0], data=raw, headers=headers)
        got = b""
        while got.count(b"data:") < 16:
            got += await answer.content.readany()
        answer.close()
        record = await weir.record()
        assert (record["outcome"], record["usage_source"], record["complete"]) == ("cancelled", "estimated", False)
        assert record["input_tokens"] > 0
        assert record["output_tokens"] >= 3
        assert record["cost_nano_usd"] > 0


async def test_a_stream_that_told_only_its_beginning_is_counted_to_where_it_came() -> None:
    async with asking() as weir:
        await weir.ask("messages", True, wish="cut=12 chunks=20")
        record = await weir.record()
        assert (record["outcome"], record["usage_source"]) == ("provider_error", "estimated")
        assert record["output_tokens"] >= 3


async def test_a_long_text_is_counted_in_a_thread() -> None:
    tasks = _Threads()
    metering, call = (
        Metering(kit.kit()),
        kit.exchange(doc={"model": "m", "messages": [{"role": "user", "content": "w " * 5000}]}),
    )
    object.__setattr__(metering.kit, "tasks", tasks)
    call.snapshot = kit.snapshot(resolve=lambda plugin, agent, variant: MeteringOptions())
    call.target, call.response = Target("sim", "m"), Response(complete=True)
    call.timeline.sent, call.timeline.headers, call.attempts = 1.0, 1.0, 1
    await metering.finish(call)
    assert tasks.count == 1
    assert call.response.usage == Usage(input=5004)


class _Threads(kit.FakeTasks):
    count = 0

    async def in_thread(self, work: Any, *arguments: Any) -> Any:
        self.count += 1
        return work(*arguments)


# --- metrics


async def test_every_call_is_counted_by_agent_surface_and_outcome() -> None:
    async with asking(listed(Refuses, options={"word": "zebra"})) as weir:
        await weir.ask(x_weir_agent="a-1")
        await weir.ask("messages", True)
        await weir.ask(wish="status=500")
        await weir.ask(wish="status=404")
        await weir.ask(raw=b'{"model":"m","messages":[{"role":"user","content":"zebra"}]}')
        await weir.ask(raw=b"not json")
        await weir.running.sink.wait_for(6)
        assert weir.counted("weir_requests_total") == 6
        assert weir.counted("weir_requests_total", agent="a-1", surface="chat", outcome="ok") == 1
        assert weir.counted("weir_requests_total", surface="messages", outcome="ok") == 1
        for outcome, count in (("provider_error", 1), ("caller_error", 2), ("refused", 1)):
            assert weir.counted("weir_requests_total", outcome=outcome) == count
        assert weir.counted("weir_response_seconds") == 6
        assert weir.counted("weir_response_seconds", surface="messages", stream="true") == 1
        assert weir.counted("weir_time_to_first_token_seconds") == 1
        assert weir.counted("weir_upstream_seconds", upstream="sim") == 4
        assert weir.counted("weir_plugin_seconds", plugin="refuses") == 5
        assert weir.counted("weir_plugin_outcomes_total", plugin="refuses", what="refused") == 1


async def test_what_plugins_did_makes_one_series_for_each_kind_of_deed() -> None:
    async with asking(listed(Refuses, mode="shadow"), listed(Judges, options={"text": "x"})) as weir:
        await weir.ask(wish="status=500")
        await weir.record()
        assert weir.counted("weir_plugin_outcomes_total", what="would refuse") == 1
        assert weir.counted("weir_plugin_outcomes_total", plugin="judges", what="replaced") == 1


async def test_times_add_up() -> None:
    async with asking() as weir:
        await weir.ask(stream=True, wish="delay=0.05 first=0.05")
        record = await weir.record()
        assert 50 <= record["ttft_ms"] <= record["total_ms"]
        assert 100 <= record["upstream_ms"] <= record["total_ms"]
        assert 0 < record["overhead_ms"] < record["total_ms"] - 50
        assert record["queue_ms"] == 0


def test_judging_a_text_counts_its_tokens() -> None:
    assert Metering(kit.kit()).scan({"text": "one two"}, MeteringOptions()) == {"tokens": 2, "exact": True}


def test_it_changes_nothing() -> None:
    metering = Metering(kit.kit())
    assert not any(overrides(metering, hook) for hook in ("request", "filter", "tape", "answer"))
