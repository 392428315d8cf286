"""A real model server that no one here wrote, llama.cpp's with a small real model, behind Weir."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from benchmarks import llama
from tests.elsewhere import Elsewhere, Tap
from tests.pairs import JSON, Pair, opener
from tests.raw import post
from tests.streams import docs

MODEL = "gemma-3-270m"
QUESTION = "The capital of France is"
FIXED: dict[str, Any] = {"model": MODEL, "temperature": 0, "seed": 7, "cache_prompt": False}
TURNS = [{"role": "user", "content": QUESTION}]
CALLS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {**FIXED, "max_tokens": 16, "messages": TURNS},
    "/v1/completions": {**FIXED, "max_tokens": 16, "prompt": QUESTION},
    "/v1/responses": {**FIXED, "max_output_tokens": 16, "input": QUESTION},
    "/v1/messages": {**FIXED, "max_tokens": 16, "messages": TURNS},
}
open_pair = opener(None)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of the running server."""
    try:
        process = llama.start(0)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"the llama.cpp server and its model are not to be had: {error}")
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    try:
        if not address:
            pytest.skip("the llama.cpp server does not start on this machine")
        yield address
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])
@pytest.mark.parametrize("path", CALLS)
async def test_both_sides_get_the_very_bytes_and_the_usage_is_recorded(server: str, path: str, stream: bool) -> None:
    sent = orjson.dumps({**CALLS[path], "stream": stream}, option=orjson.OPT_INDENT_2)
    tap = Tap(server)
    async with open_pair(provider=tap, upstream={"ask_usage": "never"}) as pair:
        got = await pair.through(path, sent)
        said = await tap.answer()
        assert bytes(tap.sent).endswith(b"\r\n\r\n" + sent)
        assert got.status == said.status == 200
        assert got.body == said.body
        assert got.header("content-type") == said.headers["content-type"]
        (record,) = await pair.sink.wait_for(1)
        assert record["outcome"] == "ok"
        assert record["complete"] is True
        assert record["model"] == MODEL
        assert record["usage_source"] == "provider"
        assert record["input_tokens"] > 0
        assert 0 < record["output_tokens"] <= 40


async def test_the_usage_of_a_stream_is_asked_for_and_kept_from_who_did_not_ask(server: str) -> None:
    tap = Tap(server)
    async with open_pair(provider=tap) as pair:
        got = await pair.through(
            "/v1/chat/completions", orjson.dumps({**CALLS["/v1/chat/completions"], "stream": True})
        )
        said = docs((await tap.answer()).body)
        assert docs(got.body) == [event for event in said if event["choices"]]
        (usage,) = (event["usage"] for event in said if not event["choices"])
        (record,) = await pair.sink.wait_for(1)
        assert record["usage_source"] == "provider"
        assert record["input_tokens"] == usage["prompt_tokens"]
        assert record["output_tokens"] == usage["completion_tokens"] == 16


async def test_the_official_clients_read_the_same_through_weir_as_directly(server: str) -> None:
    async with open_pair(provider=Elsewhere(server)) as pair:
        directly = await _texts(server)
        assert await _texts(pair.running.root) == directly
        assert all(len(text) > 3 for text in directly.values())


async def _texts(root: str) -> dict[str, str]:
    extra: Any = {"seed": 7, "cache_prompt": False, "temperature": 0}
    turns: Any = TURNS
    found = {}
    async with (
        AsyncOpenAI(base_url=root + "/v1", api_key="none", max_retries=0) as openai,
        AsyncAnthropic(base_url=root, api_key="none", max_retries=0) as anthropic,
    ):
        whole = await openai.chat.completions.create(model=MODEL, messages=turns, max_tokens=8, extra_body=extra)
        found["chat"] = whole.choices[0].message.content or ""
        chunks = await openai.chat.completions.create(
            model=MODEL, messages=turns, max_tokens=8, extra_body=extra, stream=True
        )
        found["chat stream"] = "".join([part.choices[0].delta.content or "" async for part in chunks])
        response = await openai.responses.create(model=MODEL, input=QUESTION, max_output_tokens=8, extra_body=extra)
        found["response"] = response.output_text
        completion = await openai.completions.create(model=MODEL, prompt=QUESTION, max_tokens=8, extra_body=extra)
        found["completion"] = completion.choices[0].text
        message = await anthropic.messages.create(model=MODEL, max_tokens=8, messages=turns, extra_body=extra)
        found["message"] = "".join(block.text for block in message.content if block.type == "text")
        async with anthropic.messages.stream(model=MODEL, max_tokens=8, messages=turns, extra_body=extra) as events:
            found["message stream"] = await events.get_final_text()
        counted = await anthropic.messages.count_tokens(model=MODEL, messages=turns)
        found["counted"] = f"{counted.input_tokens} tokens"
        found["models"] = " ".join([model.id async for model in openai.models.list()])
    return found


async def test_a_caller_that_leaves_ends_the_call_to_the_server_and_is_still_metered(server: str) -> None:
    body = {**CALLS["/v1/completions"], "max_tokens": 4000, "ignore_eos": True, "stream": True}
    headers = [f"{name}: {value}".encode() for name, value in JSON]
    tap = Tap(server)
    async with open_pair(provider=tap) as pair:
        reader, writer = await asyncio.open_connection("127.0.0.1", pair.running.port)
        writer.write(post(orjson.dumps(body), *headers, path=b"/v1/completions"))
        for _ in range(6):
            await reader.readuntil(b"\n\n")
        tap.hung_up_s.clear()
        left_s = asyncio.get_running_loop().time()
        writer.close()
        async with asyncio.timeout(5):
            (record,) = await pair.sink.wait_for(1)
            while not tap.hung_up_s:
                await asyncio.sleep(0.005)
        assert tap.hung_up_s[0] - left_s < 0.1
        assert record["outcome"] == "cancelled"
        assert record["usage_source"] == "estimated"
        assert record["output_tokens"] >= 3
        await _answers(pair)


async def test_connections_that_the_server_gives_up_after_a_stream_cost_no_call(server: str) -> None:
    async with open_pair(provider=Elsewhere(server)) as pair:
        for number in range(6):
            body = {**CALLS["/v1/completions"], "max_tokens": 2, "stream": number % 2 == 0}
            got = await pair.through("/v1/completions", orjson.dumps(body))
            assert got.status == 200
            assert not got.cut


async def test_what_the_server_refuses_comes_as_it_says_it(server: str) -> None:
    async with open_pair(provider=Elsewhere(server)) as pair:
        for path, body in (
            ("/v1/embeddings", {"model": MODEL, "input": "x"}),
            ("/v1/chat/completions", {"model": MODEL, "messages": [{"role": "user"}]}),
            ("/v1/nothing", {}),
        ):
            direct, through = await pair.direct(path, orjson.dumps(body)), await pair.through(path, orjson.dumps(body))
            assert (through.status, through.body) == (direct.status, direct.body)
            assert through.status >= 400


async def _answers(pair: Pair) -> None:
    assert (await pair.through("/v1/completions", orjson.dumps(CALLS["/v1/completions"]))).status == 200
