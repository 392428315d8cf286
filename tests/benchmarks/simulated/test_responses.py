"""Responses, as the official SDK sees them."""

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


async def test_responses_are_stored_and_can_be_fetched(client: openai.AsyncOpenAI) -> None:
    said = await client.responses.create(model="gpt-5", input="remember me")
    assert said.output_text == "You said: remember me"
    assert (await client.responses.retrieve(said.id)).output_text == said.output_text
    items = await client.responses.input_items.list(said.id)
    assert items.data[0].type == "message"
    following = await client.responses.create(model="gpt-5", input="and now?", previous_response_id=said.id)
    assert following.previous_response_id == said.id
    await client.responses.delete(said.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(said.id)


async def test_a_background_response_is_queued_and_can_be_cancelled(client: openai.AsyncOpenAI) -> None:
    said = await client.responses.create(model="gpt-5", input="later", background=True)
    assert said.status == "queued"
    assert (await client.responses.retrieve(said.id)).status == "completed"
    assert (await client.responses.cancel(said.id)).status == "cancelled"


async def test_a_response_streams_reasoning_and_text(client: openai.AsyncOpenAI) -> None:
    numbers: list[int] = []
    async with client.responses.stream(
        model="gpt-5", input="think", reasoning={"effort": "low"}, include=["reasoning.encrypted_content"]
    ) as stream:
        async for event in stream:
            numbers.append(event.sequence_number)
        whole = await stream.get_final_response()
    assert numbers == list(range(len(numbers)))
    assert whole.output_text == "You said: think"
    assert whole.output[0].type == "reasoning" and whole.output[0].encrypted_content
    assert whole.usage is not None and whole.usage.output_tokens_details.reasoning_tokens > 0


async def test_a_response_streams_tool_calls(client: openai.AsyncOpenAI) -> None:
    tools: Json = [{"type": "function", "name": "weather", "strict": True, "parameters": TOOL}]
    async with client.responses.stream(model="gpt-5", input="call in parallel", tools=tools) as stream:
        async for _ in stream:
            pass
        whole = await stream.get_final_response()
    calls = [item for item in whole.output if item.type == "function_call"]
    assert [json.loads(call.arguments)["city"] for call in calls] == ["call in parallel", "call in parallel (2)"]


async def test_a_response_may_be_refused_incomplete_or_parsed(client: openai.AsyncOpenAI) -> None:
    async with client.responses.stream(model="gpt-5", input="no [[sim refusal]]") as stream:
        kinds = {event.type async for event in stream}
    assert {"response.refusal.delta", "response.refusal.done"} <= kinds
    short = await client.responses.create(model="gpt-5", input="too long for this", max_output_tokens=2)
    assert short.status == "incomplete" and short.incomplete_details is not None
    assert short.incomplete_details.reason == "max_output_tokens"
    parsed = await client.responses.parse(model="gpt-5", input="Basel", text_format=Place)
    assert parsed.output_parsed is not None and parsed.output_parsed.name == "Basel"
