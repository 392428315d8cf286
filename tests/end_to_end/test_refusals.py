"""Refusals, everywhere: an error or an answer in the caller's dialect, at once or in mid-stream, quoting nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import openai
import orjson
import pytest

from proxy.live import Streams
from tests.asking import FORMS, Asking, Came, asking
from tests.pairs import STREAMING, SURFACES, body
from tests.probes import RULE, Probe, probing
from tests.streams import docs
from tests.worker import DEFAULT, weir

ASKED = {
    surface: body(surface).replace(b"say something", b"the canary, please") for surface in SURFACES
}  # a call that is refused
SAYS = "text='well then, the canary sings all day'"
"""Makes the provider say what is refused."""
TOOL = {"type": "object", "properties": {"q": {"const": "hear the canary sing"}}, "required": ["q"]}
ENDS = {"chat": "content_filter", "completions": "content_filter", "responses": "content_filter", "messages": "refusal"}


def streaming(raw: bytes) -> bytes:
    return raw[:-1] + b',"stream":true}'


def calling(surface: str) -> bytes:
    """A call that the provider answers with calls of tools that hold the word."""
    tools: dict[str, Any] = {
        "chat": {"messages": [{"role": "user", "content": "x"}], "tool_choice": "required",
                 "tools": [{"type": "function", "function": {"name": "f", "parameters": TOOL}}]},
        "responses": {"input": "x", "tool_choice": "required",
                      "tools": [{"type": "function", "name": "f", "parameters": TOOL}]},
        "messages": {"messages": [{"role": "user", "content": "x"}], "max_tokens": 99, "tool_choice": {"type": "any"},
                     "tools": [{"name": "f", "input_schema": TOOL}]},
    }  # fmt: skip
    return orjson.dumps({"model": "gpt-4o-mini", **tools[surface]})


def is_error(got: Came, surface: str) -> None:
    assert (got.status, got.headers["x-should-retry"]) == (400, "false")
    if surface == "messages":
        assert got.doc["error"] == {"type": "invalid_request_error", "message": RULE}
        assert got.doc["type"] == "error"
    else:
        assert got.doc["error"] == {"message": RULE, "type": "invalid_request_error", "param": None, "code": "rule_9"}


def is_answer(got: Came, surface: str, text: str = RULE) -> None:
    assert got.status == 200
    assert got.finish == ENDS[surface]
    assert got.text == text
    assert got.complete if got.streamed else True


async def is_recorded(weir: Asking) -> None:
    record = await weir.record()
    assert (record["outcome"], record["error_code"]) == ("refused", "rule_9")
    (found,) = record["findings"]
    assert (found["plugin"], found["action"], found["severity"]) == ("probe", "refuse", "high")
    assert "canary" not in str({name: value for name, value in record.items() if name != "audit"})
    assert "canary" not in str(record["audit"])
    assert weir.counted("weir_findings_total", plugin="probe", type="word", severity="high", action="refuse") == 1


# --- a call


@pytest.mark.parametrize(("surface", "stream"), FORMS)
async def test_a_refused_call_is_an_error_and_never_sent(surface: str, stream: bool) -> None:
    async with asking(probing(does="refuse")) as weir:
        got = await weir.ask(surface, raw=streaming(ASKED[surface]) if stream else ASKED[surface])
        is_error(got, surface)
        assert b"canary" not in got.raw
        assert not weir.provider.requests
        await is_recorded(weir)


@pytest.mark.parametrize(("surface", "stream"), FORMS)
async def test_a_refused_call_may_be_answered(surface: str, stream: bool) -> None:
    async with asking(probing(does="answer")) as weir:
        got = await weir.ask(surface, raw=streaming(ASKED[surface]) if stream else ASKED[surface])
        if surface == "embeddings":
            is_error(got, surface)
        else:
            is_answer(got, surface)
            assert got.streamed is stream
        assert b"canary" not in got.raw
        assert not weir.provider.requests
        await is_recorded(weir)


# --- an answer


@pytest.mark.parametrize("does", ["refuse", "answer"])
@pytest.mark.parametrize("surface", STREAMING)
async def test_a_refused_answer_is_an_error_or_an_answer(surface: str, does: str) -> None:
    async with asking(probing(does=does, side="answer")) as weir:
        got = await weir.ask(surface, x_sim=SAYS)
        (is_error if does == "refuse" else is_answer)(got, surface)
        assert b"canary" not in got.raw
        await is_recorded(weir)


@pytest.mark.parametrize("does", ["refuse", "answer"])
@pytest.mark.parametrize("surface", STREAMING)
async def test_a_stream_that_is_refused_has_a_proper_end_and_nothing_of_what_was_refused(
    surface: str, does: str
) -> None:
    async with asking(probing(does=does, side="answer")) as weir:
        got = await weir.ask(surface, True, x_sim=SAYS)
        is_answer(got, surface, "well then, the")
        assert b"canary" not in got.raw
        await is_recorded(weir)
        await weir.provider.until(lambda: not weir.provider.running)


@pytest.mark.parametrize("does", ["refuse", "answer"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("surface", ["chat", "responses", "messages"])
async def test_calls_of_tools_are_refused_as_texts_are(surface: str, stream: bool, does: str) -> None:
    async with asking(probing(does=does, side="answer")) as weir:
        raw = calling(surface)
        got = await weir.ask(surface, raw=streaming(raw) if stream else raw)
        assert "canary" not in (got.text if stream else got.raw.decode())  # (events repeat the call's tools)
        if stream:
            assert (got.status, got.finish, got.complete) == (200, ENDS[surface], True)
        else:
            (is_error if does == "refuse" else is_answer)(got, surface)
        await is_recorded(weir)


@pytest.mark.parametrize("surface", ["chat", "completions"])
async def test_of_several_answers_each_is_ended(surface: str) -> None:
    async with asking(probing(does="refuse", side="answer")) as weir:
        raw = body(surface, more=b'"n":3,', stream=True)
        got = await weir.ask(surface, raw=raw, x_sim=SAYS)
        ends = {
            choice["index"]: choice["finish_reason"]
            for doc in docs(got.raw)
            for choice in doc.get("choices", ())
            if choice.get("finish_reason")
        }
        assert ends == {0: "content_filter", 1: "content_filter", 2: "content_filter"}
        assert got.complete
        assert b"canary" not in got.raw


@pytest.mark.parametrize("does", ["refuse", "answer"])
@pytest.mark.parametrize("surface", STREAMING)
async def test_a_refusal_behind_an_early_answer(surface: str, does: str) -> None:
    quick = Streams(early_answer_s=0.02, heartbeat_s=0.02)
    guard = probing(does=does, side="answer")
    async with asking(guard, streams=quick) as weir:
        got = await weir.ask(surface, True, x_sim=f"{SAYS} delay=0.06")
        assert got.raw.startswith((b": keep-alive", b"event: ping"))
        is_answer(got, surface, "well then, the")
        assert b"canary" not in got.raw


# --- in the words of the official clients

Said = Callable[[str, bool], Awaitable[tuple[str, str]]]
"""What was said, and how it ended, for a user's text, streamed or not."""


