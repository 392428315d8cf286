"""Embeddings in a whole worker: what is known is not sent again, and small calls that come together go out as one."""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import ANY

import orjson
import pytest

from plugins.embeddings import plugin
from proxy.live import Entry
from tests.asking import Asking, Came, asking, soon


@asynccontextmanager
async def embedding(*more: Entry, **options: Any) -> AsyncIterator[Asking]:
    options = {"window_ms": 0.0, **options}
    entry = Entry("embeddings", "plugins.embeddings.plugin:Embeddings", options=options, timeout_ms=5000)
    async with asking(*more, entry) as weir:
        yield weir


async def embed(weir: Asking, given: Any, **more: Any) -> Came:
    headers = more.pop("headers", {})
    raw = orjson.dumps({"model": "text-embedding-3-small", "input": given, **more})
    return await weir.post("/v1/embeddings", raw, "embeddings", **headers)


def vectors(came: Came) -> list[Any]:
    assert came.status == 200, came.raw
    assert [each["index"] for each in came.doc["data"]] == list(range(len(came.doc["data"])))
    return [each["embedding"] for each in came.doc["data"]]


def inputs(weir: Asking) -> list[Any]:
    """Whatever the provider was asked for, call by call."""
    return [orjson.loads(each.body)["input"] for each in weir.provider.requests]


async def test_a_batch_of_100_inputs_of_which_90_are_known_sends_10() -> None:
    texts = [f"text number {place}" for place in range(100)]
    async with embedding() as plain:
        expected = vectors(await embed(plain, texts))
    async with embedding() as weir:
        await embed(weir, texts[:90])
        mixed = texts[::-1]
        came = await embed(weir, mixed)
        assert inputs(weir)[1] == texts[:89:-1]
        assert vectors(came) == expected[::-1]
        before, after = await weir.running.sink.wait_for(2)
        assert after["usage_source"] == "provider"
        assert 0 < after["input_tokens"] < before["input_tokens"]
        assert after["cost_nano_usd"] > 0
        assert came.doc["usage"]["prompt_tokens"] == after["input_tokens"]
        (saving,) = after["savings"]
        assert (saving["plugin"], saving["kind"]) == ("embeddings", "embeddings")
        assert abs(saving["input_tokens"] - before["input_tokens"]) <= 90


async def test_a_call_whose_inputs_are_all_known_is_answered_and_costs_nothing() -> None:
    async with embedding() as weir:
        first = await embed(weir, ["a", "b"])
        second = await embed(weir, ["b", "a", "b"])
        assert vectors(second) == [vectors(first)[place] for place in (1, 0, 1)]
        assert weir.provider.total == 1
        assert second.headers["x-weir-cache"] == "HIT"
        assert second.doc["usage"] == {"prompt_tokens": 0, "total_tokens": 0}
        assert second.doc["model"] == first.doc["model"]
        record = await weir.record(2)
        assert (record["usage_source"], record["cost_nano_usd"]) == ("cached", 0)


async def test_floats_and_base64_are_given_from_one_another() -> None:
    async with embedding() as weir:
        floats = vectors(await embed(weir, "a"))[0]
        coded = vectors(await embed(weir, ["a"], encoding_format="base64"))[0]
        raw = base64.b64decode(coded)
        assert list(struct.unpack(f"<{len(raw) // 4}f", raw)) == pytest.approx(floats)
        await embed(weir, "b", encoding_format="base64")
        assert len(vectors(await embed(weir, "b", encoding_format="float"))[0]) == len(floats)
        assert weir.provider.total == 2


@pytest.mark.parametrize("other", [{"dimensions": 8}, {"model": "text-embedding-3-large"}, {"task": "query"}])
async def test_what_changes_a_vector_makes_it_another(other: dict[str, Any]) -> None:
    async with embedding() as weir:
        await embed(weir, "a")
        await embed(weir, "a", **other)
        await embed(weir, "a", user="somebody else")
        assert weir.provider.total == 2


async def test_tokens_are_inputs_like_texts() -> None:
    async with embedding() as weir:
        await embed(weir, [1, 2, 3])
        await embed(weir, [[1, 2, 3], [4, 5]])
        assert inputs(weir) == [[1, 2, 3], [[4, 5]]]


