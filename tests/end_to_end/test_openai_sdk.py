"""The official openai SDK behaves the same through Weir as against the provider itself."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from tests.worker import Running, weir

Case = Callable[[AsyncOpenAI], Awaitable[Any]]
ASK: Any = [{"role": "user", "content": "Tell me about weirs."}]
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather in a city",
            "strict": True,
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
]
PIXEL = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 40).decode()


class Weather(BaseModel):
    city: str
    degrees: int


async def plain(client: AsyncOpenAI) -> Any:
    return (await client.chat.completions.create(model="gpt-4o-mini", messages=ASK)).model_dump()


async def streamed(client: AsyncOpenAI) -> Any:
    stream: Any = await client.chat.completions.create(model="gpt-4o-mini", messages=ASK, stream=True)
    return [chunk.model_dump() async for chunk in stream]


async def streamed_with_usage(client: AsyncOpenAI) -> Any:
    stream: Any = await client.chat.completions.create(
        model="gpt-4o-mini", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    return [chunk.model_dump() async for chunk in stream]


async def several_choices(client: AsyncOpenAI) -> Any:
    stream: Any = await client.chat.completions.create(model="gpt-4o-mini", messages=ASK, stream=True, n=2)
    return [chunk.model_dump() async for chunk in stream]


async def parallel_tools(client: AsyncOpenAI) -> Any:
    ask: Any = [{"role": "user", "content": "call the tool for Paris and Rome"}]
    return (await client.chat.completions.create(model="gpt-4o-mini", messages=ask, tools=TOOLS)).model_dump()


async def streamed_tools(client: AsyncOpenAI) -> Any:
    ask: Any = [{"role": "user", "content": "call the tool for Paris and Rome"}]
    async with client.chat.completions.stream(model="gpt-4o-mini", messages=ask, tools=TOOLS) as stream:
        async for _ in stream:
            pass
        return (await stream.get_final_completion()).model_dump()


async def structured(client: AsyncOpenAI) -> Any:
    got = await client.chat.completions.parse(model="gpt-4o-mini", messages=ASK, response_format=Weather)
    assert isinstance(got.choices[0].message.parsed, Weather)
    return got.choices[0].message.parsed, got.choices[0].message.content, got.usage


async def vision(client: AsyncOpenAI) -> Any:
    parts: Any = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    got = await client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": parts}])
    return got.model_dump()


async def embeddings(client: AsyncOpenAI) -> Any:
    got = await client.embeddings.create(model="text-embedding-3-small", input=["one", "two"])
    return got.model_dump()


async def embeddings_as_floats(client: AsyncOpenAI) -> Any:
    got = await client.embeddings.create(model="text-embedding-3-small", input="one", encoding_format="float")
    return got.model_dump()


async def response(client: AsyncOpenAI) -> Any:
    return (await client.responses.create(model="gpt-4o-mini", input="Tell me about weirs.")).model_dump()


async def response_streamed(client: AsyncOpenAI) -> Any:
    async with client.responses.stream(model="gpt-4o-mini", input="Tell me about weirs.") as stream:
        events = [event.type async for event in stream]
        return events, (await stream.get_final_response()).model_dump()


async def response_with_tools(client: AsyncOpenAI) -> Any:
    tools: Any = [{"type": "function", **TOOLS[0]["function"]}]
    async with client.responses.stream(model="gpt-4o-mini", input="call the tool for Paris", tools=tools) as stream:
        events = [event.type async for event in stream]
        return events, (await stream.get_final_response()).model_dump()


async def completion(client: AsyncOpenAI) -> Any:
    return (await client.completions.create(model="gpt-3.5-turbo-instruct", prompt="Once")).model_dump()


async def raw(client: AsyncOpenAI) -> Any:
    got = await client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=ASK)
    kept = ("x-ratelimit-remaining-requests", "openai-processing-ms", "openai-version", "content-type")
    return {name: got.headers.get(name) for name in kept}, got.parse().model_dump()


CASES: list[Case] = [
    plain, streamed, streamed_with_usage, several_choices, parallel_tools, streamed_tools, structured, vision,
    embeddings, embeddings_as_floats, response, response_streamed, response_with_tools, completion, raw,
]  # fmt: skip


def _timeless(found: Any) -> Any:
    """Ids and times differ between any two calls."""
    if isinstance(found, dict):
        return {
            key: _timeless(value)
            for key, value in found.items()
            if key not in ("id", "created", "created_at", "completed_at", "item_id", "call_id")
        }
    if isinstance(found, list | tuple):
        return [_timeless(value) for value in found]
    return found


def clients(running: Running) -> tuple[AsyncOpenAI, AsyncOpenAI]:
    direct = AsyncOpenAI(base_url=running.provider.url + "/v1", api_key="sk-test", max_retries=0)
    through = AsyncOpenAI(base_url=running.url, api_key="sk-test", max_retries=0)
    return direct, through


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_the_same_through_weir_as_directly(case: Case) -> None:
    async with weir() as running:
        direct, through = clients(running)
        async with direct, through:
            assert _timeless(await case(through)) == _timeless(await case(direct))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_errors_are_the_sdks_own_exceptions(status: int, kind: type[openai.APIStatusError], stream: bool) -> None:
    ask: Any = [{"role": "user", "content": f"[[sim status={status} retry_after=2]]"}]
    async with weir() as running:
        direct, through = clients(running)
        async with direct, through:
            caught = []
            for client in (direct, through):
                with pytest.raises(kind) as info:
                    await client.chat.completions.create(model="gpt-4o-mini", messages=ask, stream=stream)
                caught.append(info.value)
            assert caught[0].body == caught[1].body
            assert caught[0].code == caught[1].code
            assert caught[0].response.headers.get("retry-after") == caught[1].response.headers.get("retry-after")


async def test_the_sync_client_works_too() -> None:
    async with weir() as running:

        def call() -> tuple[str | None, int]:
            with OpenAI(base_url=running.url, api_key="sk-test", max_retries=0) as client:
                got = client.chat.completions.create(model="gpt-4o-mini", messages=ASK)
                chunks = list(client.chat.completions.create(model="gpt-4o-mini", messages=ASK, stream=True))
                return got.choices[0].message.content, len(chunks)

        text, count = await asyncio.to_thread(call)
        assert text
        assert count > 2


async def test_a_caller_that_leaves_in_mid_stream_cancels_the_provider_and_is_still_metered() -> None:
    ask: Any = [{"role": "user", "content": "[[sim chunks=1000 interval=0.01]]"}]
    async with weir() as running:
        _, through = clients(running)
        async with through:
            stream: Any = await through.chat.completions.create(model="gpt-4o-mini", messages=ask, stream=True)
            seen = 0
            async for _chunk in stream:
                seen += 1
                if seen == 5:
                    break
            left = asyncio.get_running_loop().time()
            await stream.close()
            async with asyncio.timeout(2):
                while not running.provider.cancelled:
                    await asyncio.sleep(0.001)
            assert running.provider.cancelled[0].at_s - left < 0.1
            (record,) = await running.sink.wait_for(1)
        assert record["outcome"] == "cancelled"
        assert record["usage_source"] == "estimated"
        assert record["output_tokens"] > 0
        assert record["input_tokens"] > 0
        assert record["cost_nano_usd"] > 0


async def test_models_are_listed_and_found() -> None:
    async with weir() as running:
        direct, through = clients(running)
        async with direct, through:
            ours = [model.id async for model in through.models.list()]
            theirs = [model.id async for model in direct.models.list()]
            assert ours == theirs
            assert (await through.models.retrieve(ours[0])).id == ours[0]
            with pytest.raises(openai.NotFoundError):
                await through.models.retrieve("nothing-like-it")


async def test_stored_responses_are_found_again_but_only_by_whom_they_belong_to() -> None:
    async with weir() as running:
        _, through = clients(running)
        async with through, AsyncOpenAI(base_url=running.url, api_key="sk-other", max_retries=0) as other:
            first = await through.responses.create(model="gpt-4o-mini", input="Tell me about weirs.")
            again = await through.responses.retrieve(first.id)
            assert again.output_text == first.output_text
            await through.responses.create(model="gpt-4o-mini", input="and?", previous_response_id=first.id)
            assert first.id
            with pytest.raises(openai.NotFoundError):
                await other.responses.retrieve(first.id + "x")
