"""The simulated provider: convincing to the official SDKs, foreseeable, and broken exactly as asked."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import os
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import openai
import pytest

from benchmarks.provider import Provider
from benchmarks.simulated.schema import instance
from benchmarks.simulated.wish import understand
from tests.certificates import certificates

Json = Any
ROOT = Path(__file__).parents[2]


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with Provider() as made:
        yield made


@pytest.fixture
async def client(provider: Provider) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="sk-test", max_retries=0) as made:
        yield made


@pytest.fixture
async def claude(provider: Provider) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=provider.url, api_key="sk-test", max_retries=0) as made:
        yield made


def user(text: Json) -> Json:
    return [{"role": "user", "content": text}]


def chat_body(text: str, **more: Json) -> bytes:
    return json.dumps({"model": "gpt-4o", "messages": user(text), **more}).encode()


async def raw(provider: Provider, body: bytes, path: str = "/v1/chat/completions", more: str = "") -> bytes:
    """Everything that comes back until the provider closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    writer.write(head.encode() + body)
    try:
        return await reader.read()
    finally:
        writer.close()


async def test_embeddings_are_unit_vectors_in_both_encodings(client: openai.AsyncOpenAI) -> None:
    packed = await client.embeddings.create(model="text-embedding-3-small", input=["a", "b"], dimensions=8)
    plain = await client.embeddings.create(
        model="text-embedding-3-small", input=["a", "b"], dimensions=8, encoding_format="float"
    )
    assert [row.embedding for row in packed.data] == [pytest.approx(row.embedding) for row in plain.data]
    assert sum(value**2 for value in plain.data[0].embedding) == pytest.approx(1)
    assert plain.data[0].embedding != plain.data[1].embedding
    tokens = await client.embeddings.create(model="text-embedding-3-large", input=[[1, 2, 3]])
    assert len(tokens.data[0].embedding) == 3072 and tokens.usage.prompt_tokens == 3


async def test_models_have_the_shape_of_who_asks(client: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic) -> None:
    assert "gpt-4o" in [model.id async for model in client.models.list()]
    assert (await client.models.retrieve("gpt-4o")).object == "model"
    found = await claude.models.list()
    assert found.data[0].type == "model" and found.data[0].display_name
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("nothing")


async def test_files_and_audio_keep_their_bytes(client: openai.AsyncOpenAI) -> None:
    data = os.urandom(70_000)
    kept = await client.files.create(file=("notes.bin", data), purpose="user_data")
    assert (kept.bytes, kept.filename) == (len(data), "notes.bin")
    assert (await client.files.content(kept.id)).content == data
    assert (await client.files.delete(kept.id)).deleted
    spoken = await client.audio.speech.create(model="tts-1", voice="alloy", input="hello")
    assert len(spoken.content) == 20_000
    heard = await client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"RIFF"))
    assert heard.text == "You sent 4 bytes called a.wav."


async def test_a_websocket_echoes(provider: Provider) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{provider.url}/v1/realtime") as socket:
        for size in (0, 5, 125, 126, 65_535, 65_536, 300_000):
            await socket.send_bytes(b"x" * size)
            assert await socket.receive_bytes() == b"x" * size
        await socket.send_str("héllo")
        assert await socket.receive_str() == "héllo"


async def test_a_realtime_session_says_hello_first(provider: Provider) -> None:
    url = f"{provider.url}/v1/realtime?model=gpt-realtime"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        assert (await socket.receive_json())["type"] == "session.created"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (502, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
async def test_errors_are_the_sdks_own(
    client: openai.AsyncOpenAI, status: int, kind: type[openai.APIStatusError]
) -> None:
    with pytest.raises(kind) as caught:
        await client.chat.completions.create(
            model="gpt-4o", messages=user("x"), extra_headers={"x-sim": f"status={status} retry_after=2"}
        )
    assert caught.value.response.headers["retry-after"] == "2"
    assert caught.value.status_code == status


async def test_a_wrong_key_and_a_missing_model_are_refused() -> None:
    async with Provider(key="sk-right") as provider:
        async with openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="sk-wrong", max_retries=0) as wrong:
            with pytest.raises(openai.AuthenticationError):
                await wrong.models.list()
        async with openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="sk-right", max_retries=0) as right:
            with pytest.raises(openai.NotFoundError, match="does not exist"):
                await right.chat.completions.create(model="no-such-model", messages=user("x"))


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"null", b'{"model": "x"}', b'{"messages": [1, {}], "tools": 3}', b"\xff"]
)
async def test_bad_bodies_get_a_400(provider: Provider, body: bytes) -> None:
    assert (await raw(provider, body)).startswith(b"HTTP/1.1 400 ")


