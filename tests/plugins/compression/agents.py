"""Calls for tests of compression: a plugin with its kit, conversations of agents with tools, and what goes out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from plugins.compression.options import CompressionOptions
from plugins.compression.plugin import Compression
from proxy import wire
from proxy.exchange import Caller, Exchange, Request, Target, Usage
from proxy.plugin import Kit
from proxy.wire.body import encode
from tests.kit import kit, snapshot

ROWS = orjson.dumps([{"id": n, "name": f"Person {n}", "city": "Riga", "ok": True} for n in range(30)],
                    option=orjson.OPT_INDENT_2).decode()  # fmt: skip
PRETTY = orjson.dumps({"order": {"id": 12345, "lines": [1.0, 2, None], "note": "as agreed"}, "tags": ["a", "b"] * 12},
                      option=orjson.OPT_INDENT_2).decode()  # fmt: skip


class CharTokens:
    """A token is about four characters, blanks and marks count for themselves."""

    def count(self, text: str, model: str) -> int:
        return sum(1 + len(word) // 5 for word in text.split()) + sum(map(text.count, '{}[]":,\n'))

    def exact(self, model: str) -> bool:
        return True

    def loaded(self, model: str) -> bool:
        return True


class CachePrices:
    """1,000 nano-dollars a token, a tenth for what is read from the cache, a quarter more for what is written to it."""

    def cost_nano_usd(self, upstream: str, model: str, usage: Usage, at_s: float) -> tuple[int | None, str]:
        if model == "unpriced":
            return None, "none"
        told = 1000 * (usage.input + usage.output) + 100 * usage.cache_read + 1250 * usage.cache_write
        return told, "fake"


def made(given: Kit | None = None) -> Compression:
    return Compression(given or a_kit())


def a_kit() -> Kit:
    return replace(kit(), tokens=CharTokens(), prices=CachePrices())


def call(
    messages: list[dict[str, Any]],
    options: CompressionOptions | None = None,
    *,
    dialect: Any = "chat",
    conversation: str = "c",
    **doc: Any,
) -> Exchange:
    """A call as it stands before the plugin."""
    field = "input" if dialect == "responses" else "messages"
    paths = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
    codec = wire.codec(dialect)
    body = encode({"model": "gpt-4o", field: messages, **doc})
    parsed = codec.read(body)
    request = Request(dialect, "POST", paths[dialect], "", [], body, doc=parsed, model=parsed["model"],
                      walk=codec.walk, write=codec.write)  # fmt: skip
    given = options or CompressionOptions()
    settings = snapshot(resolve=lambda plugin, agent, variant: given)
    exchange = Exchange("wr_test", Caller(), request, at_s=0.0, start=0.0, snapshot=settings)
    exchange.target = Target("sim", parsed["model"])
    exchange.conversation = conversation
    return exchange


def sent(exchange: Exchange) -> dict[str, Any]:
    """The body as it goes out."""
    found = orjson.loads(wire.codec(exchange.request.dialect).write(exchange.request))
    assert isinstance(found, dict)
    return found


def asks(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def calls(id: str, **arguments: Any) -> dict[str, Any]:
    function = {"name": "look", "arguments": orjson.dumps(arguments).decode()}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": id, "type": "function", "function": function}]}


def gives(id: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": text}