async def test_small_calls_that_come_together_go_out_as_one_and_each_has_its_own() -> None:
    texts = [f"question {place}" for place in range(12)]
    async with embedding(window_ms=30.0) as weir:
        answers = await asyncio.gather(*(embed(weir, text) for text in texts))
        assert weir.provider.total == 1
        assert sorted(inputs(weir)[0]) == sorted(texts)
        records = await weir.running.sink.wait_for(12)
        assert sum(record["cost_nano_usd"] > 0 for record in records) == 1
        assert sum(came.headers.get("x-weir-cache") == "COALESCED" for came in answers) == 11
    async with embedding() as plain:
        for text, came in zip(texts, answers, strict=True):
            assert vectors(await embed(plain, text)) == vectors(came)


async def test_the_same_input_asked_for_by_many_at_once_is_sent_once() -> None:
    async with embedding() as weir:
        answers = await asyncio.gather(*(embed(weir, ["same", "again"]) for _ in range(10)))
        assert weir.provider.total == 1
        assert len({came.raw.partition(b'"usage"')[0][-200:] for came in answers}) <= 2
        assert all(vectors(came) == vectors(answers[0]) for came in answers)


async def test_calls_of_another_key_are_never_put_together() -> None:
    async with embedding(window_ms=20.0) as weir:
        await asyncio.gather(
            embed(weir, "one", headers={"authorization": "Bearer sk-one"}),
            embed(weir, "two", headers={"authorization": "Bearer sk-two"}),
        )
        assert weir.provider.total == 2


async def test_who_is_another_user_pays_for_their_own_inputs() -> None:
    async with embedding(window_ms=20.0) as weir:
        await asyncio.gather(
            embed(weir, "one", headers={"x-weir-user": "ann"}), embed(weir, "two", headers={"x-weir-user": "bob"})
        )
        assert weir.provider.total == 2
        records = await weir.running.sink.wait_for(2)
        assert all(record["cost_nano_usd"] > 0 for record in records)


async def test_an_input_that_the_provider_does_not_take_spoils_no_call_that_carried_it_along() -> None:
    async with embedding(window_ms=300.0) as weir:
        host = asyncio.create_task(embed(weir, "good"))
        await soon(lambda: weir.plugin("embeddings")._open)
        guest = asyncio.create_task(embed(weir, "bad [[sim status=400]]"))
        assert (vectors(await host), (await guest).status) == ([ANY], 400)
        assert inputs(weir)[1:] == [["good"], "bad [[sim status=400]]"] or inputs(weir)[1:] == [
            "bad [[sim status=400]]",
            ["good"],
        ]


async def test_when_the_provider_fails_who_waited_goes_on_alone() -> None:
    async with embedding(window_ms=30.0) as weir:
        raw = {"model": "text-embedding-3-small[[sim status=500]]"}
        answers = await asyncio.gather(*(embed(weir, f"text {place}", **raw) for place in range(3)))
        assert {came.status for came in answers} == {500} or {came.status for came in answers} <= {500, 502, 503}
        assert not weir.plugin("embeddings")._ways
        assert not weir.plugin("embeddings")._open
        assert [came.status for came in await asyncio.gather(embed(weir, "fine"), embed(weir, "good"))] == [200, 200]


async def test_no_cache_asks_anew_and_no_store_keeps_nothing() -> None:
    async with embedding() as weir:
        await embed(weir, "a", headers={"x-weir-cache": "no-store"})
        await embed(weir, "a")
        await embed(weir, "a", headers={"x-weir-cache": "no-cache"})
        assert weir.provider.total == 3
        await embed(weir, "a")
        assert weir.provider.total == 3


async def test_frequent_inputs_are_told_without_their_texts() -> None:
    async with embedding() as weir:
        for _ in range(5):
            await embed(weir, ["often", "too"])
        await embed(weir, "once")
        told = await weir.plugin("embeddings").ordered({"do": "stats"})
        assert [each["count"] for each in told["frequent"]] == [5, 5]
        assert "often" not in str(told)
        assert (told["vectors"], told["sent"], told["known"]) == (3, 3, 8)


async def test_where_texts_are_kept_it_is_told_how_frequent_inputs_begin_masked() -> None:
    async with asking(PII, Entry("embeddings", "embeddings", timeout_ms=5000), content="masked") as weir:
        for _ in range(2):
            await embed(weir, "from bob.miller@example.com about the weather and some more words than are told")
        told = (await weir.plugin("embeddings").ordered({"do": "stats"}))["frequent"]
        assert told[0]["begins"].startswith("from [")
        assert "miller" not in str(told)
        assert len(told[0]["begins"]) <= 40
    async with asking(PII, Entry("embeddings", "embeddings", timeout_ms=5000)) as weir:
        for _ in range(2):
            await embed(weir, "some text")
        assert (await weir.plugin("embeddings").ordered({"do": "stats"}))["frequent"][0]["begins"] == ""


