from __future__ import annotations

from typing import Any

import pytest

from plugins.routing.cascade import failed
from plugins.routing.options import Cascade
from proxy.exchange import Exchange, Response, Segment
from tests import kit

SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "required": ["a", "b"]}}}
ALL = Cascade(checks=("length", "empty", "refusal", "unsure", "json"))


def answered(said: str, finish: str = "stop", kind: Any = "text", **doc: Any) -> Exchange:
    exchange = kit.exchange(doc={"model": "m", "messages": [{"role": "user", "content": "x"}], **doc})
    exchange.response = Response(finish=finish, said=[Segment("assistant", kind, said)])
    return exchange


@pytest.mark.parametrize(
    ("check", "exchange"),
    [
        ("length", answered("and then", finish="length")),
        ("length", answered("and then", finish="max_tokens")),
        ("empty", answered("  \n")),
        ("refusal", answered("I'm sorry, but I can’t help with that.")),
        ("refusal", answered("no", kind="refusal")),
        ("refusal", answered("", finish="content_filter", kind="tool_arguments")),
        ("unsure", answered("It may be 7, but I'm not sure.")),
        ("json", answered("here it is", response_format={"type": "json_object"})),
        ("json", answered('{"a": 1}', response_format=SCHEMA)),
        ("json", answered("[1]", response_format=SCHEMA)),
        ("json", answered("4", text={"format": {"type": "json_object"}})),
    ],
)
def test_answers_that_will_not_do(check: str, exchange: Exchange) -> None:
    assert failed(exchange, ALL) == check


@pytest.mark.parametrize(
    "exchange",
    [
        answered("The answer is 7."),
        answered("and then", finish="length", max_tokens=5),
        answered('{"x": 1}', finish="tool_calls", kind="tool_arguments"),
        answered('```json\n{"a": 1}\n```', response_format={"type": "json_object"}),
        answered('{"a": 1, "b": null}', response_format=SCHEMA),
        answered("She said that I can't, and I believe it."),
    ],
)
def test_answers_that_will_do(exchange: Exchange) -> None:
    assert failed(exchange, Cascade()) == ""


def test_words_may_be_wanted_and_unwanted() -> None:
    cascade = Cascade(must_contain=("TOTAL",), must_not_contain=("lorem",))
    assert failed(answered("the total is 5"), cascade) == ""
    assert failed(answered("it is 5"), cascade) == "must_contain"
    assert failed(answered("total: Lorem ipsum"), cascade) == "must_not_contain"
