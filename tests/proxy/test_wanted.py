"""A variant may switch on what the options of all others leave off: by agent, by hook, and in a real worker."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from proxy.live import Agent, Entry
from proxy.registry import Registry, with_options
from proxy.wanted import Wanted
from tests import kit
from tests.asking import asking

PATH = "/v1/chat/completions"
POOL = {"asked": ["strong"], "models": [{"target": "sim/cheap"}, {"target": "sim/strong"}], "bar": 0.0}


def variants(plugin: str, **entry: Any) -> Entry:
    """Half of the users get other options of this plugin."""
    arms = [{"name": "off"}, {"name": "on", "options": {plugin: entry.pop("options")}}]
    return Entry("variants", "variants", options={"tests": [{"name": "t", "unit": "user", "variants": arms}]}, **entry)


async def hooks(*chain: Entry, agent: str = "", agents: dict[str, Agent] | None = None) -> dict[str, frozenset[str]]:
    made = with_options(kit.snapshot(*chain, agents=agents or {}))
    plugins = await Registry(replace(kit.kit(), live=kit.FixedLive(made))).prepare(made)
    wanted = Wanted(made, plugins, agent)
    return {name: wanted.hooks(plugin) for name, plugin in plugins.items()}


async def test_without_a_variant_what_is_off_has_no_hooks() -> None:
    assert not (await hooks(Entry("routing", "routing")))["routing"]
    assert not (await hooks(Entry("cache", "cache", options={"ttl_s": 0})))["cache"]


async def test_a_variant_wakes_the_hooks_that_its_options_need() -> None:
    pools = {"pools": [{**POOL, "cascade": {}}]}
    assert (await hooks(variants("routing", options=pools), Entry("routing", "routing")))["routing"] == {
        "request", "answer", "finish",
    }  # fmt: skip
    found = await hooks(variants("cache", options={"ttl_s": 60}), Entry("cache", "cache", options={"ttl_s": 0}))
    assert {"request", "tape"} <= found["cache"]
    assert "answer" not in found["cache"]


async def test_a_variant_of_an_agent_is_for_its_calls_alone() -> None:
    tests = variants("cache", options={"ttl_s": 60}).options
    agents = {"a": Agent(plugins={"variants": {"options": tests}, "cache": {"options": {"scope": "tenant"}}})}
    chain = (Entry("variants", "variants"), Entry("cache", "cache", options={"ttl_s": 0}))
    assert "request" in (await hooks(*chain, agent="a", agents=agents))["cache"]
    assert not (await hooks(*chain, agents=agents))["cache"]


async def test_tests_that_are_off_wake_nobody() -> None:
    chain = (variants("cache", options={"ttl_s": 60}, enabled=False), Entry("cache", "cache", options={"ttl_s": 0}))
    made = with_options(kit.snapshot(*chain))
    plugins = await Registry(replace(kit.kit(), live=kit.FixedLive(made))).prepare(made)
    assert not Wanted(made, plugins, "").hooks(plugins["cache"])


@pytest.mark.parametrize("plugin", ["cache", "routing", "compression"])
async def test_callers_of_the_variant_get_what_it_switches_on_and_no_others(plugin: str) -> None:
    on, base = {
        "cache": ({"ttl_s": 60.0}, {"ttl_s": 0.0}),
        "routing": ({"pools": [POOL]}, {}),
        "compression": ({"user": True, "min_tokens": 0}, {}),
    }[plugin]
    text = orjson.dumps([{"a": number} for number in range(40)], option=orjson.OPT_INDENT_2).decode()
    sent = {"model": "strong", "temperature": 0, "messages": [{"role": "user", "content": text}]}
    async with asking(variants(plugin, options=on), Entry(plugin, plugin, options=base)) as weir:
        seen = set()
        for number in range(12):
            for _ in range(2):
                came = await weir.post(PATH, orjson.dumps(sent), **{"x-weir-user": f"u{number}"})
            last = orjson.loads(weir.provider.requests[-1].body)
            acted = {
                "cache": came.headers.get("x-weir-cache") == "HIT",
                "routing": last["model"] == "cheap",
                "compression": last["messages"][0]["content"] != text,
            }[plugin]
            assert acted == (came.headers["x-weir-variant"] == "t=on")
            seen.add(acted)
        assert seen == {True, False}
