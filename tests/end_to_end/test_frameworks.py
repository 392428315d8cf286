"""Agent frameworks: the same small program gets the same from the provider itself and through Weir."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import instructor
import openai
import pytest
from agents import Agent as OpenAIAgent
from agents import OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool
from agents import RunConfig as OpenAIRunConfig
from anthropic import AsyncAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool as langchain_tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from openai import AsyncOpenAI
from pydantic import BaseModel, SecretStr
from pydantic_ai import Agent, ModelHTTPError
from pydantic_ai.messages import ModelRequest, ModelResponse
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.openai import OpenAIResponsesModel as PydanticResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from tests.pairs import timeless
from tests.worker import Running, weir

MODEL = "gpt-4o-mini"
CLAUDE = "claude-test"
ASK = "Tell me about weirs."
CALL = "[[sim tools=2]]call the tool for Paris and Rome"
REFUSED = "[[sim status=429 retry_after=2]]"
Program = Callable[[str, Any], Awaitable[Any]]
"""Gets the address, and the HTTP client to use (frameworks leave the closing of their own to chance)."""


class Weather(BaseModel):
    """How it is somewhere."""

    city: str
    degrees: int


def speaks_openai(root: str, http: Any) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=root + "/v1", api_key="sk-test", max_retries=0, http_client=http)


def speaks_anthropic(root: str, http: Any) -> AsyncAnthropic:
    return AsyncAnthropic(base_url=root, api_key="sk-test", max_retries=0, http_client=http)


# --- langchain-openai


@langchain_tool
def get_weather(city: str) -> str:
    """The weather in a city"""
    return f"{city}: 21 degrees"


def _langchain(root: str, http: Any, **more: Any) -> ChatOpenAI:
    key = SecretStr("sk-test")
    return ChatOpenAI(model=MODEL, base_url=root + "/v1", api_key=key, max_retries=0, http_async_client=http, **more)


async def langchain_plain(root: str, http: Any) -> Any:
    return (await _langchain(root, http).ainvoke(ASK)).model_dump()


async def langchain_streamed(root: str, http: Any) -> Any:
    return [chunk.model_dump() async for chunk in _langchain(root, http, stream_usage=True).astream(ASK)]


async def langchain_streamed_without_usage(root: str, http: Any) -> Any:
    return [chunk.model_dump() async for chunk in _langchain(root, http, stream_usage=False).astream(ASK)]


async def langchain_responses(root: str, http: Any) -> Any:
    model = _langchain(root, http, use_responses_api=True)
    return (await model.ainvoke(ASK)).content, [chunk.content async for chunk in model.astream(ASK)]


async def langchain_tool_loop(root: str, http: Any) -> Any:
    model = _langchain(root, http).bind_tools([get_weather])
    turns: list[Any] = [HumanMessage(CALL)]
    answer = await model.ainvoke(turns)
    assert len(answer.tool_calls) == 2
    turns.append(answer)
    turns += [ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"]) for call in answer.tool_calls]
    return answer.model_dump(), (await model.ainvoke(turns)).model_dump()


async def langchain_streamed_tools(root: str, http: Any) -> Any:
    whole: Any = None
    async for chunk in _langchain(root, http).bind_tools([get_weather]).astream(CALL):
        whole = chunk if whole is None else whole + chunk
    return whole.tool_calls, whole.usage_metadata


async def langchain_structured(root: str, http: Any) -> Any:
    got = await _langchain(root, http).with_structured_output(Weather).ainvoke(ASK)
    assert isinstance(got, Weather)
    return got


async def langchain_embeddings(root: str, http: Any) -> Any:
    made = OpenAIEmbeddings(
        model="text-embedding-3-small",
        base_url=root + "/v1",
        api_key=SecretStr("sk-test"),
        max_retries=0,
        http_async_client=http,
        check_embedding_ctx_length=False,  # it would fetch a table of tokens
    )
    return await made.aembed_documents(["one", "two"])


async def langchain_refused(root: str, http: Any) -> Any:
    with pytest.raises(openai.RateLimitError) as info:
        await _langchain(root, http).ainvoke(REFUSED)
    return info.value.body, info.value.response.headers["retry-after"]


# --- openai-agents


@function_tool
def weather_of(city: str) -> str:
    """The weather in a city"""
    return f"{city}: 21 degrees"


def _openai_agent(root: str, http: Any, surface: str) -> OpenAIAgent[None]:
    client = speaks_openai(root, http)
    model: Any = OpenAIChatCompletionsModel(MODEL, client)
    if surface == "responses":
        model = OpenAIResponsesModel(MODEL, client)
    return OpenAIAgent(name="Weather", instructions="Be brief.", model=model, tools=[weather_of])


QUIET = OpenAIRunConfig(tracing_disabled=True)


async def _agents_loop(root: str, http: Any, surface: str) -> Any:
    agent = _openai_agent(root, http, surface)
    whole = await Runner.run(agent, CALL, run_config=QUIET, max_turns=4)
    streamed = Runner.run_streamed(agent, CALL, run_config=QUIET, max_turns=4)
    events = [event.type async for event in streamed.stream_events()]
    assert "21 degrees" in whole.final_output
    return whole.final_output, whole.to_input_list(), events, streamed.final_output, streamed.to_input_list()


async def agents_loop_on_chat(root: str, http: Any) -> Any:
    return await _agents_loop(root, http, "chat")


async def agents_loop_on_responses(root: str, http: Any) -> Any:
    return await _agents_loop(root, http, "responses")


async def agents_structured(root: str, http: Any) -> Any:
    agent = OpenAIAgent(
        name="Weather", model=OpenAIResponsesModel(MODEL, speaks_openai(root, http)), output_type=Weather
    )
    got = (await Runner.run(agent, ASK, run_config=QUIET)).final_output
    assert isinstance(got, Weather)
    return got


# --- pydantic-ai


def _pydantic(root: str, http: Any, surface: str) -> Model:
    if surface == "messages":
        return AnthropicModel(CLAUDE, provider=AnthropicProvider(anthropic_client=speaks_anthropic(root, http)))
    provider = OpenAIProvider(openai_client=speaks_openai(root, http))
    kind = PydanticResponsesModel if surface == "responses" else OpenAIChatModel
    return kind(MODEL, provider=provider)


def _said(turns: list[ModelRequest | ModelResponse]) -> list[Any]:
    """The parts of a conversation, without ids and times."""
    return [
        (part.part_kind, getattr(part, "content", None), getattr(part, "args", None))
        for turn in turns
        for part in turn.parts
    ]


async def _pydantic_ai(root: str, http: Any, surface: str) -> Any:
    model = _pydantic(root, http, surface)
    agent = Agent(model, instructions="Be brief.")

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """The weather in a city"""
        return f"{city}: 21 degrees"

    plain = await agent.run(ASK)
    looped = await agent.run(CALL)
    assert "21 degrees" in looped.output
    async with agent.run_stream(ASK) as streaming:
        pieces = [piece async for piece in streaming.stream_text(delta=True, debounce_by=None)]
    structured = await Agent(model, output_type=Weather).run("[[sim tools=1]]" + ASK)
    assert isinstance(structured.output, Weather)
    with pytest.raises(ModelHTTPError) as info:
        await agent.run(REFUSED)
    return (
        plain.output, _said(looped.all_messages()), looped.usage, pieces, streaming.usage, structured.output,
        info.value.status_code, info.value.body,
    )  # fmt: skip


async def pydantic_ai_on_chat(root: str, http: Any) -> Any:
    return await _pydantic_ai(root, http, "chat")


async def pydantic_ai_on_responses(root: str, http: Any) -> Any:
    return await _pydantic_ai(root, http, "responses")


async def pydantic_ai_on_messages(root: str, http: Any) -> Any:
    return await _pydantic_ai(root, http, "messages")


# --- instructor


async def instructor_on_openai(root: str, http: Any) -> Any:
    client = instructor.from_openai(speaks_openai(root, http), mode=instructor.Mode.TOOLS)
    turns: Any = [{"role": "user", "content": ASK}]
    found = await client.chat.completions.create(model=MODEL, response_model=Weather, messages=turns)
    assert isinstance(found, Weather)
    partial = [
        each.model_dump()
        async for each in client.chat.completions.create_partial(model=MODEL, response_model=Weather, messages=turns)
    ]
    return found.model_dump(), partial


async def instructor_on_anthropic(root: str, http: Any) -> Any:
    client = instructor.from_anthropic(speaks_anthropic(root, http), mode=instructor.Mode.TOOLS)
    turns: Any = [{"role": "user", "content": ASK}]
    found = await client.chat.completions.create(model=CLAUDE, max_tokens=200, response_model=Weather, messages=turns)
    assert isinstance(found, Weather)
    return found.model_dump()


PROGRAMS: list[Program] = [
    langchain_plain, langchain_streamed, langchain_streamed_without_usage, langchain_responses, langchain_tool_loop,
    langchain_streamed_tools, langchain_structured, langchain_embeddings, langchain_refused, agents_loop_on_chat,
    agents_loop_on_responses, agents_structured, pydantic_ai_on_chat, pydantic_ai_on_responses,
    pydantic_ai_on_messages, instructor_on_openai, instructor_on_anthropic,
]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
async def test_the_same_through_weir_as_directly(program: Program) -> None:
    async with weir() as running, openai.DefaultAsyncHttpxClient() as http:
        direct = await program(running.provider.url, http)
        asked = _asked(running)
        running.provider.requests.clear()
        through = await program(running.root, http)
        assert timeless(through, "tool_call_id", "response_id") == timeless(direct, "tool_call_id", "response_id")
        assert _asked(running) == asked
        records = await running.sink.wait_for(len(asked))
        assert {record["outcome"] for record in records} <= {"ok", "provider_error"}
        assert all(record["usage_source"] == "provider" for record in records if record["outcome"] == "ok")


def _asked(running: Running) -> list[str]:
    """What reached the provider, in order."""
    return [f"{received.method} {received.target}" for received in running.provider.requests]
