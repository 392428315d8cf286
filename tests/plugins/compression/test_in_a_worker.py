"""Compression in a whole worker: what the provider gets, what the caller gets, what is recorded."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from proxy.live import Entry
from tests.asking import Asking, asking
from tests.plugins.compression.agents import ROWS

PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}
SPEAKING = [(surface, stream) for surface in PATHS for stream in (False, True)]
PRETTY = json.dumps({"customer": {"mail": "ann.oneill@example.org", "open": list(range(60))}}, indent=4)


def listed(**options: Any) -> Entry:
    return Entry("compression", "plugins.compression.plugin:Compression", options=options, timeout_ms=5000)


def body(surface: str, text: str, *, stream: bool = False, turns: int = 1, **other: Any) -> bytes:
    """A call with what a tool gave, `turns` times."""
    docs: dict[str, Any] = {
        "chat": [{"role": "assistant", "content": None, "tool_calls": [
                     {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
                 {"role": "tool", "tool_call_id": "c", "content": text}],
        "responses": [{"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
                      {"type": "function_call_output", "call_id": "c", "output": text}],
        "messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "look", "input": {}}]},
                     {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": text}]}],
    }  # fmt: skip
    asked = [{"role": "user", "content": "What of it?"}, *docs[surface]] * turns
    doc = {"model": "gpt-4o-mini", "stream": stream, "input" if surface == "responses" else "messages": asked, **other}
    return orjson.dumps({**doc, "max_tokens": 50} if surface == "messages" else doc)


def provided(weir: Asking) -> str:
    """What the provider got of the tool's text."""
    told: str = weir.provider.requests[-1].body.decode()
    return told


@pytest.mark.parametrize(("surface", "stream"), SPEAKING)
async def test_the_provider_gets_less_and_the_caller_the_same(surface: str, stream: bool) -> None:
    sent = body(surface, ROWS, stream=stream)
    async with asking(listed()) as weir:
        came = await weir.post(PATHS[surface], sent, surface)
        assert came.status == 200
        assert came.text
        got = orjson.loads(provided(weir))
        assert "[JSON rows as table" in provided(weir)
        assert len(provided(weir)) < 0.6 * len(sent)
        assert {name: got.get(name) for name in ("model", "max_tokens")} == {
            name: orjson.loads(sent).get(name) for name in ("model", "max_tokens")
        }
        record = await weir.record()
        assert ["compression", "request", "edited 1 (table 1)"] in record["steps"]
        assert record["savings"][0]["kind"] == "table"


async def test_in_shadow_nothing_is_touched() -> None:
    shadow = Entry("compression", "plugins.compression.plugin:Compression", mode="shadow", timeout_ms=5000)
    sent = body("chat", ROWS)
    async with asking(shadow) as weir:
        assert (await weir.post(PATHS["chat"], sent)).status == 200
        assert orjson.loads(provided(weir))["messages"] == orjson.loads(sent)["messages"]


async def test_placeholders_of_personal_data_pass_through_it() -> None:
    pii = Entry("pii", "plugins.pii.plugin:Pii", timeout_ms=5000)
    async with asking(pii, listed()) as weir:
        assert (await weir.post(PATHS["chat"], body("chat", PRETTY))).status == 200
        told = orjson.loads(provided(weir))["messages"][2]["content"]
        assert json.loads(told) == json.loads(PRETTY.replace("ann.oneill@example.org", "[EMAIL_1]"))
        assert len(told) < 0.8 * len(PRETTY)


@pytest.mark.parametrize("surface", PATHS)
async def test_a_call_that_is_too_long_is_cut_and_one_that_cannot_be_is_refused(surface: str) -> None:
    code = "def f(x):\n    return x + 1\n" * 12
    async with asking(listed(max_context_tokens=2000)) as weir:
        came = await weir.post(PATHS[surface], body(surface, code, turns=30), surface)
        assert came.status == 200
        assert "earlier messages (about" in provided(weir)
        assert len(weir.provider.requests) == 1
        came = await weir.post(PATHS[surface], body(surface, code * 40), surface)
        assert came.status == 400
        assert b"context_too_long" in came.raw or b"max_context_tokens" in came.raw
        assert len(weir.provider.requests) == 1


async def test_many_calls_at_once_get_each_their_own() -> None:
    async with asking(listed()) as weir:
        texts = [json.dumps({"n": n, "many": list(range(100))}, indent=2) for n in range(8)]
        for text in [*texts, *texts]:
            assert (await weir.post(PATHS["chat"], body("chat", text))).status == 200
            assert json.loads(orjson.loads(provided(weir))["messages"][2]["content"]) == json.loads(text)
