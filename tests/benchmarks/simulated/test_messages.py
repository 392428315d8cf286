"""Messages, as Anthropic's SDK sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest

from benchmarks.provider import Provider

Json = Any
TOOL: Json = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}


@pytest.fixture
async def claude() -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with (
        Provider() as provider,
        anthropic.AsyncAnthropic(base_url=provider.url, api_key="sk-test", max_retries=0) as made,
    ):
        yield made


def user(text: Json) -> Json:
    return [{"role": "user", "content": text}]


async def test_messages_speak_both_ways(claude: anthropic.AsyncAnthropic) -> None:
    said = await claude.messages.create(model="claude-sonnet-5-5", max_tokens=100, messages=user("bonjour"))
    assert said.content[0].type == "text" and said.content[0].text == "You said: bonjour"
    assert said.stop_reason == "end_turn" and said._request_id
    async with claude.messages.stream(model="claude-sonnet-5-5", max_tokens=100, messages=user("bonjour")) as stream:
        assert "".join([text async for text in stream.text_stream]) == "You said: bonjour"


async def test_messages_think_and_call_tools(claude: anthropic.AsyncAnthropic) -> None:
    async with claude.messages.stream(
        model="claude-sonnet-5-5",
        max_tokens=2000,
        messages=user("call it [[sim redacted cached=3 written=2]]"),
        thinking={"type": "enabled", "budget_tokens": 1024},
        tools=[{"name": "weather", "input_schema": TOOL}],
    ) as stream:
        async for _ in stream:
            pass
        whole = await stream.get_final_message()
    thinking, redacted, _, tool = whole.content
    assert thinking.type == "thinking" and thinking.signature
    assert redacted.type == "redacted_thinking"
    assert tool.type == "tool_use" and tool.input == {"city": "call it", "days": 1}
    assert whole.stop_reason == "tool_use"
    assert (whole.usage.cache_read_input_tokens, whole.usage.cache_creation_input_tokens) == (3, 2)


async def test_a_message_ends_where_it_is_told_to(claude: anthropic.AsyncAnthropic) -> None:
    said = await claude.messages.create(
        model="claude-sonnet-5-5", max_tokens=50, messages=user("one two"), stop_sequences=[" two"]
    )
    assert (said.stop_reason, said.stop_sequence) == ("stop_sequence", " two")
    refused = await claude.messages.create(model="claude-x", max_tokens=50, messages=user("no [[sim refusal]]"))
    assert refused.stop_reason == "refusal"
    counted = await claude.messages.count_tokens(model="claude-sonnet-5-5", messages=user("count me"))
    assert counted.input_tokens > 0


async def test_anthropic_errors_have_their_own_shape(claude: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.RateLimitError) as caught:
        await claude.messages.create(model="claude-x[[sim status=429]]", max_tokens=9, messages=user("x"))
    assert caught.value.body == {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": caught.value.body["error"]["message"]},  # type: ignore[index]
        "request_id": "req_simulated",
    }
