"""The semantic cache in a whole worker: other words for the same question, and everything that makes it another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from proxy.live import Entry, Upstream
from proxy.plugin import Verdict
from tests.asking import Asking, Came, asking

ASKED = "How do I reset my password?"
LIKE = "hi, how can I reset my pasword please"
OTHER = "How do I reset my router?"
CACHE = Entry(
    "cache", "plugins.cache.plugin:Cache", options={"semantic": {"typos": True, "mode": "enforce", "explore": 0.0}}
)


@asynccontextmanager
async def semantic(**options: Any) -> AsyncIterator[Asking]:
    given = {"typos": True, "mode": "enforce", "explore": 0.0, **options}
    async with asking(Entry("cache", "plugins.cache.plugin:Cache", options={"semantic": given})) as weir:
        yield weir


def told(text: str, *before: str, **more: Any) -> bytes:
    messages = [{"role": ("user", "assistant")[place % 2], "content": said} for place, said in enumerate(before)]
    doc = {"model": "gpt-4o-mini", "temperature": 0, "messages": [*messages, {"role": "user", "content": text}]}
    return orjson.dumps({**doc, **more})


async def ask(weir: Asking, text: str, *before: str, **more: Any) -> Came:
    came = await weir.ask(raw=told(text, *before, **more))
    assert came.status == 200, came.raw
    return came


async def test_a_question_in_other_words_is_given_the_answer_to_the_first() -> None:
    async with semantic() as weir:
        first = await ask(weir, ASKED)
        second = await ask(weir, LIKE)
        assert (first.headers["x-weir-cache"], second.headers["x-weir-cache"]) == ("MISS", "SEMANTIC")
        assert second.text == first.text
        assert weir.provider.total == 1
        record = await weir.record(2)
        assert (record["cache"], record["usage_source"], record["cost_nano_usd"]) == ("SEMANTIC", "cached", 0)
        (saving,) = record["savings"]
        assert (saving["kind"], saving["risk"]) == ("semantic", "not measured yet")
        assert saving["nano_usd"] > 0
        assert weir.counted("weir_cache_semantic_total", result="served") == 1


@pytest.mark.parametrize("surface", ["messages", "completions", "responses"])
async def test_every_surface_with_questions_has_it(surface: str) -> None:
    def doc(text: str) -> bytes:
        given: dict[str, Any] = {"model": "gpt-4o-mini", "temperature": 0, "max_tokens": 20}
        if surface == "messages":
            given["messages"] = [{"role": "user", "content": [{"type": "text", "text": text}]}]
        elif surface == "completions":
            given["prompt"] = text
        else:
            given = {"model": "gpt-4o-mini", "temperature": 0, "input": text, "store": False}
        return orjson.dumps(given)

    async with semantic() as weir:
        await weir.ask(surface, raw=doc(ASKED))
        assert (await weir.ask(surface, raw=doc(LIKE))).headers["x-weir-cache"] == "SEMANTIC"


async def test_a_stream_is_answered_by_a_stream() -> None:
    async with semantic() as weir:
        first = await weir.ask(stream=True, raw=told(ASKED, stream=True))
        second = await weir.ask(stream=True, raw=told(LIKE, stream=True))
        assert second.headers["x-weir-cache"] == "SEMANTIC"
        assert second.streamed
        assert second.complete
        assert second.text == first.text
        assert (await ask(weir, LIKE)).headers["x-weir-cache"] == "MISS"


async def test_another_question_is_asked() -> None:
    async with semantic() as weir:
        await ask(weir, ASKED)
        assert (await ask(weir, OTHER)).headers["x-weir-cache"] == "MISS"


OTHERWISE: tuple[dict[str, Any], ...] = (
    {"model": "gpt-4o"},
    {"seed": 2},
    {"max_tokens": 5},
    {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
    {"response_format": {"type": "json_object"}},
    {"temperature": 0.0, "top_p": 0.5},
)


@pytest.mark.parametrize("other", OTHERWISE)
async def test_a_call_that_differs_in_anything_else_is_asked(other: dict[str, Any]) -> None:
    async with semantic() as weir:
        await ask(weir, ASKED)
        assert (await ask(weir, LIKE, **other)).headers["x-weir-cache"] == "MISS"


@pytest.mark.parametrize("before", [("Hello", "What can I do for you?"), ("Hello!", "What can I do for you?")])
async def test_a_conversation_is_answered_only_where_all_before_is_the_same(before: tuple[str, str]) -> None:
    async with semantic() as weir:
        await ask(weir, ASKED, "Hello", "What can I do for you?")
        expected = "SEMANTIC" if before[0] == "Hello" else "MISS"
        assert (await ask(weir, LIKE, *before)).headers["x-weir-cache"] == expected
        assert (await ask(weir, LIKE)).headers["x-weir-cache"] == "MISS"


async def test_a_tenants_answers_are_the_tenants() -> None:
    async with semantic() as weir:
        await ask(weir, ASKED)
        other = await weir.ask(raw=told(LIKE), authorization="Bearer sk-another")
        assert other.headers["x-weir-cache"] == "MISS"


async def test_it_is_off_until_it_is_told_to_be_on() -> None:
    async with semantic(typos=False, mode="shadow") as weir:
        await ask(weir, ASKED)
        assert (await ask(weir, LIKE)).headers["x-weir-cache"] == "MISS"
        assert weir.plugin("cache").semantic is None


async def test_in_shadow_the_provider_is_asked_and_its_answer_compared() -> None:
    async with semantic(mode="shadow") as weir:
        await ask(weir, ASKED)
        came = await ask(weir, LIKE)
        assert came.headers["x-weir-cache"] == "MISS"
        assert weir.provider.total == 2
        (saving,) = (await weir.record(2))["savings"]
        assert (saving["kind"], saving["mode"]) == ("semantic", "shadow")
        report = weir.plugin("cache").semantic.report()["agents"]["default"]
        assert report["would"] == 1
        assert report["right"] + report["wrong"] + report["unclear"] == 1


async def test_what_is_explored_is_asked_and_learned_from() -> None:
    async with semantic(explore=1.0) as weir:
        await ask(weir, ASKED)
        assert (await ask(weir, LIKE)).headers["x-weir-cache"] == "MISS"
        report = weir.plugin("cache").semantic.report()["agents"]["default"]
        assert (report["would"], report["served"]) == (1, 0)


async def test_an_agent_whose_hits_prove_wrong_is_asked_again() -> None:
    async with semantic() as weir:
        await ask(weir, ASKED)
        await weir.record()
        learned = weir.plugin("cache").semantic.learned
        for place in range(4):
            learned.tell("elsewhere\0default", bytes([place]), 0.9, False)
        assert (await ask(weir, LIKE)).headers["x-weir-cache"] == "SEMANTIC", "another tenant's word is no word here"
        for place in range(4):
            learned.tell(whose(weir), bytes([place]), 0.9, False)
        assert (await ask(weir, LIKE)).headers["x-weir-cache"] == "MISS"


async def test_an_answer_that_was_wrong_twice_is_given_to_no_other_question() -> None:
    async with semantic() as weir:
        await ask(weir, ASKED)
        cache = weir.plugin("cache")
        (row,) = cache.semantic.index._rows.values()
        for _ in range(2):
            cache.semantic.learned.tell("elsewhere", cache.semantic._called(row), 0.5, False)
        assert (await ask(weir, LIKE)).headers["x-weir-cache"] == "MISS"


async def test_texts_whose_answers_are_dropped_are_forgotten() -> None:
    async with semantic() as weir:
        await ask(weir, ASKED)
        cache = weir.plugin("cache")
        assert len(cache.semantic.index) == 1
        await cache.ordered({"do": "invalidate"})
        assert len(cache.semantic.index) == 0
        assert (await ask(weir, LIKE)).headers["x-weir-cache"] == "MISS"


async def judge(weir: Asking, id_: str, note: Any, score: float, before: float | None = None) -> None:
    tenant = weir.running.records[-1]["tenant"] if weir.running.records else "t"
    await weir.running.worker.registry.teach(Verdict(id_, "answer", score, before, tenant, "default", None), note)


def whose(weir: Asking) -> str:
    return f"{weir.running.records[-1]['tenant']}\0default"


async def test_an_answer_in_other_words_that_somebody_calls_bad_is_given_only_to_what_is_nearer() -> None:
    async with semantic() as weir:
        await ask(weir, ASKED)
        id_ = (await ask(weir, LIKE)).headers["x-weir-request-id"]
        note = (await weir.record(2))["lessons"]
        assert list(note) == ["cache"]
        await judge(weir, id_, note, 0.0)
        learned = weir.plugin("cache").semantic.learned
        tally = learned.tally(whose(weir))
        assert (tally.wrong, tally.right) == (1, 0)
        near, called = note["cache"]
        assert learned.least(bytes.fromhex(called)) == near
        await judge(weir, id_, note, 1.0, before=0.0)
        await judge(weir, id_, note, 0.9, before=1.0)
        assert (tally.wrong, tally.right) == (0, 1)


async def test_after_one_bad_word_the_same_question_is_asked_anew_in_every_worker() -> None:
    model = {"model": "far/gpt-4o-mini"}
    async with semantic() as first:
        far = {"upstreams": (Upstream("far", first.provider.url),)}
        async with asking(CACHE, **far) as weir, asking(CACHE, **far) as other:
            for each in (weir, other):
                await ask(each, ASKED, **model)
                await ask(each, OTHER, **model)
                assert (await ask(each, LIKE, **model)).headers["x-weir-cache"] == "SEMANTIC"
                await each.record(3)
            record = weir.running.records[-1]
            for each in (weir, other):
                await judge(each, record["id"], record["lessons"], 0.0)
                assert (await ask(each, LIKE, **model)).headers["x-weir-cache"] == "MISS"
                others = "hello, how can I reset my router please"
                assert (await ask(each, others, **model)).headers["x-weir-cache"] == "SEMANTIC"


async def test_a_word_on_an_answer_of_which_only_the_nearness_was_noted_counts_for_its_agent() -> None:
    async with semantic() as weir:
        await ask(weir, ASKED)
        await weir.record()
        await judge(weir, "wr_1", {"cache": [0.9, ""]}, 0.0)
        learned = weir.plugin("cache").semantic.learned
        assert (learned.tally(whose(weir)).wrong, learned.stricter()) == (1, (0, 0))


async def test_bad_words_heard_of_other_workers_answers_stop_an_agents_hits_here_as_well() -> None:
    async with semantic() as weir:
        await ask(weir, ASKED)
        await weir.record()
        for number in range(4):
            await judge(weir, f"wr_{number}", {"cache": 0.9}, 0.0)
        assert (await ask(weir, LIKE)).headers["x-weir-cache"] == "MISS"


async def test_a_verdict_on_what_the_provider_said_is_none_on_what_would_have_been_given() -> None:
    async with semantic(mode="shadow") as weir:
        await ask(weir, ASKED)
        await ask(weir, LIKE)
        assert "lessons" not in await weir.record(2)
    given = {"typos": True, "mode": "enforce", "explore": 0.0}
    chain = Entry("cache", "plugins.cache.plugin:Cache", mode="shadow", options={"semantic": given})
    async with asking(chain) as weir:
        await ask(weir, ASKED)
        await ask(weir, LIKE)
        assert "lessons" not in await weir.record(2)


async def test_a_cache_without_other_words_learns_nothing() -> None:
    async with semantic(typos=False, mode="shadow") as weir:
        await judge(weir, "wr_1", {"cache": 0.9, "gone": 1}, 0.0)
        assert weir.plugin("cache").semantic is None
