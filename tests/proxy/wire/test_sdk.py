"""The official SDK's own accumulator reads what the codecs make of a stream: pass, hold, replace, refuse, n = 2."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletion

from proxy.errors import StreamCut
from proxy.exchange import Usage
from proxy.wire import codec, sse
from proxy.wire.codec import Codec
from tests.streams import Forbid, Hold, Make, Pass, Swap, drive

# The HTTP library that the installed SDK is built on.
HTTP = importlib.import_module(openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0])
EMAIL, MASK = "ann@example.com", '[EMAIL "1"]'
HEAD = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1700000000,
    "model": "gpt-4o",
    "system_fingerprint": "f",
}
LOGPROBS = {"content": [{"token": "x", "logprob": -0.1, "bytes": [120], "top_logprobs": []}], "refusal": None}
USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
FILTERS: dict[str, Make] = {
    "pass": lambda _: Pass(),
    "hold": lambda _: Hold(12),
    "replace": lambda _: Swap(EMAIL, MASK),
    "refuse": lambda segment: Forbid("@") if segment.index == 1 else Hold(3),
}


def chunk(delta: dict[str, Any], index: int = 0, finish: str | None = None, logprobs: Any = None) -> bytes:
    choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
    return sse.write("", {**HEAD, "choices": [choice]})


def fragments(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def turns(*rows: list[bytes]) -> bytes:
    longest = max(map(len, rows))
    return b"".join(row[at] for at in range(longest) for row in rows if at < len(row))


def plain(index: int) -> list[bytes]:
    text = f"Choice {index}: write to {EMAIL} today."
    row = [chunk({"role": "assistant", "content": "", "refusal": None}, index)]
    row += [chunk({"content": piece}, index, logprobs=LOGPROBS) for piece in fragments(text, 4)]
    return [*row, chunk({}, index, "stop")]


def refusing(index: int) -> list[bytes]:
    row = [chunk({"role": "assistant", "content": None, "refusal": ""}, index)]
    row += [chunk({"refusal": piece}, index) for piece in fragments(f"I will not write to {EMAIL}.", 5)]
    return [*row, chunk({}, index, "stop")]


def calling(index: int) -> list[bytes]:
    row = [chunk({"role": "assistant", "content": None}, index)]
    for number in (0, 1):
        function = {"name": f"tool_{number}", "arguments": ""}
        call = {"index": number, "id": f"call_{index}{number}", "type": "function", "function": function}
        row.append(chunk({"tool_calls": [call]}, index))
        arguments = json.dumps({"to": EMAIL, "text": f"caf\u00e9 \U0001f600 {number}", "n": [1, None]})
        for piece in fragments(arguments, 3):
            row.append(chunk({"tool_calls": [{"index": number, "function": {"arguments": piece}}]}, index))
    return [*row, chunk({}, index, "tool_calls")]


TRANSCRIPTS = {
    "plain": turns(plain(0), plain(1)),
    "tools": turns(calling(0), calling(1)),
    "mixed": turns(plain(0), calling(1)),
    "refusals": turns(refusing(0), refusing(1)),
}


@pytest.fixture
def serve() -> Iterator[Any]:
    """A client whose provider answers with these bytes."""
    clients = []

    def client(body: bytes, content_type: str = "text/event-stream") -> OpenAI:
        def answer(_: Any) -> Any:
            return HTTP.Response(200, headers={"content-type": content_type}, content=body)

        http = HTTP.Client(transport=HTTP.MockTransport(answer))
        clients.append(http)
        return OpenAI(api_key="k", base_url="http://weir.test/v1", http_client=http, max_retries=0)

    yield client
    for http in clients:
        http.close()


def accumulated(client: OpenAI) -> ChatCompletion:
    with client.chat.completions.stream(model="gpt-4o", messages=[{"role": "user", "content": "x"}], n=2) as stream:
        for _ in stream:
            pass
        return stream.current_completion_snapshot


def calls(choice: Any) -> list[Any]:
    return choice.message.tool_calls or []


def filtered(name: str, way: str) -> tuple[bytes, Codec]:
    chat = codec("chat")
    raw = TRANSCRIPTS[name] + sse.write("", {**HEAD, "choices": [], "usage": USAGE}) + sse.DONE
    out, _ = drive(chat.stream({"model": "gpt-4o", "n": 2}), fragments_of(raw), FILTERS[way])
    return out, chat


def fragments_of(raw: bytes) -> list[bytes]:
    return [raw[at : at + 777] for at in range(0, len(raw), 777)]


@pytest.mark.parametrize("way", ["pass", "hold", "replace"])
@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_the_sdk_adds_up_what_the_filters_left(serve: Any, name: str, way: str) -> None:
    raw = TRANSCRIPTS[name] + sse.write("", {**HEAD, "choices": [], "usage": USAGE}) + sse.DONE
    direct = accumulated(serve(raw))
    out, _ = filtered(name, way)
    through = accumulated(serve(out))
    old, new = (EMAIL, MASK) if way == "replace" else ("", "")
    assert through.usage == direct.usage
    assert [choice.finish_reason for choice in through.choices] == [choice.finish_reason for choice in direct.choices]
    for ours, theirs in zip(through.choices, direct.choices, strict=True):
        assert ours.message.role == "assistant"
        assert ours.message.content == (theirs.message.content and theirs.message.content.replace(old, new))
        assert ours.message.refusal == (theirs.message.refusal and theirs.message.refusal.replace(old, new))
        for call, original in zip(calls(ours), calls(theirs), strict=True):
            assert (call.id, call.type, call.function.name) == (original.id, original.type, original.function.name)
            expected = json.loads(original.function.arguments)
            expected["to"] = expected["to"].replace(old, new)
            assert json.loads(call.function.arguments) == expected
    if way == "pass" and "\\u" not in str(direct):
        assert through == direct


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_a_refused_stream_is_a_valid_one_for_the_sdk(serve: Any, name: str) -> None:
    out, _ = filtered(name, "refuse")
    completion = accumulated(serve(out))
    assert [choice.finish_reason for choice in completion.choices] == ["content_filter"] * 2
    assert EMAIL not in (completion.choices[1].message.content or "")
    assert all(choice.message.role == "assistant" for choice in completion.choices)


def test_the_sdks_final_completion_of_a_refused_stream_is_its_content_filter_error(serve: Any) -> None:
    out, _ = filtered("plain", "refuse")
    client = serve(out)
    ask = client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "x"}])
    with ask as stream, pytest.raises(openai.ContentFilterFinishReasonError):
        stream.get_final_completion()


def test_a_fault_in_a_stream_is_the_sdks_own_exception(serve: Any) -> None:
    chat = codec("chat")
    out, _ = drive(chat.stream({}), [turns(plain(0)[:4])], lambda _: Hold(2))
    out += chat.stream({}).fault(StreamCut("The provider's answer broke off."))
    with pytest.raises(openai.APIError, match="broke off"):
        accumulated(serve(out))


@pytest.mark.parametrize("stream", [False, True])
def test_a_composed_answer_is_one_for_the_sdk(serve: Any, stream: bool) -> None:
    usage = Usage(input=3, cache_read=1, output=2)
    body = codec("chat").compose("hi", model="m", id="chatcmpl-w", stream=stream, finish="content_filter", usage=usage)
    if stream:
        completion = accumulated(serve(body))
    else:
        client = serve(body, "application/json")
        completion = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
    assert completion.choices[0].message.content == "hi"
    assert completion.choices[0].finish_reason == "content_filter"
    assert completion.usage is not None
    assert completion.usage.total_tokens == 6


def test_a_changed_json_answer_is_one_for_the_sdk(serve: Any) -> None:
    out, chat = filtered("tools", "pass")
    whole = accumulated(serve(out)).model_dump_json().encode()
    answer = chat.answer(whole)
    assert answer is not None
    for segment in answer.segments:
        segment.text = segment.text.replace(EMAIL, MASK)
    body = chat.write_answer(answer)
    completion = serve(body, "application/json").chat.completions.create(model="m", messages=[])
    for choice in completion.choices:
        assert {json.loads(call.function.arguments)["to"] for call in choice.message.tool_calls} == {MASK}


def completed(client: OpenAI) -> dict[int, tuple[str, str | None]]:
    texts: dict[int, tuple[str, str | None]] = {}
    for part in client.completions.create(model="m", prompt="x", n=2, stream=True):
        for choice in part.choices:
            texts[choice.index] = (texts.get(choice.index, ("", None))[0] + choice.text, choice.finish_reason)
    return texts


@pytest.mark.parametrize("way", FILTERS)
def test_completions_pass_the_sdk_in_every_way(serve: Any, way: str) -> None:
    def part(text: str, index: int, finish: str | None = None) -> bytes:
        choice = {"text": text, "index": index, "logprobs": None, "finish_reason": finish}
        return sse.write("", {"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]})

    rows = [
        [*(part(piece, index) for piece in fragments(f"{index} to {EMAIL}.", 4)), part("", index, "stop")]
        for index in (0, 1)
    ]
    out, _ = drive(codec("completions").stream({"n": 2}), [turns(*rows) + sse.DONE], FILTERS[way])
    texts = completed(serve(out))
    if way == "refuse":
        assert {finish for _, finish in texts.values()} == {"content_filter"}
        return
    word = MASK if way == "replace" else EMAIL
    assert texts == {index: (f"{index} to {word}.", "stop") for index in (0, 1)}


def test_embeddings_and_errors_are_the_sdks_own(serve: Any) -> None:
    body = codec("embeddings").compose("", model="m", id="i", stream=False, finish="stop", usage=Usage(input=1))
    # The SDK takes an empty list for a fault of the provider; what counts is that it could read it.
    with pytest.raises(ValueError, match="No embedding data"):
        serve(body, "application/json").embeddings.create(model="m", input="x")
