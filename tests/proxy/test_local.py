"""Weir's own endpoints on the data port: the models of all upstreams, and a caller's own calls."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import pytest

from benchmarks.provider import Provider
from benchmarks.simulated.plan import json_answer
from proxy.channel import ChannelDown
from proxy.live import Alias, CallerKey, Identity, Upstream
from proxy.record import summary_of
from tests.asking import Asking, asking
from tests.proxy.test_relay import from_afar
from tests.worker import Sink

KEYS = Identity(
    keys=tuple(CallerKey(name, hashlib.sha256(name.encode()).hexdigest(), tenant=name) for name in ("key-a", "key-b"))
)


def offers(provider: Provider, *models: Any) -> None:
    """The provider lists these."""
    listed = {"object": "list", "data": [one if isinstance(one, dict) else {"id": one} for one in models]}
    provider._route = lambda call: json_answer(listed)  # type: ignore[method-assign]


def ids(got: Any) -> list[str]:
    return [model["id"] for model in got.doc["data"]]


# --- models


async def test_the_models_of_all_upstreams_are_one_list_with_the_aliases() -> None:
    async with Provider() as other:
        offers(other, "far-1", "gpt-4o", "hidden-1")
        changes: dict[str, Any] = {
            "upstreams": [Upstream("second", other.url, auth="none", models=("far-*", "gpt-4o"))],
            "aliases": {"best": Alias("gpt-4o"), "gpt-4o": Alias("gpt-4o-mini")},
        }
        async with asking(upstream={"key": "k"}, **changes) as weir:
            offers(weir.provider, "gpt-4o", "gpt-4o-mini")
            got = await weir.get("/v1/models")
            assert got.doc["object"] == "list"
            assert ids(got) == ["gpt-4o", "gpt-4o-mini", "far-1", "best"]
            assert {model["object"] for model in got.doc["data"]} == {"model"}
            assert got.headers["x-weir-request-id"].startswith("wr_")


async def test_an_upstream_that_does_not_answer_takes_nothing_from_the_others() -> None:
    dead = Upstream("dead", "http://127.0.0.1:9/v1", auth="none")
    async with asking(upstream={"key": "k"}, upstreams=[dead]) as weir:
        assert "gpt-4o" in ids(await weir.get("/v1/models"))
    async with asking(upstream={"key": "k"}) as weir:
        weir.provider.key = "another"
        got = await weir.get("/v1/models")
        assert (got.status, got.doc["error"]["code"]) == (500, "no_models")


@pytest.mark.parametrize(
    "answer", [{"data": "x"}, {"data": [1, None, {"id": 5}, {}]}, [], "x", {"data": [{"id": "m", "created": "soon"}]}]
)
@pytest.mark.parametrize("anthropic", [False, True])
async def test_a_list_of_any_shape_breaks_nothing(answer: Any, anthropic: bool) -> None:
    headers = {"anthropic-version": "2023-06-01"} if anthropic else {}
    async with asking(upstream={"key": "k"}) as weir:
        weir.provider._route = lambda call: json_answer(answer)  # type: ignore[method-assign]
        got = await weir.get("/v1/models", **headers)
        assert got.status in (200, 500)
        if got.status == 200:
            assert set(ids(got)) <= {"m"}
        else:
            assert got.doc["error"]["code"] == "no_models"


async def test_they_come_in_the_shape_of_the_sdk_that_asks() -> None:
    async with asking(upstream={"key": "k"}, aliases={"best": Alias("gpt-4o")}) as weir:
        offers(weir.provider, {"id": "gpt-4o", "object": "model", "created": 86_400, "owned_by": "o", "more": 1})
        got = await weir.get("/v1/models", **{"anthropic-version": "2023-06-01"})
        assert got.doc["data"][0] == {
            "type": "model", "id": "gpt-4o", "display_name": "gpt-4o", "created_at": "1970-01-02T00:00:00Z",
        }  # fmt: skip
        assert (got.doc["has_more"], got.doc["first_id"], got.doc["last_id"]) == (False, "gpt-4o", "best")
        assert (await weir.get("/v1/models")).doc["data"][0]["more"] == 1
        claude = {"type": "model", "id": "claude", "display_name": "Claude", "created_at": "2026-01-01T00:00:00Z"}
        offers(weir.provider, claude)
        assert (await weir.get("/v1/models", **{"anthropic-version": "2023-06-01"})).doc["data"][0] == claude
        assert (await weir.get("/v1/models")).doc["data"][0] == {
            "id": "claude", "object": "model", "created": 1767225600, "owned_by": "anthropic",
        }  # fmt: skip


async def test_one_model_is_found_by_its_name_whatever_stands_in_it() -> None:
    async with asking(upstream={"key": "k"}) as weir:
        offers(weir.provider, "org/model:1", "gpt-4o")
        assert (await weir.get("/v1/models/gpt-4o")).doc["id"] == "gpt-4o"
        assert (await weir.get("/v1/models/org/model:1")).doc["id"] == "org/model:1"
        assert (await weir.get("/v1/models/org%2Fmodel%3A1")).doc["id"] == "org/model:1"
        got = await weir.get("/v1/models/nope")
        assert (got.status, got.doc["error"]["code"], got.doc["error"]["param"]) == (404, "model_not_found", "model")


async def test_a_credential_goes_only_to_the_upstream_it_belongs_to() -> None:
    async with Provider() as other, Provider() as keyed:
        upstreams = [Upstream("other", other.url), Upstream("keyed", keyed.url, key="weirs-own")]
        async with asking(upstreams=upstreams) as weir:
            await weir.get("/v1/models", authorization="Bearer theirs")
            assert [sent.header("authorization") for sent in weir.provider.requests] == ["Bearer theirs"]
            assert [sent.header("authorization") for sent in keyed.requests] == ["Bearer weirs-own"]
            assert not other.requests


async def test_a_key_of_weirs_own_goes_nowhere() -> None:
    async with asking(identity=KEYS) as weir:
        await weir.get("/v1/models", authorization="Bearer key-a")
        assert all(sent.header("authorization") is None for sent in weir.provider.requests)


async def test_a_stranger_is_not_told_what_weirs_keys_open() -> None:
    async with Provider() as keyed:
        offers(keyed, "secret-model")
        async with asking(upstreams=[Upstream("keyed", keyed.url, key="weirs-own")]) as weir:
            from_afar(weir)
            got = await weir.get("/v1/models", authorization="Bearer theirs")
            assert "secret-model" not in ids(got)
            assert not keyed.requests


async def test_asking_for_models_is_no_call() -> None:
    async with asking(upstream={"key": "k"}) as weir:
        await weir.get("/v1/models")
        await weir.ask()
        assert (await weir.record())["surface"] == "chat"
        assert len(weir.records) == 1


# --- calls


async def made(weir: Asking, key: str, **more: Any) -> str:
    return (await weir.ask(authorization=f"Bearer {key}", **more)).headers["x-weir-request-id"]


async def test_a_caller_reads_what_its_own_call_came_to_also_of_a_stream() -> None:
    async with asking() as weir:
        id_ = await made(weir, "mine", stream=True)
        await weir.record()
        got = await weir.get(f"/weir/calls/{id_}", authorization="Bearer mine")
        assert got.status == 200
        assert got.doc["id"] == id_
        assert got.doc["cost_usd"] == got.doc["cost_nano_usd"] / 1e9 > 0
        assert got.doc["output_tokens"] > 0
        assert got.doc["overhead_ms"] > 0
        assert set(got.doc).isdisjoint({"credential", "audit", "error", "user", "tenant", "key"})


@pytest.mark.parametrize("other", ["Bearer theirs", ""])
async def test_for_another_credential_it_is_not_there(other: str) -> None:
    async with asking() as weir:
        id_ = await made(weir, "mine")
        await weir.record()
        got = await weir.get(f"/weir/calls/{id_}", authorization=other)
        assert (got.status, got.doc["error"]["code"]) == (404, "call_not_found")


class Control(Sink):
    """Knows one call of one credential."""

    def __init__(self, known: dict[str, Any] | Exception) -> None:
        super().__init__()
        self.asked: list[dict[str, Any]] = []
        self._known = known

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(message)
        if isinstance(self._known, Exception):
            raise self._known
        return {"call": self._known}


async def test_of_calls_that_are_not_known_here_control_is_asked() -> None:
    control = Control({"id": "wr_x", "cost_usd": 0.5})
    async with asking(sink=control) as weir:
        got = await weir.get("/weir/calls/wr_x", authorization="Bearer mine")
        assert (got.status, got.doc["cost_usd"]) == (200, 0.5)
        (question,) = control.asked
        assert question["call"] == "wr_x"
        assert len(question["credential"]) >= 16
        assert "mine" not in orjson.dumps(question).decode()


async def test_while_control_is_away_it_says_to_come_back() -> None:
    async with asking(sink=Control(ChannelDown("The control process is not there."))) as weir:
        got = await weir.get("/weir/calls/wr_x")
        assert (got.status, got.doc["error"]["code"]) == (503, "control_unavailable")
        assert "retry-after" in got.headers


async def test_nothing_else_lives_under_weir() -> None:
    async with asking() as weir:
        for path in ("/weir", "/weir/", "/weir/secrets", "/weir/calls"):
            assert (await weir.get(path)).status == 404
        assert not weir.provider.requests


def test_a_summary_has_no_price_where_none_is_known() -> None:
    assert summary_of({"id": "x"})["cost_usd"] is None
    assert summary_of({"id": "x", "cost_nano_usd": 5})["cost_usd"] == 5e-9
