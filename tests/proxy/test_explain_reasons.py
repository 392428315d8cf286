"""Why the cache passes by, why routing stays, what a test would assign: explained, in shadow, and on `x-weir-debug`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from proxy.exchange import Caller
from proxy.explain import explain, lines
from proxy.live import Entry
from proxy.registry import Registry, with_options
from tests import kit
from tests.asking import asking

PATH = "/v1/chat/completions"
POOL = {
    "asked": ["strong"], "bar": 1.0,
    "models": [{"target": "sim/cheap", "context_tokens": 50_000}, {"target": "sim/strong", "context_tokens": 50_000}],
}  # fmt: skip
ROUTING = Entry("routing", "routing", options={"pools": [POOL], "learn": False})
ARMS = [{"name": "new", "model": "other", "options": {"cache": {"ttl_s": 5}}}]
VARIANTS = Entry("variants", "variants", options={"tests": [{"name": "t", "variants": ARMS}]})
CACHE = Entry("cache", "cache")


def call(**more: Any) -> bytes:
    return orjson.dumps({"model": "strong", "messages": [{"role": "user", "content": "hi"}], **more})


async def said(*chain: Entry, raw: bytes = b"") -> dict[str, str]:
    """The line of each plugin."""
    made = with_options(kit.snapshot(*chain))
    plugins = await Registry(replace(kit.kit(), live=kit.FixedLive(made))).prepare(made)
    caller = Caller(agent="default")
    told = await explain(made, plugins, raw or call(), path=PATH, caller=caller, now=kit.FakeClock().monotonic_s)
    found = [line.strip() for line in lines(told)]
    return {one["plugin"]: next(x for x in found if x.startswith(one["plugin"])) for one in told.plugins}


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({}, "cache: would bypass not deterministic"),
        ({"temperature": 0, "n": 2}, "cache: would bypass n "),
        ({"temperature": 0, "store": True}, "cache: would bypass store"),
        ({"temperature": 0}, "cache: let pass because: it may be answered from the cache"),
    ],
)
async def test_explain_says_whether_the_cache_is_asked_and_why_it_is_not(more: dict[str, Any], why: str) -> None:
    assert why in (await said(CACHE, raw=call(**more)))["cache"]


async def test_a_cache_that_keeps_nothing_has_nothing_to_do() -> None:
    line = (await said(Entry("cache", "cache", options={"ttl_s": 0})))["cache"]
    assert "let pass because: its options leave it nothing to do" in line


async def test_explain_says_why_routing_stays() -> None:
    assert "routing: would stay: best (" in (await said(ROUTING))["routing"]
    other = orjson.dumps({"model": "m", "messages": []})
    assert "would stay: no rule and no pool is for calls that ask for m" in (await said(ROUTING, raw=other))["routing"]
    files = [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]
    assert "would stay: it has parts" in (await said(ROUTING, raw=call(messages=files)))["routing"]
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    assert "would stay: no model of pool 1 is able" in (await said(ROUTING, raw=call(tools=tools)))["routing"]
    assert "would stay: it belongs to what" in (await said(ROUTING, raw=call(previous_response_id="r")))["routing"]


async def test_explain_says_why_routing_moves() -> None:
    entry = Entry("routing", "routing", options={"pools": [{**POOL, "bar": 0.0}], "learn": False})
    assert "routing: would move to sim/cheap: good enough" in (await said(entry))["routing"]


async def test_explain_says_what_a_test_would_assign() -> None:
    assert "would assign t=new" in (await said(VARIANTS, CACHE))["variants"]


async def test_in_shadow_the_record_says_the_same() -> None:
    chain = (replace(VARIANTS, mode="shadow"), replace(ROUTING, mode="shadow"), replace(CACHE, mode="shadow"))
    async with asking(*chain) as weir:
        came = await weir.post(PATH, call(), **{"x-weir-debug": "1"})
        steps = {step[0]: step[2] for step in (await weir.record())["steps"]}
        assert steps["variants"] == "would assign t=new"
        assert steps["routing"].startswith("would stay: best (")
        assert steps["cache"] == "would bypass not deterministic"
        assert "x-weir-variant" not in came.headers
        told = orjson.loads(came.headers["x-weir-debug"])["steps"]
        assert "cache request would bypass not deterministic" in told


async def test_who_asks_is_told_why_the_cache_passes_by_and_routing_stays() -> None:
    async with asking(ROUTING, CACHE) as weir:
        came = await weir.post(PATH, call(), **{"x-weir-debug": "1"})
        told = orjson.loads(came.headers["x-weir-debug"])["steps"]
        assert told[0].startswith("routing request stay: best (")
        assert told[1] == "cache request bypass not deterministic"
        came = await weir.post(PATH, call(), **{"x-weir-debug": "1", "x-weir-route": "off"})
        assert "stay: its caller said x-weir-route: off" in came.headers["x-weir-debug"]
        await weir.post(PATH, call(temperature=0))
        assert "steps" not in await weir.record(3)  # (nobody asked)
