"""Chat and text completions, as the official SDK sees them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from benchmarks.provider import Provider

Json = Any
TOOL: Json = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}


class Place(BaseModel):
    name: str
    tags: list[str]
    score: float


@pytest.fixture
async def client() -> AsyncIterator[openai.AsyncOpenAI]:
    async with (
        Provider() as provider,
        openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="sk-test", max_retries=0) as made,
    ):
        yield made


def user(text: Json) -> Json:
    return [{"role": "user", "content": text}]


async def test_chat_echoes_the_last_user_text(client: openai.AsyncOpenAI) -> None:
    said = await client.chat.completions.create(model="gpt-4o", messages=user("hello there"))
    assert said.choices[0].message.content == "You said: hello there"
    assert said.choices[0].finish_reason == "stop"
    assert said.usage is not None
    assert said.usage.total_tokens == said.usage.prompt_tokens + said.usage.completion_tokens > 0


async def test_vision_parts_are_taken(client: openai.AsyncOpenAI) -> None:
    parts = [
        {"type": "text", "text": "what is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
    ]
    said = await client.chat.completions.create(model="gpt-4o", messages=user(parts))
    assert said.choices[0].message.content == "You said: what is it?"


async def test_choices_and_logprobs_come_as_asked(client: openai.AsyncOpenAI) -> None:
    said = await client.chat.completions.create(model="gpt-4o", messages=user("hi"), n=2, logprobs=True, top_logprobs=2)
    assert [choice.message.content for choice in said.choices] == ["You said: hi", "You said: hi (2)"]
    content = said.choices[0].logprobs.content if said.choices[0].logprobs else None
    assert content and "".join(part.token for part in content) == "You said: hi"
    assert len(content[0].top_logprobs) == 2


async def test_a_stream_accumulates_to_the_answer(client: openai.AsyncOpenAI) -> None:
    async with client.chat.completions.stream(
        model="gpt-4o", messages=user("a few words"), n=2, stream_options={"include_usage": True}
    ) as stream:
        whole = await stream.get_final_completion()
    assert [choice.message.content for choice in whole.choices] == [
        "You said: a few words",
        "You said: a few words (2)",
    ]
    assert whole.usage is not None


async def test_parallel_tool_calls_are_streamed_in_fragments(client: openai.AsyncOpenAI) -> None:
    tools: Json = [{"type": "function", "function": {"name": "weather", "strict": True, "parameters": TOOL}}]
    fragments = 0
    async with client.chat.completions.stream(
        model="gpt-4o", messages=user("call them in parallel"), tools=tools
    ) as stream:
        async for event in stream:
            fragments += event.type == "tool_calls.function.arguments.delta"
        whole = await stream.get_final_completion()
    calls = whole.choices[0].message.tool_calls or []
    assert [json.loads(call.function.arguments) for call in calls] == [
        {"city": "call them in parallel", "days": 1},
        {"city": "call them in parallel (2)", "days": 1},
    ]
    assert len({call.id for call in calls}) == 2
    assert whole.choices[0].finish_reason == "tool_calls"
    assert fragments > 6


async def test_a_tool_choice_is_obeyed_and_a_tool_result_ends_the_loop(client: openai.AsyncOpenAI) -> None:
    tools: Json = [{"type": "function", "function": {"name": name, "parameters": TOOL}} for name in ("one", "two")]
    named: Json = {"type": "function", "function": {"name": "two"}}
    said = await client.chat.completions.create(model="gpt-4o", messages=user("hi"), tools=tools, tool_choice=named)
    calls = said.choices[0].message.tool_calls or []
    assert calls[0].type == "function" and calls[0].function.name == "two"
    told: Json = [
        *user("call"),
        said.choices[0].message,
        {"role": "tool", "tool_call_id": calls[0].id, "content": "21 C"},
    ]
    after = await client.chat.completions.create(model="gpt-4o", messages=told, tools=tools)
    assert after.choices[0].message.content == "The tool said: 21 C"


async def test_structured_output_fits_its_schema(client: openai.AsyncOpenAI) -> None:
    said = await client.chat.completions.parse(model="gpt-4o", messages=user("Bern"), response_format=Place)
    assert said.choices[0].message.parsed == Place(name="Bern", tags=["Bern"], score=1.0)


async def test_refusals_lengths_and_stops(client: openai.AsyncOpenAI) -> None:
    refused = await client.chat.completions.create(model="gpt-4o", messages=user("no [[sim refusal]]"))
    assert refused.choices[0].message.refusal and refused.choices[0].message.content is None
    short = await client.chat.completions.create(model="gpt-4o", messages=user("a long text"), max_completion_tokens=2)
    assert (short.choices[0].message.content, short.choices[0].finish_reason) == ("You said", "length")
    stopped = await client.chat.completions.create(model="gpt-4o", messages=user("one two"), stop=[" two"])
    assert stopped.choices[0].message.content == "You said: one"


async def test_completions_speak_both_ways(client: openai.AsyncOpenAI) -> None:
    said = await client.completions.create(model="gpt-3.5-turbo-instruct", prompt="Once")
    assert said.choices[0].text == "You said: Once"
    stream = await client.completions.create(model="gpt-3.5-turbo-instruct", prompt="Once", stream=True)
    assert "".join([part.choices[0].text async for part in stream]) == "You said: Once"
