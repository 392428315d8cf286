"""A mock provider that no one here wrote (aimock, from npm) behind Weir, called by the official SDKs."""

from __future__ import annotations

import subprocess
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anthropic
import openai
import orjson
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from pydantic import BaseModel

from tests.elsewhere import Elsewhere, Tap
from tests.node import Missing, install
from tests.pairs import opener, timeless

MODEL, CLAUDE = "gpt-4o", "claude-test"
TURNS: Any = [{"role": "user", "content": "Tell me about weirs."}]
CITIES: Any = [{"role": "user", "content": "Paris and Rome"}]
PARAMETERS: Any = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
FUNCTION: Any = {"name": "get_weather", "description": "The weather", "parameters": PARAMETERS, "strict": True}
CHAT_TOOLS: Any = [{"type": "function", "function": FUNCTION}]
Case = Callable[[AsyncOpenAI, AsyncAnthropic], Awaitable[Any]]
open_pair = opener(None)


class Weather(BaseModel):
    city: str
    degrees: int


@pytest.fixture(scope="module")
def mock() -> Iterator[str]:
    """The address of the running mock."""
    try:
        node, folder = install()
    except Missing as missing:
        pytest.skip(str(missing))
    script = folder / "node_modules" / "@copilotkit" / "aimock" / "dist" / "cli.js"
    process = subprocess.Popen(
        [node, script, "--port", "0", "--fixtures", folder / "fixtures.json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said = ""
    for said in process.stdout:
        if "listening on" in said:
            break
    try:
        assert "listening on" in said, said
        yield said.split()[-1]
    finally:
        process.kill()
        process.communicate()


async def chat(ai: AsyncOpenAI, _: AsyncAnthropic) -> Any:
    return (await ai.chat.completions.create(model=MODEL, messages=TURNS)).model_dump()


async def chat_streamed(ai: AsyncOpenAI, _: AsyncAnthropic) -> Any:
    stream = await ai.chat.completions.create(model=MODEL, messages=TURNS, stream=True)
    return [chunk.model_dump() async for chunk in stream]


async def chat_streamed_with_usage(ai: AsyncOpenAI, _: AsyncAnthropic) -> Any:
    stream = await ai.chat.completions.create(
        model=MODEL, messages=TURNS, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk.model_dump() async for chunk in stream]
    assert chunks[-1]["usage"]["total_tokens"] == 28
    return chunks


async def chat_tool_loop(ai: AsyncOpenAI, _: AsyncAnthropic) -> Any:
    async with ai.chat.completions.stream(model=MODEL, messages=CITIES, tools=CHAT_TOOLS) as stream:
        async for _event in stream:
            pass
        message = (await stream.get_final_completion()).choices[0].message
    calls = message.tool_calls or []
    assert [call.function.parsed_arguments for call in calls] == [{"city": "Paris"}, {"city": "Rome"}]
    results: Any = [{"role": "tool", "tool_call_id": call.id, "content": "21 degrees"} for call in calls]
    asked: Any = {"role": "assistant", "tool_calls": [call.to_dict(exclude_unset=True) for call in calls]}
    for call in asked["tool_calls"]:
        call["function"].pop("parsed_arguments", None)
    return (await ai.chat.completions.create(model=MODEL, messages=[*CITIES, asked, *results])).model_dump()


async def chat_structured(ai: AsyncOpenAI, _: AsyncAnthropic) -> Any:
    ask: Any = [{"role": "user", "content": "as JSON"}]
    got = await ai.chat.completions.parse(model=MODEL, messages=ask, response_format=Weather)
    assert got.choices[0].message.parsed == Weather(city="Paris", degrees=21)
    return got.choices[0].message.content


async def response(ai: AsyncOpenAI, _: AsyncAnthropic) -> Any:
    return (await ai.responses.create(model=MODEL, input="Tell me about weirs.")).model_dump()


async def response_streamed(ai: AsyncOpenAI, _: AsyncAnthropic) -> Any:
    stream = await ai.responses.create(model=MODEL, input="Tell me about weirs.", stream=True)
    return [event.model_dump() async for event in stream]


async def response_thinks(ai: AsyncOpenAI, _: AsyncAnthropic) -> Any:
    stream = await ai.responses.create(model=MODEL, input="think first", stream=True)
    return [event.type async for event in stream]


async def response_tools(ai: AsyncOpenAI, _: AsyncAnthropic) -> Any:
    tools: Any = [{"type": "function", **FUNCTION}]
    return (await ai.responses.create(model=MODEL, input="Paris and Rome", tools=tools)).model_dump()


async def embedded(ai: AsyncOpenAI, _: AsyncAnthropic) -> Any:
    got = await ai.embeddings.create(model="text-embedding-3-small", input="embed me", encoding_format="float")
    assert got.data[0].embedding == [0.1, -0.25, 0.5, 1.5]
    return got.model_dump()


async def message(_: AsyncOpenAI, claude: AsyncAnthropic) -> Any:
    return (await claude.messages.create(model=CLAUDE, max_tokens=90, messages=TURNS)).model_dump()


async def message_streamed(_: AsyncOpenAI, claude: AsyncAnthropic) -> Any:
    ask: Any = [{"role": "user", "content": "think first"}]
    async with claude.messages.stream(model=CLAUDE, max_tokens=90, messages=ask) as stream:
        events = [event.type async for event in stream]
        return events, (await stream.get_final_message()).model_dump()


async def message_tools(_: AsyncOpenAI, claude: AsyncAnthropic) -> Any:
    tools: Any = [{"name": "get_weather", "description": "The weather", "input_schema": PARAMETERS}]
    async with claude.messages.stream(model=CLAUDE, max_tokens=90, messages=CITIES, tools=tools) as stream:
        return (await stream.get_final_message()).model_dump()


async def limited(ai: AsyncOpenAI, claude: AsyncAnthropic) -> Any:
    ask: Any = [{"role": "user", "content": "too many"}]
    with pytest.raises(openai.RateLimitError) as ours:
        await ai.chat.completions.create(model=MODEL, messages=ask)
    with pytest.raises(anthropic.RateLimitError) as theirs:
        await claude.messages.create(model=CLAUDE, max_tokens=9, messages=ask)
    assert ours.value.response.headers["retry-after"] == "1"
    return ours.value.body, ours.value.code, theirs.value.body, theirs.value.response.headers["retry-after"]


async def failing(ai: AsyncOpenAI, _: AsyncAnthropic) -> Any:
    ask: Any = [{"role": "user", "content": "broken"}]
    with pytest.raises(openai.InternalServerError) as info:
        await ai.chat.completions.create(model=MODEL, messages=ask, stream=True)
    return info.value.status_code, info.value.body


async def unknown(ai: AsyncOpenAI, _: AsyncAnthropic) -> Any:
    with pytest.raises(openai.APIStatusError) as info:
        await ai.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "nothing like it"}])
    return info.value.status_code, info.value.body