async def test_a_failure_can_pass_after_some_times(provider: Provider) -> None:
    body = chat_body("eventually [[sim status=500 times=2]]")
    answers = [await raw(provider, body) for _ in range(3)]
    assert [answer.split(b" ")[1] for answer in answers] == [b"500", b"500", b"200"]


async def test_stream_options_can_be_rejected(provider: Provider) -> None:
    body = chat_body("hi", stream=True, stream_options={"include_usage": True})
    provider.rejects_stream_options = True
    answer = await raw(provider, body)
    assert b"400 Bad Request" in answer and b"stream_options" in answer
    assert (await raw(provider, chat_body("hi", stream=True))).startswith(b"HTTP/1.1 200")


async def test_the_same_request_gets_the_same_answer(provider: Provider) -> None:
    body = chat_body("again", stream=True)
    first, second = await raw(provider, body), await raw(provider, body)
    assert first.partition(b"\r\n\r\n")[2] == second.partition(b"\r\n\r\n")[2]


async def test_usage_comes_in_a_stream_only_when_asked(provider: Provider) -> None:
    assert b'"usage"' not in await raw(provider, chat_body("hi", stream=True))
    asked = await raw(provider, chat_body("hi", stream=True, stream_options={"include_usage": True}))
    assert asked.count(b'"usage":null') == asked.count(b"data: {") - 1
    assert b'"choices":[],"usage":{"prompt_tokens"' in asked


@pytest.mark.parametrize(("what", "sign"), [("1", b"\x00\xff"), ("status", b"2OO"), ("chunk", b"ZZ"), ("http09", b"{")])
async def test_garbage_comes_raw(provider: Provider, what: str, sign: bytes) -> None:
    assert sign in await raw(provider, chat_body(f"x [[sim garbage={what}]]"))


async def test_a_stream_is_cut_after_the_events_asked_for(provider: Provider) -> None:
    answer = await raw(provider, chat_body("one two three four [[sim cut=3]]", stream=True))
    assert answer.count(b"data: ") == 3
    assert not answer.endswith(b"0\r\n\r\n") and b"[DONE]" not in answer


async def test_a_json_answer_can_be_cut_in_its_body(provider: Provider) -> None:
    head, _, body = (await raw(provider, chat_body("x [[sim cut=1]]"))).partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(body) not in head and body


async def test_an_error_event_ends_a_stream(provider: Provider) -> None:
    answer = await raw(provider, chat_body("a b c d [[sim error=2]]", stream=True))
    assert answer.count(b"data: ") == 3 and b'data: {"error":' in answer
    assert answer.endswith(b"0\r\n\r\n") and b"[DONE]" not in answer


async def test_the_last_event_can_be_missing(provider: Provider) -> None:
    assert b"[DONE]" not in await raw(provider, chat_body("x [[sim no_done]]", stream=True))
    ended = await raw(
        provider, json.dumps({"model": "m", "input": "x [[sim no_done]]", "stream": True}).encode(), "/v1/responses"
    )
    assert b"response.output_item.done" in ended and b"response.completed" not in ended


async def test_chunks_sizes_and_texts_are_as_asked(provider: Provider) -> None:
    assert (await raw(provider, chat_body("x [[sim chunks=50]]", stream=True))).count(b'"content":') == 51
    assert b'"content":"Quite so, sir"' in await raw(provider, chat_body('x [[sim text="Quite so, sir"]]'))
    large = await raw(provider, chat_body("x [[sim size=3000000]]", stream=True))
    assert large.count(b"data: ") == 3003


async def test_bytes_can_be_split_commented_and_ended_otherwise(provider: Provider) -> None:
    answer = await raw(provider, chat_body("héé [[sim split=3 crlf comments]]", stream=True))
    assert answer.count(b"\r\n3\r\n") > 100
    joined = b"".join(answer.partition(b"\r\n\r\n")[2].split(b"\r\n3\r\n"))
    assert joined


async def test_answers_can_be_compressed_chunked_and_have_huge_headers(provider: Provider) -> None:
    head, _, body = (await raw(provider, chat_body("x [[sim gzip headers=9000]]"))).partition(b"\r\n\r\n")
    assert b"content-encoding: gzip" in head and len(head) > 9000
    assert json.loads(gzip.decompress(body))["object"] == "chat.completion"
    assert b"transfer-encoding: chunked" in await raw(provider, chat_body("x [[sim chunked]]"))


async def test_delays_are_kept(provider: Provider) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    await raw(provider, chat_body("x [[sim delay=0.05]]"))
    await raw(provider, chat_body("x [[sim first=0.05 chunks=3 interval=0.01]]", stream=True))
    assert loop.time() - start > 0.12