async def test_what_was_made_for_a_user_is_forgotten_with_the_user() -> None:
    async with embedding() as weir:
        await embed(weir, "mine", user="ann")
        held = weir.plugin("embeddings")
        assert await held.export("ann") == [{"vectors": 1}]
        assert await held.forget("bob") == 0
        assert await held.forget("ann") == 1
        await embed(weir, "mine", user="ann")
        assert weir.provider.total == 2


CACHE = Entry("cache", "plugins.cache.plugin:Cache")
PII = Entry("pii", "pii")


async def test_under_the_cache_whole_calls_are_the_caches_and_parts_are_put_together_here() -> None:
    async with embedding(PII, CACHE) as weir:
        first = await embed(weir, ["a", "b"])
        again = await embed(weir, ["a", "b"])
        part = await embed(weir, ["b", "c"])
        twice = await embed(weir, ["b", "c"])
        assert [came.headers["x-weir-cache"] for came in (first, again, part)] == ["MISS", "HIT", "MISS"]
        assert inputs(weir) == [["a", "b"], ["c"]]
        assert vectors(twice) == vectors(part)
        assert vectors(part)[0] == vectors(first)[1]


async def test_many_that_ask_for_overlapping_inputs_at_once_all_get_theirs() -> None:
    async with embedding(PII, CACHE, window_ms=5.0) as weir:
        asked = [[f"text {(place * 3 + step) % 10}" for step in range(4)] for place in range(20)]
        answers = await asyncio.gather(*(embed(weir, texts) for texts in asked))
        known: dict[str, Any] = {}
        for texts, came in zip(asked, answers, strict=True):
            for text, vector in zip(texts, vectors(came), strict=True):
                assert known.setdefault(text, vector) == vector
        sent = [text for each in inputs(weir) for text in each]
        assert len(known) == len(sent) == 10


async def test_personal_data_in_an_input_goes_out_masked_and_the_rest_is_known() -> None:
    async with embedding(PII) as weir:
        await embed(weir, ["hello", "write to jane@example.com"])
        came = await embed(weir, ["bye", "write to jane@example.com"])
        assert b"jane@example.com" not in b"".join(each.body for each in weir.provider.requests)
        assert inputs(weir)[1] == ["bye"]
        assert len(vectors(came)) == 2


async def test_a_caller_who_leaves_does_not_take_the_others_with_it() -> None:
    async with embedding(window_ms=60.0) as weir:
        first = asyncio.create_task(embed(weir, "first"))
        await soon(lambda: weir.plugin("embeddings")._open)
        second = asyncio.create_task(embed(weir, "second"))
        await soon(lambda: len(weir.plugin("embeddings")._ways) == 2)
        first.cancel()
        assert len(vectors(await second)) == 1
        assert not weir.plugin("embeddings")._ways


@pytest.mark.parametrize("given", ["", [], [""], [[]], ["a", 1], {"a": 1}, [True]])
async def test_what_is_not_understood_is_the_providers_to_judge(given: Any) -> None:
    async with embedding() as weir:
        await embed(weir, given)
        assert weir.provider.total <= 1
        assert len(weir.plugin("embeddings").vectors) == 0


async def test_an_answer_in_which_vectors_are_missing_is_never_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(raw: bytes, of: int, made_s: float) -> Any:
        raise ValueError("no vectors")

    async with embedding() as weir:
        await embed(weir, ["a"])
        monkeypatch.setattr(plugin, "read", nothing)
        came = await embed(weir, ["a", "b"])
        assert (came.status, came.doc["error"]["code"]) == (502, "upstream_protocol_violation")
        assert (await weir.record(2))["outcome"] == "provider_error"
        assert (await embed(weir, ["b", "c"])).status == 200


async def test_a_vector_that_is_dropped_while_the_rest_is_asked_for_is_told_all_the_same() -> None:
    async with embedding(window_ms=50.0) as weir:
        await embed(weir, ["a"])
        embeddings = weir.plugin("embeddings")
        rest = asyncio.create_task(embed(weir, ["a", "b"]))
        await soon(lambda: embeddings._ways)
        embeddings.vectors.fit(0)
        assert len(vectors(await rest)) == 2
