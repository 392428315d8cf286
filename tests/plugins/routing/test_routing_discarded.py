"""Answers that are thrown away are paid for: in the call's cost, its tokens, its budgets, its metrics, its record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from plugins.routing import ledger
from proxy.control.money import Money
from proxy.exchange import Response, Target, Usage
from proxy.live import Alias, Entry, Streams
from proxy.store.history import History
from tests import kit
from tests.asking import Asking, asking
from tests.kit import FakeClock

PATH = "/v1/chat/completions"
ABLE = {"context_tokens": 50_000, "tools": True}
SHORT = "sim/cheap[[sim finish=length]]"


def limits(**limit: Any) -> Entry:
    return Entry("ratelimit", "ratelimit", options={"limits": [{"by": "all", **limit}]})


def routing(cheap: str, **pool: Any) -> tuple[Entry, ...]:
    models = [{"target": cheap, **ABLE}, {"target": "sim/strong", **ABLE}]
    return (Entry("routing", "routing", options={"pools": [{"asked": ["strong"], "models": models, **pool}]}),)


def body(text: str = "hi", **more: Any) -> bytes:
    return orjson.dumps({"model": "strong", "messages": [{"role": "user", "content": text}], **more})


async def asked(weir: Asking, **more: Any) -> dict[str, Any]:
    came = await weir.post(PATH, body(**more))
    assert (came.status, came.headers["x-weir-model"]) == (200, "strong")
    return await weir.record()


async def test_a_call_costs_what_its_thrown_away_answer_cost_as_well() -> None:
    async with asking(*routing(SHORT, cascade={})) as weir:
        came = await weir.post(PATH, body())
        record = await weir.record()
        (first,) = record["discarded"]
        usage = came.doc["usage"]
        assert (first["upstream"], first["usage_source"]) == ("sim", "provider")
        assert first["input_tokens"] >= usage["prompt_tokens"]  # (the name of a model counts here)
        assert first["cost_nano_usd"] == 1000 * (first["input_tokens"] + first["output_tokens"]) > 0
        assert record["input_tokens"] == first["input_tokens"] + usage["prompt_tokens"]
        assert record["output_tokens"] == first["output_tokens"] + usage["completion_tokens"]
        tokens = record["input_tokens"] + record["output_tokens"]
        assert record["cost_nano_usd"] == 1000 * tokens
        assert came.headers["x-weir-cost-usd"] == f"{tokens / 1e6:.9f}"
        assert record["price_source"] == "fake"


async def test_metrics_count_each_answer_under_the_model_that_made_it() -> None:
    async with asking(*routing(SHORT, cascade={})) as weir:
        record = await asked(weir)
        (first,) = record["discarded"]
        cheap, tokens = SHORT.partition("/")[2], first["input_tokens"] + first["output_tokens"]
        assert weir.counted("weir_tokens_total", model=cheap) == tokens
        assert weir.counted("weir_cost_usd_total", model=cheap) == pytest.approx(tokens / 1e6)
        assert weir.counted("weir_tokens_total") == record["input_tokens"] + record["output_tokens"]
        assert weir.counted("weir_cost_usd_total") == pytest.approx(record["cost_nano_usd"] / 1e9)


async def test_budgets_and_token_limits_pay_for_both() -> None:
    limit = limits(tokens_per_day=1_000_000)
    async with asking(limit, *routing(SHORT, cascade={})) as weir:
        record = await asked(weir)
        taken = await left(weir)
        assert taken == record["input_tokens"] + record["output_tokens"]


async def left(weir: Asking) -> int:
    """What the limit has counted so far."""
    plugin = weir.plugin("ratelimit")
    (plan,) = plugin._plans.values()
    (pool,) = plan.pools
    told = plugin.kit.store.reserve((pool,), (0,))
    return int(pool.capacity - told.left[0])


async def test_what_was_saved_and_spent_adds_up_to_what_the_asked_model_would_have_taken() -> None:
    async with asking(*routing(SHORT, cascade={})) as weir:
        record = await asked(weir)
        (saving,) = record["savings"]
        (first,) = record["discarded"]
        assert record["cost_nano_usd"] + saving["nano_usd"] == record["cost_nano_usd"] - first["cost_nano_usd"]
        assert saving["input_tokens"] == -first["input_tokens"]


async def test_what_providers_did_stands_with_the_model_that_did_it(tmp_path: Path) -> None:
    async with asking(*routing(SHORT, cascade={})) as weir:
        record = await asked(weir)
    history = History(tmp_path, FakeClock())
    history.write([record])
    (first,) = record["discarded"]
    rows = {one["model"]: one for one in (await Money(history).usage({}))["data"]}
    assert len(rows) == (1 if first["model"] == record["served_model"] else 2)
    assert sum(one["nano_usd"] for one in rows.values()) == record["cost_nano_usd"]
    assert sum(one["input_tokens"] for one in rows.values()) == record["input_tokens"]
    assert rows[first["model"]]["output_tokens"] == first["output_tokens"]
    spent = (await Money(history).savings({}))["spent"]
    assert (spent["calls"], spent["nano_usd"]) == (1, record["cost_nano_usd"])
    assert spent["without_input_tokens"] == record["input_tokens"] - first["input_tokens"]


async def test_where_the_better_model_fails_the_thrown_away_answer_is_paid_for() -> None:
    models = [{"target": SHORT}, {"target": "sim/strong[[sim status=500]]"}]
    pool = {"asked": ["strong[[sim status=500]]"], "models": [{**one, **ABLE} for one in models], "cascade": {}}
    chain = (limits(tokens_per_day=1_000_000), Entry("routing", "routing", options={"pools": [pool], "bar": 0.0}))
    async with asking(*chain) as weir:
        came = await weir.post(PATH, body(model="strong[[sim status=500]]"))
        assert came.status == 500
        record = await weir.record()
        (first,) = record["discarded"]
        tokens = first["input_tokens"] + first["output_tokens"]
        assert record["input_tokens"] + record["output_tokens"] == tokens > 0
        assert (record["cost_nano_usd"], record["usage_source"]) == (1000 * tokens, "provider")
        assert await left(weir) == tokens
        (saving,) = record["savings"]
        assert saving["nano_usd"] == -1000 * tokens


async def test_a_thrown_away_answer_whose_provider_told_no_usage_is_counted() -> None:
    async with asking(*routing("sim/cheap[[sim finish=length usage=0]]", cascade={})) as weir:
        record = await asked(weir)
        (first,) = record["discarded"]
        assert (first["usage_source"], record["usage_source"]) == ("estimated", "estimated")
        assert first["output_tokens"] > 0
        assert record["cost_nano_usd"] == 1000 * (record["input_tokens"] + record["output_tokens"])


async def test_an_unknown_price_of_one_makes_the_whole_unknown() -> None:
    async with asking(*routing("sim/unpriced", cascade={"must_contain": ["not in it"]})) as weir:
        record = await asked(weir)
        assert record["cost_nano_usd"] is None
        assert weir.counted("weir_unknown_price_total", model="unpriced") == 1
        assert weir.counted("weir_cost_usd_total", model="strong") > 0


async def test_streams_that_are_held_and_thrown_away_are_paid_for() -> None:
    chain = routing(SHORT, cascade={})
    async with asking(*chain, stream_buffer=True) as weir:
        await weir.post(PATH, body(stream=True, stream_options={"include_usage": True}))
        record = await weir.record()
        assert "discarded" not in record  # (a cascade judges no streams)


async def test_of_a_fallback_what_the_failed_stream_told_is_paid_for() -> None:
    aliases = fallback("claude-a[[sim error=2]]", "claude-b")
    async with asking(aliases=aliases) as weir:
        sent = {"model": "both", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        came = await weir.post("/v1/messages", orjson.dumps(sent), "messages")
        assert came.complete
        record = await weir.record()
        (first,) = record["discarded"]
        assert first["input_tokens"] > 0
        assert record["input_tokens"] > first["input_tokens"]


@pytest.mark.parametrize("surface", ["chat", "messages"])
async def test_of_an_answer_that_broke_off_while_it_was_gathered_what_came_is_paid_for(surface: str) -> None:
    aliases = fallback("a[[sim chunks=4 error=5]]", "b")
    async with asking(aliases=aliases, streams=Streams(streaming="auto")) as weir:
        path = {"chat": PATH, "messages": "/v1/messages"}[surface]
        sent = {"model": "both", "max_tokens": 99, "messages": [{"role": "user", "content": "hi, you"}]}
        came = await weir.post(path, orjson.dumps(sent), surface)
        assert (came.status, came.headers["x-weir-model"]) == (200, "b")
        record = await weir.record()
        (first,) = record["discarded"]
        assert first["input_tokens"] > 0
        assert first["usage_source"] == ("estimated" if surface == "chat" else "provider")
        assert record["input_tokens"] > first["input_tokens"]
        assert record["cost_nano_usd"] == 1000 * (record["input_tokens"] + record["output_tokens"])


def test_what_a_route_spared_is_priced_by_the_models_that_served() -> None:
    class Prices:
        def cost_nano_usd(self, upstream: str, model: str, usage: Usage, at_s: float) -> tuple[int | None, str]:
            each = {"gpt-4o-mini": 1, "gpt-4o": 10}.get(model)
            return (None if each is None else each * usage.total), "list"

    exchange, asked, chosen = kit.exchange(), Target("azure", "gpt-4o"), Target("azure", "my-small-one")
    account = ledger.Account(asked, chosen, name="small")
    exchange.attempts, exchange.target = 1, chosen
    exchange.response = Response(usage=Usage(input=5), usage_source="provider", model="gpt-4o-mini")
    spared = ledger.saving(account, exchange, Prices())
    assert spared is not None
    assert spared.nano_usd == 5 * 10 - 5 * 1
    ledger.tried(account, exchange, Prices())
    assert account.tried_nano_usd == 5
    exchange.response.usage_source = "cached"  # (of an answer that another call pays for)
    ledger.tried(account, exchange, Prices())
    assert account.tried_nano_usd == 5


def fallback(model: str, then: str) -> dict[str, Any]:
    return {"both": Alias(model, None, (then,))}
