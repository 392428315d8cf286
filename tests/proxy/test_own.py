"""What Weir says of its own: headers, and answers of plugins in the form that was asked for."""

from __future__ import annotations

from typing import Any

import pytest

from proxy import own, wire
from proxy.errors import PluginFailed
from proxy.exchange import Exchange, Response, Target, Usage
from tests import kit
from tests.asking import SPEAKING

CALL = {"model": "m", "messages": [{"role": "user", "content": "x"}]}


def made(surface: Any, stream: bool, text: str = "hello") -> bytes:
    return wire.codec(surface).compose(text, model="m", id="i", stream=stream, finish="stop", usage=Usage(3, 0, 0, 4))


def call(surface: Any, stream: bool) -> Exchange:
    found = kit.exchange()
    found.request.dialect, found.request.stream = surface, stream
    return found


def text(surface: Any, stream: bool, raw: bytes) -> str:
    codec = wire.codec(surface)
    if stream:
        return "".join(one.text for one in own.said(codec, {}, [raw])[0])
    answer = codec.answer(raw)
    assert answer is not None
    return "".join(one.text for one in answer.segments)


@pytest.mark.parametrize("given", ["text", "body", "events"])
@pytest.mark.parametrize(("surface", "stream"), SPEAKING)
def test_a_text_a_body_and_events_turn_into_one_another(surface: Any, stream: bool, given: str) -> None:
    exchange, codec = call(surface, stream), wire.codec(surface)
    response = Response(text="hello") if given == "text" else Response()
    if given == "body":
        response.body = made(surface, False)
    if given == "events":
        raw = made(surface, True)
        response.events = [raw[:50], raw[50:]]
    out = b"".join(own.events(codec, exchange, response)) if stream else own.body(codec, exchange, response)
    assert text(surface, stream, out) == "hello"
    if given == ("events" if stream else "body"):
        assert out == made(surface, stream)


def test_an_end_by_a_content_filter_stays_one() -> None:
    raw = wire.codec("messages").compose("no", model="m", id="i", stream=False, finish="content_filter", usage=None)
    out = own.events(wire.codec("messages"), call("messages", True), Response(body=raw))
    assert own.said(wire.codec("messages"), {}, out)[1].finish == "refusal"


def test_usage_goes_into_a_stream_only_where_it_was_asked_for() -> None:
    exchange, codec = call("chat", True), wire.codec("chat")
    assert b'"usage"' not in own.events(codec, exchange, Response(body=made("chat", False)))[0]
    exchange.request.doc["stream_options"] = {"include_usage": True}
    assert b'"usage"' in own.events(codec, exchange, Response(body=made("chat", False)))[0]


def test_calls_of_tools_have_one_form() -> None:
    tool = (
        b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":'
        b'"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":'
        b'"{\\"a\\":\\"b\\"}"}}]},"finish_reason":"tool_calls"}]}'
    )
    assert own.body(wire.codec("chat"), call("chat", False), Response(body=tool)) == tool
    with pytest.raises(PluginFailed):
        own.events(wire.codec("chat"), call("chat", True), Response(body=tool))


def test_the_texts_of_a_recorded_stream_do_not_depend_on_how_it_was_cut() -> None:
    raw = made("responses", True, "héllo")
    whole, state = own.said(wire.codec("responses"), {}, [raw])
    pieces, other = own.said(wire.codec("responses"), {}, [raw[at : at + 7] for at in range(0, len(raw), 7)])
    assert [one.text for one in whole] == [one.text for one in pieces] == ["héllo"]
    assert (state.complete, state.usage) == (other.complete, other.usage) == (True, Usage(3, 0, 0, 4))


def test_headers_tell_what_is_known_and_nothing_else() -> None:
    exchange = kit.exchange()
    assert own.headers(exchange) == [("x-weir-request-id", "wr_test")]
    exchange.target, exchange.variant, exchange.cost_nano_usd = Target("sim", "m2"), "b", 1_234
    exchange.response = Response(headers=[("x-weir-cache", "HIT"), ("set-cookie", "x")])
    assert own.headers(exchange) == [
        ("x-weir-request-id", "wr_test"), ("x-weir-model", "m2"), ("x-weir-variant", "b"), ("x-weir-cache", "HIT"),
    ]  # fmt: skip
    told = dict(own.headers(exchange, whole=True))
    assert (told["x-weir-cost-usd"], "x-weir-overhead-ms" in told) == ("0.000001234", True)


def test_what_replaces_an_answer_keeps_what_that_one_used_and_its_own_word_where_it_has_one() -> None:
    before = Response(usage=Usage(5), usage_source="provider", model="m")
    fresh = Response(text="x")
    own.inherit(fresh, before)
    assert (fresh.usage, fresh.usage_source, fresh.model) == (Usage(5), "provider", "m")
    told = Response(text="x", usage=Usage(1))
    own.inherit(told, before)
    assert (told.usage, told.usage_source) == (Usage(1), "none")
    own.inherit(fresh, None)
