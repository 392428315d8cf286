"""The official anthropic SDK behaves the same through Weir as against the provider itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import pytest
from anthropic import AsyncAnthropic

from tests.worker import Running, weir

Case = Callable[[AsyncAnthropic], Awaitable[Any]]
ASK: Any = [{"role": "user", "content": "Tell me about weirs."}]
TOOLS: Any = [
    {
        "name": "get_weather",
        "description": "The weather in a city",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]
MODEL = "claude-test"


async def plain(client: AsyncAnthropic) -> Any:
    return (await client.messages.create(model=MODEL, max_tokens=100, messages=ASK)).model_dump()


async def streamed(client: AsyncAnthropic) -> Any:
    async with client.messages.stream(model=MODEL, max_tokens=100, messages=ASK, system="Be brief.") as stream:
        events = [event.type async for event in stream]
        return events, (await stream.get_final_message()).model_dump()


async def tools(client: AsyncAnthropic) -> Any:
    ask: Any = [{"role": "user", "content": "call the tool for Paris and Rome"}]
    async with client.messages.stream(model=MODEL, max_tokens=100, messages=ask, tools=TOOLS) as stream:
        async for _ in stream:
            pass
        return (await stream.get_final_message()).model_dump()


async def thinking(client: AsyncAnthropic) -> Any:
    """Two turns; the signed thinking goes back as it came."""
    think: Any = {"type": "enabled", "budget_tokens": 1024}
    first = await client.messages.create(model=MODEL, max_tokens=2000, messages=ASK, thinking=think)
    turns: Any = [
        *ASK,
        {"role": "assistant", "content": [block.model_dump() for block in first.content]},
        {"role": "user", "content": "And then?"},
    ]
    return (await client.messages.create(model=MODEL, max_tokens=2000, messages=turns, thinking=think)).model_dump()


async def counted(client: AsyncAnthropic) -> Any:
    return (await client.messages.count_tokens(model=MODEL, messages=ASK)).model_dump()


async def listed(client: AsyncAnthropic) -> Any:
    return [model.model_dump() async for model in client.models.list()]


def _timeless(found: Any) -> Any:
    if isinstance(found, dict):
        return {key: _timeless(value) for key, value in found.items() if key not in ("id", "signature")}
    if isinstance(found, list | tuple):
        return [_timeless(value) for value in found]
    return found


def clients(running: Running) -> tuple[AsyncAnthropic, AsyncAnthropic]:
    direct = AsyncAnthropic(base_url=running.provider.url, api_key="sk-ant-test", max_retries=0)
    through = AsyncAnthropic(base_url=running.root, api_key="sk-ant-test", max_retries=0)
    return direct, through


@pytest.mark.parametrize("case", [plain, streamed, tools, thinking, counted, listed], ids=lambda case: case.__name__)
async def test_the_same_through_weir_as_directly(case: Case) -> None:
    async with weir() as running:
        direct, through = clients(running)
        async with direct, through:
            assert _timeless(await case(through)) == _timeless(await case(direct))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, anthropic.BadRequestError),
        (401, anthropic.AuthenticationError),
        (404, anthropic.NotFoundError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
    ],
)
async def test_errors_are_the_sdks_own_exceptions(status: int, kind: type[anthropic.APIStatusError]) -> None:
    ask: Any = [{"role": "user", "content": f"[[sim status={status} retry_after=2]]"}]
    async with weir() as running:
        direct, through = clients(running)
        async with direct, through:
            caught = []
            for client in (direct, through):
                with pytest.raises(kind) as info:
                    await client.messages.create(model=MODEL, max_tokens=100, messages=ask)
                caught.append(info.value)
            assert caught[0].response.headers.get("retry-after") == caught[1].response.headers.get("retry-after")
            assert _type(caught[0]) == _type(caught[1])


def _type(error: anthropic.APIStatusError) -> Any:
    body: Any = error.body
    return body["error"]["type"]


async def test_an_unknown_model_is_a_not_found_in_anthropics_own_shape() -> None:
    async with weir(upstream={"models": ("claude-*",)}) as running:
        _, through = clients(running)
        async with through:
            with pytest.raises(anthropic.NotFoundError) as info:
                await through.messages.create(model="gpt-4o", max_tokens=10, messages=ASK)
            body: Any = info.value.body
            assert body["type"] == "error"
            assert body["error"]["type"] == "not_found_error"
            assert "claude-*" in body["error"]["message"]


async def test_the_usage_of_a_stream_is_recorded_with_what_was_read_from_the_providers_cache() -> None:
    async with weir() as running:
        _, through = clients(running)
        async with through:
            await streamed(through)
            (record,) = await running.sink.wait_for(1)
    assert record["surface"] == "messages"
    assert record["usage_source"] == "provider"
    assert record["input_tokens"] > 0
    assert record["output_tokens"] > 0
    assert record["complete"] is True
