"""What providers keep: found again by who made it, and by nobody else."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from benchmarks.provider import Provider
from proxy.errors import BadRequest, StoreDown
from proxy.exchange import Caller, Target
from proxy.held import Held, named_id
from proxy.live import Alias, CallerKey, Identity, Upstream
from proxy.store.memory import MemoryStore
from tests import kit
from tests.asking import Asking, Came, asking
from tests.streams import docs

KEYS = Identity(
    keys=tuple(
        CallerKey(name, hashlib.sha256(name.encode()).hexdigest(), tenant=tenant)
        for name, tenant in (("key-a", "t1"), ("key-b", "t1"), ("key-c", "t2"))
    )
)


async def create(weir: Asking, key: str, *, model: str = "gpt-4o-mini", **more: Any) -> Came:
    raw = orjson.dumps({"model": model, "input": "say something", **more})
    return await weir.ask("responses", raw=raw, authorization=f"Bearer {key}")


async def test_a_call_that_builds_on_a_response_goes_to_the_upstream_that_holds_it() -> None:
    async with Provider() as other:
        changes: dict[str, Any] = {
            "upstreams": [Upstream("second", other.url, key="k2", models=("far-*",))],
            "aliases": {"far": Alias("far-1", "second")},
        }
        async with asking(upstream={"key": "k1"}, **changes) as weir:
            first = (await create(weir, "x", model="far")).doc["id"]
            assert len(other.requests) == 1
            assert (await create(weir, "x", previous_response_id=first)).status == 200
            assert len(other.requests) == 2  # though the model belongs to the first
            got = await weir.get(f"/v1/responses/{first}", "responses", authorization="Bearer x")
            assert (got.status, got.text) == (200, "You said: say something")
            assert len(other.requests) == 3
            assert not weir.provider.requests


@pytest.mark.parametrize("stream", [False, True])
async def test_another_credential_finds_nothing(stream: bool) -> None:
    async with asking(upstream={"key": "k1"}, identity=KEYS) as weir:
        made = await create(weir, "key-a", stream=stream)
        id_ = docs(made.raw)[0]["response"]["id"] if stream else made.doc["id"]
        assert (await create(weir, "key-a", previous_response_id=id_)).status == 200
        for other in ("key-b", "key-c"):
            got = await create(weir, other, previous_response_id=id_)
            assert (got.status, got.doc["error"]["code"]) == (404, "not_found")
            assert got.doc["error"]["param"] == "previous_response_id"
            read = await weir.get(f"/v1/responses/{id_}", authorization=f"Bearer {other}")
            assert read.status == 404
            async with weir.session.delete(
                f"{weir.running.url}/responses/{id_}", headers={"authorization": f"Bearer {other}"}
            ) as answer:
                assert answer.status == 404


async def test_where_callers_share_a_providers_key_an_id_that_nobody_knows_is_not_found() -> None:
    async with asking(upstream={"key": "k1"}, identity=KEYS) as weir:
        for named in ({"previous_response_id": "resp_x"}, {"conversation": "conv_x"}, {"conversation": {"id": "c"}}):
            assert (await create(weir, "key-a", **named)).status == 404
        assert (await create(weir, "not-a-key", previous_response_id="resp_x")).status == 404
        assert (await weir.get("/v1/responses/resp_x", authorization="Bearer key-a")).status == 404
        assert not weir.provider.requests


async def test_a_key_of_weirs_reaches_nobody_elses_state_at_a_provider_without_keys() -> None:
    async with asking(identity=KEYS) as weir:
        made = (await create(weir, "key-a")).doc["id"]
        for other in ("key-b", "key-c"):
            assert (await create(weir, other, previous_response_id=made)).status == 404
        assert (await create(weir, "key-a", previous_response_id=made)).status == 200


async def test_it_is_remembered_before_the_caller_can_build_on_it() -> None:
    order: list[str] = []

    class Slow(MemoryStore):
        async def put(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
            await asyncio.sleep(0.02)
            order.append(key.split(":")[1])

    async with asking(upstream={"key": "k1"}, identity=KEYS) as weir:
        weir.running.worker.pipeline.house.held._store = Slow(kit.FakeClock())
        for stream in (False, True):
            async with weir.session.post(
                weir.running.url + "/responses",
                json={"model": "gpt-4o-mini", "input": "x", "stream": stream},
                headers={"authorization": "Bearer key-a"},
            ) as answer:
                await answer.content.readany()
                assert order == ["t1", ""]
            order.clear()


async def test_what_comes_while_a_write_is_under_way_goes_into_the_next() -> None:
    writes: list[int] = []

    class Slow(MemoryStore):
        at_once = False

        async def put_all(self, values: Mapping[str, bytes], ttl_s: float | None = None) -> None:
            await asyncio.sleep(0)
            writes.append(len(values) // 2)
            await super().put_all(values, ttl_s)

    held, call = Held(Slow(kit.FakeClock())), kit.exchange(kit.snapshot())
    call.request.dialect, call.target = "responses", Target("sim", "m")
    await asyncio.gather(*(held.remember(call, f"resp_{number}") for number in range(100)))
    assert writes == [64, 36]
    assert [await held.upstream_of(call, f"resp_{number}") for number in (0, 64, 99)] == ["sim"] * 3
    await held.remember(call, "")
    assert len(writes) == 2


async def test_a_store_that_breaks_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(MemoryStore):
        at_once = False

        async def put_all(self, values: Mapping[str, bytes], ttl_s: float | None = None) -> None:
            raise ValueError("broken")

    held, call = Held(Broken(kit.FakeClock())), kit.exchange(kit.snapshot())
    call.request.dialect, call.target = "responses", Target("sim", "m")
    for _ in range(2):
        async with asyncio.timeout(2):
            await held.remember(call, "resp_1")
    assert len(caplog.records) == 2


async def test_without_keys_a_response_is_its_makers_all_the_same() -> None:
    async with asking(upstream={"key": "k1"}) as weir:
        id_ = (await create(weir, "alice")).doc["id"]
        assert (await create(weir, "alice", previous_response_id=id_)).status == 200
        assert (await create(weir, "bob", previous_response_id=id_)).status == 404
        assert (await weir.get(f"/v1/responses/{id_}", authorization="Bearer bob")).status == 404


async def test_with_credentials_of_their_own_the_provider_tells_callers_apart() -> None:
    async with asking() as weir:
        id_ = (await create(weir, "alice")).doc["id"]
        await create(weir, "bob", previous_response_id=id_)
        assert weir.provider.requests[-1].header("authorization") == "Bearer bob"
        got = await create(weir, "alice", previous_response_id="resp_from_before_weir")
        assert got.doc["error"]["code"] == "previous_response_not_found"  # the provider's own word


async def test_a_store_that_is_away_makes_ids_unknown_and_breaks_nothing() -> None:
    class Away(MemoryStore):
        async def get(self, key: str) -> bytes | None:
            raise StoreDown("away")

        async def put(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
            raise StoreDown("away")

    held, call = Held(Away(kit.FakeClock())), kit.exchange(kit.snapshot(identity=KEYS))
    call.request.dialect = "responses"
    call.target = Target("sim", "m")
    await held.remember(call, "resp_1")
    assert await held.upstream_of(call, "resp_1") is None  # the upstream takes the caller's own credential
    keyed = kit.snapshot(identity=KEYS, upstreams={"sim": Upstream("sim", "http://x/v1", key="k")})
    call = kit.exchange(keyed)
    call.target, call.caller = Target("sim", "m"), Caller(key="key-a")
    with pytest.raises(BadRequest):
        await held.upstream_of(call, "resp_1")


def test_the_stored_thing_is_named_in_one_of_three_ways() -> None:
    assert named_id({"previous_response_id": "r"}) == "r"
    assert named_id({"conversation": "c"}) == "c"
    assert named_id({"conversation": {"id": "c"}}) == "c"
    assert named_id({"conversation": {}, "previous_response_id": None}) is None
    assert named_id({"conversation": 5, "previous_response_id": ""}) is None
