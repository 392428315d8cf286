"""Routing through a whole worker, with the simulated provider behind it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from proxy.live import Entry, Upstream
from proxy.plugin import Verdict
from tests.asking import Asking, asking

HARD = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. Each clip costs 3 "
    "dollars and she pays 20% of what she earns. How much money does Natalia have left altogether in April and May?"
)
PATH = "/v1/chat/completions"
ABLE = {"context_tokens": 50_000, "tools": True}


def routing(cheap: str = "sim/cheap", mode: Any = "enforce", **pool: Any) -> tuple[Entry, ...]:
    models = [{"target": cheap, **ABLE}, {"target": "sim/strong", **ABLE}]
    options = {"pools": [{"asked": ["strong"], "models": models, "bar": 0.8, **pool}]}
    return (Entry("routing", "routing", mode=mode, options=options),)


def body(text: str = "hi", **more: Any) -> bytes:
    return orjson.dumps({"model": "strong", "messages": [{"role": "user", "content": text}], "odd": [1.50], **more})


def sent(weir: Asking) -> list[str]:
    return [orjson.loads(one.body)["model"] for one in weir.provider.requests]


async def test_the_model_is_spliced_in_and_nothing_else_changes() -> None:
    async with asking(*routing()) as weir:
        came = await weir.post(PATH, body())
        assert (came.status, came.headers["x-weir-model"]) == (200, "cheap")
        assert weir.provider.requests[-1].body == body().replace(b'"strong"', b'"cheap"')
        record = await weir.record()
        assert (record["model"], record["target_model"]) == ("strong", "cheap")
        (saving,) = record["savings"]
        assert (saving["kind"], saving["mode"], saving["nano_usd"]) == ("routed", "enforce", 0)


async def test_what_stays_goes_out_byte_for_byte() -> None:
    async with asking(*routing()) as weir:
        await weir.post(PATH, body(HARD))
        assert weir.provider.requests[-1].body == body(HARD)
        await weir.post(PATH, body(), **{"x-weir-route": "off"})
        assert weir.provider.requests[-1].body == body()
        assert "savings" not in await weir.record(2) or not (await weir.record(2))["savings"]


async def test_streams_are_routed_as_well() -> None:
    async with asking(*routing()) as weir:
        came = await weir.post(PATH, body(stream=True))
        assert came.complete
        assert sent(weir) == ["cheap"]


@pytest.mark.parametrize("surface", ["messages", "responses", "completions"])
async def test_every_dialect_is_routed(surface: str) -> None:
    async with asking(*routing(bar=0.0)) as weir:
        bodies: dict[str, dict[str, Any]] = {
            "messages": {"max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]},
            "responses": {"input": "hi", "store": False},
            "completions": {"prompt": "hi"},
        }
        came = await weir.post(f"/v1/{surface}", orjson.dumps({"model": "strong", **bodies[surface]}), surface)
        assert came.status == 200
        assert sent(weir) == ["cheap"]


async def test_embeddings_never_change_their_model() -> None:
    async with asking(*routing(bar=0.0)) as weir:
        await weir.post("/v1/embeddings", orjson.dumps({"model": "strong", "input": "hi"}), "embeddings")
        assert sent(weir) == ["strong"]


async def test_in_shadow_nothing_moves_and_the_record_says_what_would_have_been_spared() -> None:
    async with asking(*routing(mode="shadow")) as weir:
        await weir.post(PATH, body())
        assert weir.provider.requests[-1].body == body()
        (saving,) = (await weir.record())["savings"]
        assert (saving["plugin"], saving["kind"], saving["mode"]) == ("routing", "routed", "shadow")


async def test_a_cheap_model_that_fails_is_followed_by_what_was_asked() -> None:
    async with asking(*routing("sim/cheap[[sim status=500]]")) as weir:
        came = await weir.post(PATH, body())
        assert came.status == 200
        assert sent(weir)[-1] == "strong"


async def test_an_answer_that_fails_a_check_is_asked_of_the_better_model() -> None:
    async with asking(*routing("sim/cheap[[sim finish=length]]", cascade={})) as weir:
        came = await weir.post(PATH, body())
        assert (came.status, came.finish, came.headers["x-weir-model"]) == (200, "stop", "strong")
        record = await weir.record()
        (saving,) = record["savings"]
        assert saving["nano_usd"] < 0
        assert saving["input_tokens"] < 0
        assert "escalated length to sim/strong" in str(record["steps"])


async def test_a_good_answer_of_the_cheap_model_stands() -> None:
    async with asking(*routing(cascade={})) as weir:
        assert (await weir.post(PATH, body(HARD))).headers["x-weir-model"] == "cheap"
        assert len(weir.provider.requests) == 1


async def test_what_a_cheap_model_cannot_read_goes_to_the_better_one() -> None:
    async with asking(*routing("sim/cheap[[sim status=400]]", cascade={})) as weir:
        came = await weir.post(PATH, body())
        assert (came.status, came.headers["x-weir-model"]) == (200, "strong")


async def test_where_the_better_one_fails_as_well_the_callers_sees_that_error() -> None:
    models = [{"target": "sim/cheap[[sim status=400]]"}, {"target": "sim/strong[[sim status=400]]"}]
    pool = {"asked": ["strong[[sim status=400]]"], "models": [{**one, **ABLE} for one in models], "cascade": {}}
    async with asking(Entry("routing", "routing", options={"pools": [pool]})) as weir:
        came = await weir.post(PATH, body(model="strong[[sim status=400]]"))
        assert came.status == 400
        assert len(weir.provider.requests) == 2


async def test_after_an_escalation_the_conversation_stays_with_the_better_model() -> None:
    async with asking(*routing("sim/cheap[[sim finish=length]]", cascade={})) as weir:
        await weir.post(PATH, body(), **{"x-weir-session": "s1"})
        await weir.record()
        await weir.post(PATH, body("and now?"), **{"x-weir-session": "s1"})
        assert sent(weir)[1:] == ["strong", "strong"]


async def test_a_conversation_stays_over_turns() -> None:
    async with asking(*routing()) as weir:
        for number, text in enumerate(("hi", HARD, HARD), 1):
            await weir.post(PATH, body(text), **{"x-weir-session": "s1"})
            await weir.record(number)
        assert sent(weir) == ["cheap"] * 3


async def test_a_rule_may_send_a_call_to_another_upstream() -> None:
    rule = {"target": "other/small", "when": {"models": ["strong"], "tokens_below": 100}}
    chain = (Entry("routing", "routing", options={"rules": [rule]}),)
    async with asking() as first:
        other = Upstream("other", first.provider.url, key="sk-of-weir")
        async with asking(*chain, upstreams=(other,)) as weir:
            came = await weir.post(PATH, body(), authorization="")
            assert came.status == 200
            assert came.headers["x-weir-model"] == "small"
            received = first.provider.requests[-1]
            assert orjson.loads(received.body)["model"] == "small"
            assert received.header("authorization") == "Bearer sk-of-weir"


@pytest.mark.parametrize(("mode", "model"), [("enforce", "sim/cheap"), ("shadow", "sim/strong")])
async def test_what_routing_wants_to_hear_of_a_call_goes_into_its_record(mode: str, model: str) -> None:
    async with asking(*routing(mode=mode)) as weir:
        await weir.post(PATH, body())
        note = (await weir.record())["lessons"]["routing"]
        assert note[0] == model
        assert all(isinstance(number, float) for number in note[1])


async def test_in_shadow_words_are_learnt_from_and_nothing_moves() -> None:
    async with asking(*routing(mode="shadow")) as weir:
        await weir.post(PATH, body())
        note = (await weir.record())["lessons"]
        for _ in range(40):
            verdict = Verdict("wr_1", "answer", 0.0, None, "t", "default", None)
            await weir.running.worker.registry.teach(verdict, note)
        assert weir.plugin("routing")._words.known("t", "sim/strong").bent
        await weir.post(PATH, body())
        assert sent(weir) == ["strong", "strong"]