def by_chat(client: openai.AsyncOpenAI) -> Said:
    async def ask(text: str, stream: bool) -> tuple[str, str]:
        turn: Any = [{"role": "user", "content": text}]
        if not stream:
            got = await client.chat.completions.create(model="gpt-4o-mini", messages=turn)
            return got.choices[0].message.content or "", got.choices[0].finish_reason
        async with client.chat.completions.stream(model="gpt-4o-mini", messages=turn) as events:
            async for _ in events:
                pass
            snapshot = events.current_completion_snapshot.choices[0]
        return snapshot.message.content or "", str(snapshot.finish_reason)

    return ask


def by_responses(client: openai.AsyncOpenAI) -> Said:
    async def ask(text: str, stream: bool) -> tuple[str, str]:
        if not stream:
            got = await client.responses.create(model="gpt-4o-mini", input=text)
        else:
            last: Any = None
            async for event in await client.responses.create(model="gpt-4o-mini", input=text, stream=True):
                last = event
            assert last.type == "response.incomplete"
            got = last.response
        assert got.status == "incomplete"
        assert got.incomplete_details is not None
        return got.output_text, str(got.incomplete_details.reason)

    return ask


def by_messages(client: anthropic.AsyncAnthropic) -> Said:
    async def ask(text: str, stream: bool) -> tuple[str, str]:
        turn: Any = [{"role": "user", "content": text}]
        if not stream:
            got = await client.messages.create(model="claude-x", max_tokens=99, messages=turn)
        else:
            async with client.messages.stream(model="claude-x", max_tokens=99, messages=turn) as events:
                async for _ in events:
                    pass
                got = await events.get_final_message()
        return "".join(block.text for block in got.content if block.type == "text"), str(got.stop_reason)

    return ask


