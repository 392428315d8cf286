"""What compression has nothing to do with costs it a look at the bytes, or not even that."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.compression.options import CompressionOptions
from proxy.live import Agent, Entry, Identity, Limits, Snapshot, Streams
from tests.plugins.compression.agents import a_kit, asks, call, calls, gives, made

OFF = {"tool_results": False, "documents": False}


def snapshot(**options: Any) -> Snapshot:
    entry = Entry("compression", "compression", options=options)
    return Snapshot(version=1, upstreams={}, aliases={}, chain=(entry,), agents={}, identity=Identity(),
                    limits=Limits(), streams=Streams())  # fmt: skip


@pytest.mark.parametrize("hook", ["request", "finish"])
def test_with_all_off_no_hook_is_needed(hook: str) -> None:
    plugin = made()
    assert plugin.needed(hook, snapshot(), None)
    assert not plugin.needed(hook, snapshot(**OFF), None)
    for one in ({"user": True}, {"tool_schemas": True}, {"max_context_tokens": 900}):
        assert plugin.needed(hook, snapshot(**OFF, **one), None)


def test_an_agent_of_its_own_mind_is_asked() -> None:
    own = Agent(plugins={"compression": {"options": {"tool_results": True}}})
    assert made().needed("request", snapshot(**OFF), own)


async def test_a_call_without_data_is_not_walked() -> None:
    plugin = made(a_kit())
    exchange = call([asks("How is it? " * 120)])
    await plugin.request(exchange)
    assert not exchange.request.walked
    assert not plugin.finish_waits(exchange)
    data = call([asks("Look"), calls("1"), gives("1", "All is well here. " * 60)])
    await plugin.request(data)
    assert data.request.walked


@pytest.mark.parametrize("options", [CompressionOptions(user=True), CompressionOptions(max_context_tokens=400)])
async def test_options_that_concern_other_texts_have_it_walked(options: CompressionOptions) -> None:
    exchange = call([asks("How   is it?\n\n\n" * 12)], options)
    await made(a_kit()).request(exchange)
    assert exchange.request.walked
