"""Calls, answers and caches for the tests of the cache, without a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from plugins.cache.entry import Entry
from plugins.cache.options import CacheOptions
from plugins.cache.plugin import Cache
from proxy import wire
from proxy.exchange import Caller, Dialect, Exchange, Request, Response, Target, Usage
from proxy.live import Snapshot
from proxy.wire.body import encode
from tests import kit

PATHS: Mapping[str, str] = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
    "messages": "/v1/messages",
}
BODIES: Mapping[str, dict[str, Any]] = {
    "chat": {"model": "m", "temperature": 0, "messages": [{"role": "user", "content": "hello"}]},
    "responses": {"model": "m", "temperature": 0, "store": False, "input": "hello"},
    "completions": {"model": "m", "temperature": 0, "prompt": "hello"},
    "embeddings": {"model": "m", "input": "hello"},
    "messages": {"model": "m", "temperature": 0, "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]},
}
TARGET = Target("sim", "m")
USAGE = Usage(input=10, output=5)


def settings(**options: Any) -> Snapshot:
    """Under which the cache has these options."""
    made = CacheOptions(**options)
    entry = kit.entry("cache", options=options)
    return replace(kit.snapshot(entry), resolve=lambda plugin, agent, variant: made)


def call(
    doc: dict[str, Any] | None = None,
    dialect: Dialect = "chat",
    *,
    snapshot: Snapshot | None = None,
    target: Target = TARGET,
    headers: tuple[tuple[str, str], ...] = (),
    at_s: float = 1000.0,
    path: str = "",
    query: str = "",
    **caller: Any,
) -> Exchange:
    codec = wire.codec(dialect)
    body = encode(BODIES[dialect] if doc is None else doc)
    parsed = codec.read(body)
    request = Request(
        dialect, "POST", path or PATHS[dialect], query, headers, body, doc=parsed, model=parsed.get("model", ""),
        stream=parsed.get("stream") is True, walk=codec.walk, write=codec.write,
    )  # fmt: skip
    made = Exchange("wr_1", Caller(**caller), request, at_s=at_s, start=0.0, snapshot=snapshot or settings())
    made.target = target
    made.conversation = f"{caller.get('tenant')}/{caller.get('agent')}/{caller.get('user')}/{caller.get('session')}"
    return made


def chat_answer(text: str = "hi", finish: str = "stop", **message: Any) -> bytes:
    said = {"role": "assistant", "content": text, **message}
    choices = [{"index": 0, "message": said, "finish_reason": finish}]
    return orjson.dumps({"id": "chatcmpl-1", "object": "chat.completion", "model": "m-1", "choices": choices})


def response(**changes: Any) -> Response:
    """A complete answer of the provider."""
    made = Response(
        200, usage=USAGE, usage_source="provider", model="m-1", finish="stop", complete=True, id="chatcmpl-1"
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def answered(
    cache: Cache, exchange: Exchange, body: bytes | None = None, *, complete: bool = True, **changes: Any
) -> None:
    """The provider's answer passes the cache's place."""
    exchange.response = response(**changes)
    tape = cache.tape(exchange)
    if tape is not None:
        tape.write(chat_answer() if body is None else body)
        tape.close(complete)


def entry(body: bytes = b"{}", **changes: Any) -> Entry:
    given: dict[str, Any] = {
        "stream": False, "made_s": 1000.0, "ttl_s": 60.0, "tenant": "t", "agent": "a", "upstream": "sim", "model": "m",
        "served": "m-1", "finish": "stop", "id": "chatcmpl-1", "call": "wr_1", "person": b"", "usage": USAGE,
    }  # fmt: skip
    return Entry(body, **{**given, **changes})