async def moderated(ai: AsyncOpenAI, _: AsyncAnthropic) -> Any:
    return (await ai.moderations.create(input="a weir")).model_dump()


async def uploaded(ai: AsyncOpenAI, _: AsyncAnthropic) -> Any:
    data = bytes(range(256)) * 4000
    made = await ai.files.create(file=("a.bin", data), purpose="user_data")
    content = await (await ai.files.content(made.id)).aread()
    assert content == data
    return made.bytes, made.filename, (await ai.files.delete(made.id)).deleted


CASES: list[Case] = [
    chat, chat_streamed, chat_streamed_with_usage, chat_tool_loop, chat_structured, response, response_streamed,
    response_thinks, response_tools, embedded, message, message_streamed, message_tools, limited, failing, unknown,
    moderated, uploaded,
]  # fmt: skip


async def run(case: Case, root: str) -> Any:
    async with (
        AsyncOpenAI(base_url=root + "/v1", api_key="sk-test", max_retries=0) as ai,
        AsyncAnthropic(base_url=root, api_key="sk-test", max_retries=0) as claude,
    ):
        return timeless(await case(ai, claude))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_the_same_through_weir_as_directly(mock: str, case: Case) -> None:
    async with open_pair(provider=Elsewhere(mock)) as pair:
        assert await run(case, pair.running.root) == await run(case, mock)


BODIES: dict[str, Any] = {
    "/v1/chat/completions": {"model": MODEL, "messages": TURNS},
    "/v1/responses": {"model": MODEL, "input": "Tell me about weirs."},
    "/v1/messages": {"model": CLAUDE, "max_tokens": 90, "messages": TURNS},
}


@pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])
@pytest.mark.parametrize("path", BODIES)
async def test_both_sides_get_the_very_bytes_and_the_usage_is_recorded(mock: str, path: str, stream: bool) -> None:
    tap = Tap(mock)
    sent = orjson.dumps({**BODIES[path], "stream": stream}, option=orjson.OPT_INDENT_2)
    async with open_pair(provider=tap, upstream={"ask_usage": "never"}) as pair:
        got = await pair.through(path, sent)
        said = await tap.answer()
        assert bytes(tap.sent).endswith(b"\r\n\r\n" + sent)
        assert (got.status, got.body) == (200, said.body)
        assert got.header("x-request-id") == said.headers["x-request-id"]
        assert got.header("keep-alive") is None
        (record,) = await pair.sink.wait_for(1)
        assert record["complete"] is True
        if stream and "chat" in path:  # this mock gives usage to those who ask
            assert record["usage_source"] == "estimated"
        else:
            assert (record["usage_source"], record["output_tokens"]) == ("provider", 17)
