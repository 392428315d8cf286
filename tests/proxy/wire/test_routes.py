"""Which paths a codec reads."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from proxy import own, wire
from proxy.errors import MalformedBody
from proxy.exchange import Dialect
from proxy.wire import sse


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1/chat/completions", "chat"),
        ("/v1/responses", "responses"),
        ("/v1/completions", "completions"),
        ("/v1/embeddings", "embeddings"),
        ("/v1/messages", "messages"),
        ("/v1/messages/count_tokens", None),
        ("/v1/chat/completions/", None),
        ("/v1/chat/../chat/completions", None),
        ("/v1/chat%2Fcompletions", None),
        ("/V1/chat/completions", None),
        ("/v1/models", None),
        ("", None),
    ],
)
def test_only_exact_paths_have_a_dialect(path: str, dialect: str | None) -> None:
    assert wire.route(path) == dialect


@pytest.mark.parametrize("dialect", ["chat", "completions", "embeddings"])
def test_a_codec_knows_its_dialect_and_its_depth(dialect: Dialect) -> None:
    assert wire.codec(dialect).dialect == dialect
    with pytest.raises(MalformedBody):
        wire.codec(dialect, depth=1).read(b'{"model":"m","input":["x"],"prompt":["x"],"messages":[]}')


LONG = "m" * 100_000
ANSWERS: dict[str, dict[str, Any]] = {
    "chat": {"object": "chat.completion", "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}}]},
    "completions": {"object": "text_completion", "choices": [{"index": 0, "text": "x"}]},
    "embeddings": {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]},
    "messages": {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "x"}]},
    "responses": {"object": "response", "status": "completed", "output": []},
}
EVENTS: dict[str, dict[str, Any]] = {
    "chat": {"object": "chat.completion.chunk", "model": LONG, "choices": [{"index": 0, "delta": {"content": "x"}}]},
    "completions": {"object": "text_completion", "model": LONG, "choices": [{"index": 0, "text": "x"}]},
    "messages": {"type": "message_start", "message": {"model": LONG, "content": [], "role": "assistant"}},
    "responses": {"type": "response.completed", "response": {**ANSWERS["responses"], "model": LONG}},
}


@pytest.mark.parametrize("dialect", ANSWERS)
def test_a_provider_cannot_name_its_model_at_any_length(dialect: Dialect) -> None:
    answer = wire.codec(dialect).answer(orjson.dumps({**ANSWERS[dialect], "model": LONG}))
    assert answer is not None and answer.model == "m" * 512
    assert orjson.loads(answer.raw)["model"] == LONG


@pytest.mark.parametrize("dialect", EVENTS)
def test_nor_in_a_stream(dialect: Dialect) -> None:
    event = EVENTS[dialect]
    _, stream = own.said(wire.codec(dialect), {}, [sse.write(event.get("type", ""), event)])
    assert stream.model == "m" * 512
