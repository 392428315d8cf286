"""What providers answer, as they write it: the usage that is made of it, whole and streamed, and what it then costs."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from proxy import wire
from proxy.exchange import Dialect, Usage
from proxy.prices import Prices
from proxy.pricetable import table
from proxy.wire.sse import Reader

AT_S = 1_793_000_000.0


def message(usage: dict[str, Any]) -> dict[str, Any]:
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
            "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn", "usage": usage}  # fmt: skip


def response(usage: dict[str, Any]) -> dict[str, Any]:
    said = {"id": "m", "type": "message", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "Hi", "annotations": []}]}  # fmt: skip
    return {"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-5", "output": [said],
            "usage": usage}  # fmt: skip


def completion(usage: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    return {"id": "c1", "object": "chat.completion", "model": "gpt-4o", "choices": [choice], "usage": usage, **more}


OPENAI = {
    "prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306,
    "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 128, "audio_tokens": 0, "accepted_prediction_tokens": 0,
                                  "rejected_prediction_tokens": 0},
}  # fmt: skip
CONVENTIONS: list[tuple[str, Dialect, dict[str, Any], Usage | None]] = [
    ("openai chat: cached inside", "chat", completion(OPENAI, service_tier="default"),
     Usage(input=86, cache_read=1920, output=300, reasoning=128)),
    ("azure chat: filters beside", "chat",
     completion(OPENAI, prompt_filter_results=[{"prompt_index": 0, "content_filter_results": {}}]),
     Usage(input=86, cache_read=1920, output=300, reasoning=128)),
    ("azure chat, older: no details", "chat",
     completion({"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}), Usage(input=9, output=12)),
    ("gemini: thoughts beside the completion", "chat",
     completion({"prompt_tokens": 11, "completion_tokens": 20, "total_tokens": 131}),
     Usage(input=11, output=120, reasoning=100)),
    ("gemini: cached inside", "chat",
     completion({"prompt_tokens": 4100, "completion_tokens": 20, "total_tokens": 4120,
                 "prompt_tokens_details": {"cached_tokens": 4000}}),
     Usage(input=100, cache_read=4000, output=20)),
    ("llama.cpp: cached in timings", "chat",
     completion({"prompt_tokens": 50, "completion_tokens": 7, "total_tokens": 57},
                timings={"cache_n": 40, "prompt_n": 10, "predicted_n": 7}),
     Usage(input=10, cache_read=40, output=7)),
    ("vllm: details are null", "chat",
     completion({"prompt_tokens": 50, "total_tokens": 57, "completion_tokens": 7, "prompt_tokens_details": None}),
     Usage(input=50, output=7)),
    ("vllm: cached inside", "chat",
     completion({"prompt_tokens": 50, "total_tokens": 57, "completion_tokens": 7,
                 "prompt_tokens_details": {"cached_tokens": 48}}),
     Usage(input=2, cache_read=48, output=7)),
    ("no usage at all", "chat", completion(None), None),
    ("openai responses: cached inside", "responses",
     response({"input_tokens": 2006, "input_tokens_details": {"cached_tokens": 1920}, "output_tokens": 300,
               "output_tokens_details": {"reasoning_tokens": 128}, "total_tokens": 2306}),
     Usage(input=86, cache_read=1920, output=300, reasoning=128)),
    ("responses: details are missing", "responses",
     response({"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}), Usage(input=9, output=3)),
    ("responses: more cached than there was", "responses",
     response({"input_tokens": 9, "input_tokens_details": {"cached_tokens": 12}, "output_tokens": 3,
               "output_tokens_details": {"reasoning_tokens": 5}}),
     Usage(cache_read=9, output=3, reasoning=3)),
    ("anthropic: cached beside", "messages",
     message({"input_tokens": 21, "cache_creation_input_tokens": 188086, "cache_read_input_tokens": 500,
              "output_tokens": 393}),
     Usage(input=21, cache_read=500, cache_write=188086, output=393)),
    ("anthropic: written for five minutes and for an hour", "messages",
     message({"input_tokens": 21, "cache_creation_input_tokens": 556, "cache_read_input_tokens": 500,
              "cache_creation": {"ephemeral_5m_input_tokens": 456, "ephemeral_1h_input_tokens": 100},
              "output_tokens": 393, "service_tier": "standard"}),
     Usage(input=21, cache_read=500, cache_write=556, cache_write_1h=100, output=393)),
    ("anthropic: only the details", "messages",
     message({"input_tokens": 1, "output_tokens": 2,
              "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4}}),
     Usage(input=1, cache_write=7, cache_write_1h=4, output=2)),
    ("anthropic: nulls", "messages",
     message({"input_tokens": 5, "output_tokens": 2, "cache_creation_input_tokens": None,
              "cache_read_input_tokens": None, "cache_creation": None}), Usage(input=5, output=2)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "dialect", "doc", "usage"), CONVENTIONS, ids=[row[0] for row in CONVENTIONS])
def test_a_whole_answer(name: str, dialect: Dialect, doc: dict[str, Any], usage: Usage | None) -> None:
    answer = wire.codec(dialect).answer(orjson.dumps(doc))
    assert answer is not None
    assert answer.usage == usage


def of_stream(dialect: Dialect, events: list[dict[str, Any]]) -> Usage | None:
    stream = wire.codec(dialect).stream({})
    raw = b"".join(b"event: %b\ndata: %b\n\n" % (one["type"].encode(), orjson.dumps(one)) for one in events)
    for event in Reader().feed(raw):
        stream.glance(event)
    found: Usage | None = stream.usage
    return found


def test_a_stream_of_messages_keeps_what_only_its_beginning_says() -> None:
    begun = message({"input_tokens": 21, "cache_creation_input_tokens": 556, "cache_read_input_tokens": 500,
                     "cache_creation": {"ephemeral_5m_input_tokens": 456, "ephemeral_1h_input_tokens": 100},
                     "output_tokens": 1}) | {"content": []}  # fmt: skip
    delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 393}}
    again = delta | {"usage": {"output_tokens": 393, "input_tokens": 21, "cache_creation_input_tokens": 556,
                               "cache_read_input_tokens": 500}}  # fmt: skip
    for last in (delta, again):
        usage = of_stream("messages", [{"type": "message_start", "message": begun}, last, {"type": "message_stop"}])
        assert usage == Usage(input=21, cache_read=500, cache_write=556, cache_write_1h=100, output=393)


def test_nothing_is_paid_for_twice_and_an_hour_costs_what_it_costs() -> None:
    prices = Prices(table())
    usage = Usage(input=1_000, cache_read=10_000, cache_write=5_000, cache_write_1h=2_000, output=1_000)
    cost, _ = prices.cost_nano_usd("anthropic", "claude-sonnet-4-5", usage, AT_S)
    assert cost == 1_000 * 3_000 + 10_000 * 300 + 3_000 * 3_750 + 2_000 * 6_000 + 1_000 * 15_000
