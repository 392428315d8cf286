"""The embeddings codec: inputs in, no text out."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from proxy.errors import MalformedBody
from proxy.exchange import Request, Usage
from proxy.wire.completions import token_arrays
from proxy.wire.embeddings import EmbeddingsCodec

CODEC = EmbeddingsCodec()


@pytest.mark.parametrize(
    ("doc", "param"),
    [({}, "input"), ({"input": None}, "input"), ({"input": 3}, "input"), ({"input": "x", "stream": True}, "stream")],
)
def test_a_wrong_call_is_refused_naming_the_parameter(doc: dict[str, Any], param: str) -> None:
    with pytest.raises(MalformedBody) as caught:
        CODEC.read(orjson.dumps(doc))
    assert caught.value.param == param


def test_inputs_are_edited_one_by_one_and_tokens_go_as_they_came() -> None:
    raw = b'{"input":["a","b",[1,2]],"model":"m","dimensions":8}'
    call = Request("embeddings", "POST", "/v1/embeddings", "", [], raw, doc=CODEC.read(raw), walk=CODEC.walk)
    call.segments[1].text = "[X]"
    assert CODEC.write(call) == raw.replace(b'"b"', b'"[X]"')
    assert call.uninspected == ["tokens"]
    assert token_arrays(call.doc) == [[1, 2]]


def test_an_answer_has_usage_and_no_text() -> None:
    answer = CODEC.answer(b'{"data":[{"embedding":[0.1]}],"model":"m","usage":{"prompt_tokens":3,"total_tokens":3}}')
    assert answer is not None
    assert (answer.usage, answer.segments, answer.model) == (Usage(input=3), [], "m")
    assert CODEC.write_answer(answer) is answer.raw
    assert CODEC.answer(b'{"error":{}}') is None
    assert CODEC.answer(b"x") is None


def test_usage_is_always_there_without_asking() -> None:
    raw = b'{"input":"a","model":"m"}'
    call = Request("embeddings", "POST", "/v1/embeddings", "", [], raw, doc=CODEC.read(raw), walk=CODEC.walk)
    assert CODEC.wants_usage(call.doc)
    CODEC.ask_usage(call)
    assert CODEC.write(call) is raw


def test_a_composed_answer_is_an_empty_list() -> None:
    doc = orjson.loads(CODEC.compose("", model="m", id="i", stream=False, finish="stop", usage=Usage(input=2)))
    assert (doc["data"], doc["usage"]) == ([], {"prompt_tokens": 2, "total_tokens": 2})