async def by_clients(test: Callable[[Said, str], Awaitable[None]], guard: Any) -> None:
    async with weir(*DEFAULT, guard) as running:
        async with openai.AsyncOpenAI(base_url=running.url, api_key="sk-t", max_retries=0) as client:
            await test(by_chat(client), "content_filter")
            await test(by_responses(client), "content_filter")
        async with anthropic.AsyncAnthropic(base_url=running.root, api_key="sk-t", max_retries=0) as other:
            await test(by_messages(other), "refusal")


@pytest.mark.parametrize("stream", [False, True])
async def test_the_clients_read_an_error(stream: bool) -> None:
    async def test(ask: Said, end: str) -> None:
        with pytest.raises((openai.BadRequestError, anthropic.BadRequestError)) as raised:
            await ask("the canary", stream)
        assert RULE in str(raised.value)
        if isinstance(raised.value, openai.BadRequestError):
            assert raised.value.code == "rule_9"

    await by_clients(test, probing(does="refuse"))


@pytest.mark.parametrize("stream", [False, True])
async def test_the_clients_read_an_answer(stream: bool) -> None:
    async def test(ask: Said, end: str) -> None:
        assert await ask("the canary", stream) == (RULE, end)

    await by_clients(test, probing(does="answer"))


async def test_the_clients_read_a_stream_that_was_refused_half_way() -> None:
    async def test(ask: Said, end: str) -> None:
        said, why = await ask("x [[sim text='well then, the canary sings']]", True)
        assert (said, why) == ("well then, the", end)

    await by_clients(test, probing(does="refuse", side="answer"))


# --- in shadow


@pytest.mark.parametrize("side", ["request", "answer"])
@pytest.mark.parametrize("stream", [False, True])
async def test_in_shadow_nothing_is_refused_and_everything_is_told(side: str, stream: bool) -> None:
    async with asking(probing(does="refuse", side=side, envelope={"mode": "shadow"})) as weir:
        raw = streaming(ASKED["chat"]) if stream else ASKED["chat"]
        got = await weir.ask(raw=raw, x_sim=SAYS)
        assert "canary" in got.text
        record = await weir.record()
        assert record["outcome"] == "ok"
        (found,) = record["findings"]
        assert (found["action"], found["recommended"]) == ("would refuse", "review")
        entry = record["audit"]["metadata"]["findings"]
        assert entry == [["probe", "word", "would refuse", "high", 0.9, {"WORD": 1}]]
        assert weir.counted("weir_findings_total", action="would refuse") == 1


async def test_many_refusals_at_once_keep_to_their_own_calls() -> None:
    async with asking(probing(does="refuse")) as weir:

        async def one(number: int) -> None:
            refused = bool(number % 2)
            got = await weir.ask(raw=ASKED["chat"] if refused else None)
            assert got.status == (400 if refused else 200)

        await asyncio.gather(*(one(number) for number in range(60)))
        probe: Probe = weir.plugin("probe")
        await weir.running.sink.wait_for(60)
        assert probe.finished == 60