async def test_who_leaves_is_noticed_at_once(provider: Provider) -> None:
    loop = asyncio.get_running_loop()
    for wish in ("hang", "interval=5", "stall=2"):
        body = chat_body(f"a b c [[sim {wish}]]", stream=True)
        _, writer = await asyncio.open_connection("127.0.0.1", provider.port)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await provider.until(lambda: provider.running == 1)
        left = loop.time()
        writer.close()
        await provider.until(lambda: provider.running == 0)
        assert provider.cancelled[-1].at_s - left < 0.1
    assert len(provider.cancelled) == 3
    assert provider.stats()["running"] == 0


async def test_a_whole_answer_is_not_a_cancelled_one(provider: Provider) -> None:
    for wish in ("delay=0.001", "cut=2", "close", "garbage"):
        await raw(provider, chat_body(f"x [[sim {wish}]]", stream=True))
    assert not provider.cancelled


async def test_requests_are_kept_byte_for_byte(provider: Provider) -> None:
    body = b'{ "model":"gpt-4o" ,"messages":[{"role":"user","content":"\\u0041"}]}'
    await raw(provider, body, "/v1/chat/../chat/completions?a=%2e&b", "X-Odd:  Value \r\n")
    heard = provider.requests[-1]
    assert (heard.method, heard.target, heard.body) == ("POST", "/v1/chat/../chat/completions?a=%2e&b", body)
    assert (b"X-Odd", b"Value") in heard.headers


async def test_chunked_bodies_and_pipelined_requests_are_read(provider: Provider) -> None:
    body = chat_body("in pieces")
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    head = b"POST /v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
    writer.write(head)
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    for start in range(0, len(body), 10):
        piece = body[start : start + 10]
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
    writer.write(b"0\r\n\r\nGET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert (await reader.read()).count(b"HTTP/1.1 200 OK") == 2
    assert provider.requests[0].body == body
    writer.close()


async def test_what_is_kept_is_bounded() -> None:
    async with Provider(keep=2) as provider:
        for number in range(4):
            await raw(provider, chat_body(str(number)))
        assert [heard.json["messages"][0]["content"] for heard in provider.requests] == ["2", "3"]


async def test_statistics_are_served(provider: Provider) -> None:
    await raw(provider, chat_body("x"))
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{provider.url}/v1/__requests") as answer:
            heard = (await answer.json())["requests"]
        async with session.get(f"{provider.url}/v1/__stats") as answer:
            assert (await answer.json())["connected"] == 2
    assert base64.b64decode(heard[0]["body_base64"]) == chat_body("x")


async def test_azure_paths_are_understood(provider: Provider) -> None:
    body = json.dumps({"messages": user("hi")}).encode()
    answer = await raw(provider, body, "/openai/deployments/my-gpt/chat/completions?api-version=2025-01-01")
    assert b'"model":"my-gpt"' in answer


async def test_tls_is_served(tmp_path: Path) -> None:
    made = certificates(tmp_path)
    async with Provider(tls=made.server_context(ask_client=True)) as provider, aiohttp.ClientSession() as session:
        async with session.get(f"{provider.url}/v1/models", ssl=made.client_context()) as answer:
            assert answer.status == 200
        assert provider.requests[-1].tls


def test_it_runs_as_a_command() -> None:
    command = [sys.executable, "-m", "benchmarks.provider", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("simulated provider on http://127.0.0.1:")
        process.terminate()


def test_an_unknown_wish_is_an_error() -> None:
    with pytest.raises(ValueError, match="dealy"):
        understand("dealy=1")


def test_the_first_source_of_a_wish_wins() -> None:
    assert understand("chunks=3", "chunks=5,delay=0.5").chunks == 3
    assert understand("", "chunks=5,delay=0.5").delay == 0.5


def test_a_schema_with_references_and_unions_gets_an_instance() -> None:
    schema = {
        "$defs": {"leaf": {"type": "object", "properties": {"when": {"type": "string", "format": "date"}}}},
        "type": "object",
        "properties": {
            "leaf": {"$ref": "#/$defs/leaf"},
            "maybe": {"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 4}]},
            "kind": {"enum": ["a", "b"]},
            "many": {"type": "array", "items": {"type": "boolean"}, "minItems": 2},
        },
    }
    assert instance(schema, "t") == {"leaf": {"when": "2026-01-02"}, "maybe": 4, "kind": "a", "many": [True, True]}


def test_a_packed_vector_is_little_endian_float32() -> None:
    from benchmarks.simulated.embeddings import _pack, _vector

    vector = _vector("a", 4)
    assert list(struct.unpack("<4f", base64.b64decode(_pack(vector)))) == vector.tolist()
