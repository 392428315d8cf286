"""Made-up conversations: the prefix stays the same bytes, marks of caches and sealed texts stay, nothing else moves."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from benchmarks.quality.payloads import KINDS, Maker
from plugins.compression.options import CompressionOptions
from proxy.exchange import Exchange, Response, Usage
from tests.plugins.compression.agents import call, made, sent

OPTIONS = (
    CompressionOptions(),
    CompressionOptions(user=True, system=True, assistant=True),
    CompressionOptions(tables=False, repeats=False, tool_schemas=True),
    CompressionOptions(extract_above_tokens=400, extract_to_tokens=300),
)
TEXTS = ("JSON, nested", "JSON, flat rows", "stack traces", "prose", "code")


def said(random: Random, make: Maker) -> str:
    if random.random() < 0.4:
        return make.sentence()
    text = KINDS[random.choice(TEXTS)](make)
    return text[: random.randint(200, 4000)] if random.random() < 0.2 else text


def turn(random: Random, make: Maker, number: int, dialect: str, before: list[str]) -> list[dict[str, Any]]:
    """What the user says, calls of tools and their results; now and then a text that was given before."""
    asked: dict[str, Any] = {
        "role": "user",
        "content": make.sentence() if random.random() < 0.8 else said(random, make),
    }
    found = [asked]
    for step in range(random.randint(0, 2)):
        text = random.choice(before) if before and random.random() < 0.2 else said(random, make)
        before.append(text)
        name = f"c{number}.{step}"
        if dialect == "chat":
            function = {"name": "look", "arguments": json.dumps({"query": make.sentence()})}
            made_call = {"id": name, "type": "function", "function": function}
            found += [{"role": "assistant", "content": None, "tool_calls": [made_call]},
                      {"role": "tool", "tool_call_id": name, "content": text}]  # fmt: skip
        else:
            used = {"type": "tool_use", "id": name, "name": "look", "input": {"query": make.sentence()}}
            signed = {"type": "thinking", "thinking": make.nested(), "signature": "c2ln"}
            result: dict[str, Any] = {"type": "tool_result", "tool_use_id": name, "content": text}
            if random.random() < 0.2:
                result["cache_control"] = {"type": "ephemeral"}
            found += [{"role": "assistant", "content": [signed, used]}, {"role": "user", "content": [result]}]
    return found


def skeleton(value: Any) -> Any:
    """The message without the texts that may change."""
    if isinstance(value, dict):
        return {
            key: skeleton(inner)
            for key, inner in value.items()
            if key not in ("content", "text") or type(inner) is list
        }
    return [skeleton(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("dialect", ["chat", "messages"])
@pytest.mark.parametrize("options", OPTIONS)
async def test_what_went_out_once_goes_out_the_same_again(dialect: str, options: CompressionOptions) -> None:
    for seed in range(4):
        random, make = Random(seed), Maker(seed)
        plugin, history, before, texts = made(), list[Any](), list[Any](), list[str]()
        for number in range(5):
            history += turn(random, make, number, dialect, texts)
            exchange = call(history, options, dialect=dialect, conversation=f"s{seed}", max_tokens=9)
            await plugin.request(exchange)
            now = sent(exchange)["messages"]
            assert now[: len(before)] == before
            assert skeleton(now) == skeleton(history)
            check(exchange)
            before = now
            if random.random() < 0.5:
                exchange.response = Response(
                    usage=Usage(input=500, cache_read=random.choice([0, 400])), usage_source="provider"
                )
            await plugin.finish(exchange)
            history.append({"role": "assistant", "content": make.sentence()})


def check(exchange: Exchange) -> None:
    for segment in exchange.request.segments:
        if segment.sealed or segment.kind in ("tool_arguments", "reasoning", "tool_description"):
            assert not segment.changed
    for saving in exchange.savings:
        assert saving.input_tokens > 0
        assert saving.nano_usd is not None
        assert saving.nano_usd >= 0


async def test_a_marked_text_of_an_agent_of_which_nothing_is_known_stays() -> None:
    make = Maker(1)
    plugin = made()
    for number in range(20):
        result = {
            "type": "tool_result",
            "tool_use_id": "c",
            "content": make.nested(),
            "cache_control": {"type": "ephemeral"},
        }
        used = {"type": "tool_use", "id": "c", "name": "look", "input": {}}
        history: list[dict[str, Any]] = [
            {"role": "user", "content": "Look"},
            {"role": "assistant", "content": [used]},
            {"role": "user", "content": [result]},
        ]
        exchange = call(history, dialect="messages", conversation=str(number), max_tokens=9)
        await plugin.request(exchange)
        assert sent(exchange)["messages"] == history
