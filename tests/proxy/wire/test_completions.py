"""The completions codec: prompts, suffix, token arrays, n answers."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from proxy.errors import MalformedBody, Refused
from proxy.exchange import Request, Usage
from proxy.wire import sse
from proxy.wire.completions import CompletionsCodec, token_arrays
from tests.streams import Forbid, docs, drive

CODEC = CompletionsCodec()


def chunk(text: str, index: int = 0, finish: str | None = None) -> bytes:
    choice = {"text": text, "index": index, "logprobs": None, "finish_reason": finish}
    return sse.write("", {"id": "c", "object": "text_completion", "created": 1, "choices": [choice], "model": "m"})


@pytest.mark.parametrize(
    ("doc", "param"),
    [({"prompt": 1}, "prompt"), ({"prompt": {}}, "prompt"), ({"model": 2}, "model"), ({"suffix": 1}, "suffix")],
)
def test_a_wrong_type_is_refused_naming_the_parameter(doc: dict[str, Any], param: str) -> None:
    with pytest.raises(MalformedBody) as caught:
        CODEC.read(orjson.dumps(doc))
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("prompt", "arrays", "uninspected"),
    [
        ("text", [], []),
        ([1, 2], [[1, 2]], ["tokens"]),
        ([[1], [2, 3]], [[1], [2, 3]], ["tokens"]),
        (["a", [1]], [[1]], ["tokens"]),
        ([{}, None], [], ["unknown"]),
        ([], [], []),
        (None, [], []),
    ],
)
def test_tokens_are_named_and_handed_out(prompt: Any, arrays: list[list[int]], uninspected: list[str]) -> None:
    doc = {"model": "m", "prompt": prompt}
    assert token_arrays(doc) == arrays
    assert CODEC.walk(doc)[1] == uninspected


def test_a_token_array_goes_out_as_it_came() -> None:
    raw = b'{"model": "m", "prompt": [1, 2,3]}'
    call = Request("completions", "POST", "/v1/completions", "", [], raw, doc=CODEC.read(raw), walk=CODEC.walk)
    call.set("model", "x")
    assert call.segments == []
    assert CODEC.write(call) == b'{"model": "x", "prompt": [1, 2,3]}'


def test_an_answer_composed_is_an_answer_read() -> None:
    usage = Usage(input=2, output=1)
    answer = CODEC.answer(CODEC.compose("hi", model="m", id="i", stream=False, finish="stop", usage=usage))
    assert answer is not None
    assert ([s.text for s in answer.segments], answer.usage, answer.finish) == (["hi"], usage, "stop")
    stream = CODEC.stream({})
    raw = CODEC.compose("hi", model="m", id="i", stream=True, finish="content_filter", usage=usage)
    out, told = drive(stream, [raw], lambda _: None)
    assert out == raw
    assert [row[5] for row in told.rows()] == ["hi"]
    assert (stream.usage, stream.finish, stream.complete) == (usage, "content_filter", True)


def test_a_refusal_ends_the_answers_of_every_prompt() -> None:
    stream = CODEC.stream({"prompt": ["a", "b"], "n": 2})
    out, _ = drive(stream, [chunk("no", 0, "stop"), chunk("bad", 1)], lambda _: Forbid("bad"))
    ends = [(c["index"], c["text"], c["finish_reason"]) for doc in docs(out)[1:] for c in doc["choices"]]
    assert ends == [(index, "", "content_filter") for index in (1, 2, 3)]
    assert docs(stream.refuse(Refused("x", "no"))) == []


def test_more_choices_than_anyone_asks_for_cost_nothing() -> None:
    assert len(docs(CODEC.stream({"n": 10**9}).refuse(Refused("x", "no")))) == 128


@pytest.mark.parametrize("body", [b"", b"3", b"{}", b'{"choices":[2]}'])
def test_what_is_no_answer_of_the_dialect_is_left_alone(body: bytes) -> None:
    assert CODEC.answer(body) is None


def test_the_opening_and_the_wish_for_usage_are_read_from_the_call() -> None:
    doc = {"prompt": "p", "max_tokens": 4, "stream_options": {"include_usage": True}}
    assert (CODEC.opening(doc), CODEC.wants_usage(doc)) == ("p", True)
