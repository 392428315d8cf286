"""Azure's paths: the official AzureOpenAI client with `azure_endpoint` at Weir, and the model that the path names."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import pytest
from openai import AsyncAzureOpenAI

from proxy.errors import UnknownPath
from proxy.live import Alias, CallerKey, Entry, Identity, Upstream
from proxy.server.deployments import plain
from tests.asking import asking

ASK: Any = [{"role": "user", "content": "Tell me about weirs."}]
CHAT = "/openai/deployments/gpt-4o/chat/completions"


def client(root: str, **more: Any) -> AsyncAzureOpenAI:
    return AsyncAzureOpenAI(azure_endpoint=root, api_key="sk-caller", api_version="2025-01-01", max_retries=0, **more)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/openai/deployments/gpt-4o/chat/completions", ("/v1/chat/completions", "gpt-4o")),
        ("/openai/deployments/my%20own/embeddings", ("/v1/embeddings", "my own")),
        ("/openai/deployments/d/completions", ("/v1/completions", "d")),
        ("/openai/responses", ("/v1/responses", "")),
        ("/openai/responses/resp_1", ("/v1/responses/resp_1", "")),
        ("/openai/models", ("/v1/models", "")),
        ("/openai/responsesx", ("/openai/responsesx", "")),
        ("/openai/v1/chat/completions", ("/v1/chat/completions", "")),
        ("/openai/deployments/d/images/generations", ("/openai/deployments/d/images/generations", "")),
        ("/openai/deployments/a/b/embeddings", ("/openai/deployments/a/b/embeddings", "")),
        ("/v1/chat/completions", ("/v1/chat/completions", "")),
    ],
)
def test_a_path_is_what_it_is_below_v1_and_names_its_model(path: str, wanted: tuple[str, str]) -> None:
    assert plain(path) == wanted


@pytest.mark.parametrize("name", ["%00", "a%0a", "x" * 513])
def test_what_is_no_name_is_no_deployment(name: str) -> None:
    with pytest.raises(UnknownPath):
        plain(f"/openai/deployments/{name}/embeddings")


@pytest.mark.parametrize("stream", [False, True])
async def test_the_official_client_is_served(stream: bool) -> None:
    async with asking() as weir, client(weir.running.root) as azure:
        for _ in range(2):
            came: Any = await azure.chat.completions.create(model="gpt-4o-mini", messages=ASK, stream=stream)
            if stream:
                said = "".join([one.choices[0].delta.content or "" async for one in came if one.choices])
            else:
                said = came.choices[0].message.content
            assert "weirs" in said
        record = await weir.record(2)
        assert (record["surface"], record["model"], record["path"]) == ("chat", "gpt-4o-mini", "/v1/chat/completions")
        assert record["cost_nano_usd"] > 0
        assert {one.path for one in weir.provider.requests} == {"/v1/chat/completions"}


async def test_embeddings_completions_and_responses_are_served() -> None:
    async with asking() as weir, client(weir.running.root) as azure:
        assert (await azure.embeddings.create(model="text-embedding-3-small", input="hi")).data[0].embedding
        assert (await azure.completions.create(model="gpt-3.5-turbo-instruct", prompt="hi")).choices
        assert (await azure.responses.create(model="gpt-4o-mini", input="hi")).output_text
        assert isinstance([one.id async for one in await azure.models.list()], list)
        records = await weir.running.sink.wait_for(3)
        assert [one["surface"] for one in records] == ["embeddings", "completions", "responses"]


async def test_an_agents_path_may_stand_before_it() -> None:
    async with asking() as weir, client(f"{weir.running.root}/agents/tax") as azure:
        assert (await azure.chat.completions.create(model="gpt-4o-mini", messages=ASK)).choices
        assert (await weir.record())["agent"] == "tax"


async def test_the_deployment_goes_before_the_models_name_in_the_body() -> None:
    aliases = {"my-own": Alias("gpt-4o-mini")}
    async with asking(aliases=aliases) as weir, client(weir.running.root, azure_deployment="my-own") as azure:
        for _ in range(2):
            came = await azure.chat.completions.create(model="gpt-4o", messages=ASK)
            assert came.model.startswith("gpt-4o-mini")
        record = await weir.record(2)
        assert (record["model"], record["target_model"]) == ("my-own", "gpt-4o-mini")
        assert {orjson.loads(one.body)["model"] for one in weir.provider.requests} == {"gpt-4o-mini"}


async def test_without_a_model_in_the_body_the_paths_is_written_into_it() -> None:
    async with asking() as weir:
        came = await weir.post(CHAT, orjson.dumps({"messages": ASK}))
        assert came.status == 200
        assert orjson.loads(weir.provider.requests[-1].body)["model"] == "gpt-4o"


async def test_an_upstream_of_azures_gets_the_call_at_its_own_path() -> None:
    async with asking(upstreams=[]) as plainly:
        url = plainly.provider.url + "/openai/deployments/{model}"
        azure_upstream = {"upstreams": [Upstream("azure", url, models=("mine",), auth="api-key", key="sk-azure")]}
        async with asking(**azure_upstream) as weir, client(weir.running.root) as azure:
            assert (await azure.chat.completions.create(model="mine", messages=ASK)).choices
        (sent,) = plainly.provider.requests
        assert sent.target == "/openai/deployments/mine/chat/completions?api-version=2025-01-01"


async def test_rights_and_the_cache_go_by_the_model_that_the_path_names() -> None:
    key = CallerKey("k", hashlib.sha256(b"weir-k").hexdigest(), models=("gpt-4o-mini",))
    identity, key_header = Identity(keys=(key,)), {"authorization": "", "api-key": "weir-k"}
    async with asking(identity=identity) as weir:
        raw = orjson.dumps({"model": "gpt-4o-mini", "messages": ASK})
        assert (await weir.post(CHAT, raw, **key_header)).status == 403
    async with asking(Entry("cache", "cache")) as weir:
        raw = orjson.dumps({"model": "gpt-4o-mini", "temperature": 0, "messages": ASK})
        paths = ["/v1/chat/completions", CHAT, CHAT, "/openai/deployments/gpt-4o-mini/chat/completions"]
        states = [(await weir.post(path, raw)).headers["x-weir-cache"] for path in paths]
        assert states == ["MISS", "MISS", "HIT", "HIT"]


async def test_other_paths_of_azures_are_told_where_to_go() -> None:
    async with asking() as weir:
        came = await weir.post("/openai/deployments/gpt-4o/Chat/completions", orjson.dumps({"messages": ASK}))
        assert (came.status, b"ask at /v1/" in came.raw) == (404, True)
