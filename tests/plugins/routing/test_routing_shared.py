"""Routing beside the cache: no saving is told twice, none is lost, and an answer that will not do is no guest's."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from plugins.routing import ledger
from plugins.routing.ledger import Account
from proxy import view
from proxy.exchange import Exchange, Response, Saving, Target, Usage
from proxy.live import Entry, Upstream
from proxy.plugin import NoOptions, Plugin
from tests import kit
from tests.asking import Asking, Came, asking

PATH = "/v1/chat/completions"
ABLE = {"context_tokens": 50_000, "tools": True}
ASKED, CHEAP = Target("sim", "strong"), Target("sim", "cheap")
SLOW = "sim/cheap[[sim finish=length delay=0.3]]"


def chain(
    cheap: str = "sim/cheap", strong: str = "sim/strong", mode: Any = "enforce", **pool: Any
) -> tuple[Entry, ...]:
    models = [{"target": cheap, **ABLE}, {"target": strong, **ABLE}]
    options = {"pools": [{"asked": ["strong"], "models": models, "bar": 0.0, **pool}]}
    return Entry("routing", "routing", mode=mode, options=options), Entry("cache", "cache", mode=mode)


def body(text: str = "hi") -> bytes:
    return orjson.dumps({"model": "strong", "messages": [{"role": "user", "content": text}], "temperature": 0})


@pytest.fixture
def dear(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token of the strong model costs ten of the cheap one."""

    def cost(self: Any, upstream: str, model: str, usage: Usage, at_s: float) -> tuple[int | None, str]:
        return (10_000 if model.startswith("strong") else 1000) * usage.total, "fake"

    monkeypatch.setattr(kit.FakePrices, "cost_nano_usd", cost)


async def times(weir: Asking, count: int) -> list[dict[str, Any]]:
    """One after the other: their records."""
    for number in range(1, count + 1):
        assert (await weir.post(PATH, body())).status == 200
        await weir.record(number)
    return weir.records


def sums(records: list[dict[str, Any]]) -> tuple[int, int]:
    """Spent, and told as saved."""
    spared = [one["nano_usd"] for record in records for one in record.get("savings") or ()]
    return sum(record["cost_nano_usd"] for record in records), sum(spared)


async def test_in_shadow_no_more_would_have_been_saved_than_was_spent(dear: None) -> None:
    async with asking(*chain(mode="shadow")) as weir:
        records = await times(weir, 4)
        kinds = [[one["kind"] for one in record["savings"]] for record in records]
        assert kinds == [["routed"], ["hit"], ["hit"], ["hit"]]
        spent, spared = sums(records)
        assert spared < spent


async def test_what_hits_and_routes_spared_adds_up_to_what_the_asked_model_would_have_taken(dear: None) -> None:
    async with asking(*chain()) as weir:
        records = await times(weir, 4)
        assert [record["cache"] for record in records] == ["MISS", "HIT", "HIT", "HIT"]
        kinds = [sorted(one["kind"] for one in record["savings"]) for record in records]
        assert kinds == [["routed"], *3 * [["hit", "routed"]]]
        tokens = records[0]["input_tokens"] + records[0]["output_tokens"]
        assert sum(sums(records)) == 4 * 10_000 * tokens


async def test_of_calls_that_share_an_answer_the_route_spared_as_much(dear: None) -> None:
    async with asking(*chain("sim/cheap[[sim delay=0.3]]")) as weir:
        await together(weir)
        records = await weir.running.sink.wait_for(3)
        assert sorted(record["cache"] for record in records) == ["COALESCED", "COALESCED", "MISS"]
        tokens = records[0]["input_tokens"] + records[0]["output_tokens"]
        assert sum(sums(records)) == 3 * 10_000 * tokens


async def together(weir: Asking) -> list[Came]:
    return await asyncio.gather(*[weir.post(PATH, body()) for _ in range(3)])


async def test_calls_that_share_an_answer_which_will_not_do_get_the_better_models(dear: None) -> None:
    async with asking(*chain(SLOW, "sim/strong[[sim delay=0.3]]", cascade={})) as weir:
        for came in await together(weir):
            assert (came.status, came.finish) == (200, "stop")
        records = await weir.running.sink.wait_for(3)
        assert weir.provider.total == 2
        assert {record["target_model"] for record in records} == {"strong[[sim delay=0.3]]"}
        assert all("escalated length" in str(record["steps"]) for record in records)
        assert sorted(record["cache"] for record in records) == ["COALESCED", "COALESCED", "MISS"]
        assert [len(record.get("discarded") or ()) for record in records].count(1) == 1
        asked = next(record for record in records if not record.get("discarded"))
        tokens = asked["input_tokens"] + asked["output_tokens"]
        assert sum(sums(records)) == 3 * 10_000 * tokens


class Signs(Plugin[NoOptions]):
    """What goes out after an answer that will not do is each call's own."""

    name = "signs"

    async def answer(self, exchange: Exchange, error: Exception | None) -> Response | Target | None:
        exchange.request.set("user", exchange.id)
        return None


