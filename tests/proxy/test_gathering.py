"""`streaming: auto`: the provider streams, the caller gets the JSON answer it asked for."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import orjson
import pytest

from proxy.live import Agent, Streams
from tests.plugins_for_tests import Swaps, listed
from tests.worker import DEFAULT, Running, weir

SAID = "[[sim text=hello chunks=3]]"
BODIES: dict[str, dict[str, Any]] = {
    "chat/completions": {"model": "m-1", "messages": [{"role": "user", "content": SAID}]},
    "completions": {"model": "m-1", "prompt": SAID},
    "messages": {"model": "m-1", "max_tokens": 9, "messages": [{"role": "user", "content": SAID}]},
    "responses": {"model": "m-1", "input": SAID},
}
OWN = frozenset({"id", "created", "created_at", "completed_at", "usage"})
AUTO: dict[str, Any] = {"streams": Streams(streaming="auto")}


async def post(running: Running, path: str, body: dict[str, Any], agent: str = "") -> tuple[int, Any, Any]:
    root = running.root + (f"/agents/{agent}" if agent else "")
    async with aiohttp.ClientSession() as session:
        headers = {"content-type": "application/json", "x-api-key": "k", "anthropic-version": "2023-06-01"}
        async with session.post(f"{root}/v1/{path}", data=orjson.dumps(body), headers=headers) as answer:
            return answer.status, orjson.loads(await answer.read()), answer.headers


def plain(doc: Any) -> Any:
    """Without what no two answers have alike, and without what is empty."""
    if isinstance(doc, dict):
        kept = {name: plain(value) for name, value in doc.items() if name not in OWN}
        return {name: value for name, value in kept.items() if value not in (None, [], {})}
    return [plain(one) for one in doc] if isinstance(doc, list) else doc


@pytest.mark.parametrize("path", BODIES)
async def test_the_answer_is_the_one_that_a_call_without_streaming_gets(path: str) -> None:
    async with weir(**AUTO) as running:
        status, made, headers = await post(running, path, BODIES[path])
        assert status == 200 and headers["content-type"] == "application/json"
        asked = orjson.loads(running.provider.requests[-1].body)
        assert asked["stream"] is True
        record = (await running.sink.wait_for(1))[0]
        assert record["usage_source"] == "provider" and record["output_tokens"] and record["complete"]
    async with weir() as running:
        _, other, _ = await post(running, path, BODIES[path])
        assert "stream" not in orjson.loads(running.provider.requests[-1].body)
    assert plain(made) == plain(other)


async def test_an_agent_may_differ() -> None:
    async with weir(agents={"slow": Agent(streaming=True)}) as running:
        await post(running, "chat/completions", BODIES["chat/completions"], "slow")
        assert orjson.loads(running.provider.requests[-1].body)["stream"] is True
        await post(running, "chat/completions", BODIES["chat/completions"], "other")
        assert "stream" not in orjson.loads(running.provider.requests[-1].body)


async def test_filters_and_refusals_work_as_with_json() -> None:
    body = {"model": "m-1", "messages": [{"role": "user", "content": "[[sim text='we say you' chunks=5]]"}]}
    async with weir(*DEFAULT, listed(Swaps), **AUTO) as running:
        _, made, _ = await post(running, "chat/completions", body)
        assert "SHOUT" in made["choices"][0]["message"]["content"]


@pytest.mark.parametrize("wish", ["cut=2", "error=2", "no_done=1 cut=3"])
async def test_what_breaks_off_is_an_error_and_no_answer(wish: str) -> None:
    body = {"model": "m-1", "messages": [{"role": "user", "content": f"[[sim chunks=9 {wish}]]"}]}
    async with weir(**AUTO) as running:
        status, made, _ = await post(running, "chat/completions", body)
        assert status == 502 and made["error"]["code"]
        record = (await running.sink.wait_for(1))[0]
        assert record["outcome"] == "provider_error"


async def test_a_provider_that_refuses_to_stream_is_asked_without() -> None:
    body = {"model": "m-1", "messages": [{"role": "user", "content": "[[sim reject_stream_options=1]]"}]}
    async with weir(**AUTO) as running:
        running.provider.rejects_stream_options = True
        status, made, _ = await post(running, "chat/completions", body)
        assert status == 200 and made["object"] == "chat.completion"


async def test_a_caller_that_leaves_ends_the_stream() -> None:
    body = {"model": "m-1", "messages": [{"role": "user", "content": "[[sim chunks=50 interval=0.1]]"}]}
    async with weir(**AUTO) as running:
        call = asyncio.ensure_future(post(running, "chat/completions", body))
        await running.provider.until(lambda: running.provider.total == 1)
        call.cancel()
        await running.provider.until(lambda: len(running.provider.cancelled) == 1)