async def test_a_guest_that_asks_for_itself_pays_for_itself(dear: None) -> None:
    signs = Entry("signs", "tests.plugins.routing.test_routing_shared:Signs")
    async with asking(*chain(SLOW, "sim/strong[[sim delay=0.3]]", cascade={}), signs) as weir:
        assert {(came.status, came.finish) for came in await together(weir)} == {(200, "stop")}
        records = await weir.running.sink.wait_for(3)
        assert weir.provider.total == 4
        assert [record["cache"] for record in records] == ["MISS"] * 3
        assert sorted(record["attempts"] for record in records) == [1, 1, 2]
        assert {record["usage_source"] for record in records} == {"provider"}
        alone = [record for record in records if not record.get("discarded")]
        for record in alone:
            assert record["cost_nano_usd"] == 10_000 * (record["input_tokens"] + record["output_tokens"]) > 0
            assert sums([record])[1] == 0
        spent = sum(record["cost_nano_usd"] for record in records)
        assert weir.counted("weir_cost_usd_total") == pytest.approx(spent / 1e9)


def shared(cache: str, served: Target = CHEAP, **account: Any) -> tuple[Account, Exchange]:
    exchange = kit.exchange()
    exchange.cache, exchange.target = cache, served  # type: ignore[assignment]
    exchange.response = Response(source="cache", usage=Usage(input=8, output=2), usage_source="cached", model="")
    return Account(ASKED, CHEAP, name="cheap", **account), exchange


@pytest.mark.parametrize("cache", ["HIT", "SEMANTIC", "COALESCED"])
def test_the_route_of_an_answer_that_was_there_spared_the_difference(dear: None, cache: str) -> None:
    account, exchange = shared(cache)
    found = ledger.saving(account, exchange, kit.FakePrices())
    assert found is not None
    assert (found.nano_usd, found.input_tokens, found.output_tokens, found.mode) == (90_000, 0, 0, "enforce")


def test_where_the_asked_model_made_it_the_route_spared_nothing(dear: None) -> None:
    account, exchange = shared("COALESCED", ASKED)
    assert ledger.saving(account, exchange, kit.FakePrices()) is None
    account, exchange = shared("COALESCED", ASKED, tried_nano_usd=7, tried_tokens=(1, 1))
    found = ledger.saving(account, exchange, kit.FakePrices())
    assert found is not None
    assert found.nano_usd == -7


@pytest.mark.parametrize("kind", ["hit", "semantic", "coalesced", "tables"])
def test_of_a_call_that_is_spared_whole_nobody_in_shadow_spares_anything(kind: str) -> None:
    exchange = kit.exchange()
    exchange.savings.append(Saving("cache", kind, 8, 2, 10, mode="shadow"))
    seen = view.of(exchange)
    seen.savings.append(Saving("routing", "routed", 0, 0, 5))
    view.carry_over(exchange, seen)
    assert [one.kind for one in exchange.savings[1:]] == (["routed"] if kind == "tables" else [])


async def test_a_route_that_failed_says_to_what_it_fell_back() -> None:
    async with asking(*chain("sim/cheap[[sim status=500]]")) as weir:
        came = await weir.post(PATH, body(), **{"x-weir-debug": "1"})
        assert came.status == 200
        assert ["weir", "send", "fell back to sim/strong"] in (await weir.record())["steps"]
        assert "weir send fell back to sim/strong" in orjson.loads(came.headers["x-weir-debug"])["steps"]


async def test_a_model_that_a_caller_may_not_have_is_told_with_the_reason() -> None:
    options = {"pools": [{"asked": ["strong"], "models": [{"target": "far/cheap", **ABLE}, {"target": "sim/strong"}]}]}
    upstreams = (Upstream("far", "http://127.0.0.1:9/v1"),)
    async with asking(Entry("routing", "routing", options=options), upstreams=upstreams) as weir:
        came = await weir.post(PATH, body(), **{"x-weir-debug": "1"})
        assert came.headers["x-weir-model"] == "strong"
        words = "rule out, not for this caller: far/cheap (upstream far has no key)"
        assert f"routing request {words}" in orjson.loads(came.headers["x-weir-debug"])["steps"]
        await weir.post(PATH, body())
        assert "steps" not in await weir.record(2)  # (nobody asked)


async def test_of_a_pool_of_which_a_caller_may_have_nothing_that_is_told_too() -> None:
    options = {"pools": [{"asked": ["strong"], "models": [{"target": "far/cheap", **ABLE}]}]}
    upstreams = (Upstream("far", "http://127.0.0.1:9/v1"),)
    for mode, told in (("enforce", "rule out, "), ("shadow", "would rule out, ")):
        entry = Entry("routing", "routing", mode=mode, options=options)  # type: ignore[arg-type]
        async with asking(entry, upstreams=upstreams) as weir:
            came = await weir.post(PATH, body(), **{"x-weir-debug": "1"})
            assert (came.status, came.headers["x-weir-model"]) == (200, "strong")
            first, second = orjson.loads(came.headers["x-weir-debug"])["steps"][:2]
            assert first == f"routing request {told}not for this caller: far/cheap (upstream far has no key)"
            assert "no model of a pool may serve it" in second
