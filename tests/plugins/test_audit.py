"""One entry per call: who, what, decided by whom; texts only where they are asked for; strict where it must be."""

from __future__ import annotations

from typing import Any, cast

import orjson
import pytest

from benchmarks.provider import Provider
from plugins.audit import CONTENT_CHARS, KIND_BYTES, Audit
from proxy.channel import ChannelDown
from proxy.exchange import Finding, Response, Segment
from proxy.live import Agent
from tests import kit
from tests.asking import SPEAKING, asking
from tests.plugins_for_tests import Edits, Refuses, Swaps, listed
from tests.worker import Sink


async def test_an_entry_says_who_did_what_and_what_came_of_it() -> None:
    async with asking(listed(Edits), listed(Refuses, options={"word": "zebra"})) as weir:
        await weir.ask(x_weir_agent="tax", x_weir_user="u", x_weir_session="s")
        record = await weir.record()
        entry = record["audit"]
        assert (entry["agent"], entry["user"], entry["session"]) == ("tax", "u", "s")
        assert (entry["action"], entry["call"], entry["at"]) == ("llm.call", record["id"], record["at"])
        assert (entry["seq"], entry["outcome"]) == (1, "ok")
        assert entry["plugins"] == {"audit": [], "metering": [], "edits": [], "refuses": []} | {"edits": []}
        assert entry["metadata"] | {} == {
            "surface": "chat", "method": "POST", "path": "/v1/chat/completions", "model": "gpt-4o-mini",
            "stream": False, "key": None, "settings": 1, "status": 200, "answered_by": "upstream", "upstream": "sim",
            "served_model": "gpt-4o-mini", "finish": "stop", "complete": True, "findings": [], "uninspected": [],
        }  # fmt: skip
        assert "content" not in entry


async def test_entries_of_a_worker_are_numbered_without_a_gap() -> None:
    async with asking() as weir:
        for _ in range(4):
            await weir.ask()
        await weir.get("/v1/files")
        entries = [one["audit"] for one in await weir.running.sink.wait_for(5)]
        assert [one["seq"] for one in entries] == [1, 2, 3, 4, 5]
        assert len({one["worker"] for one in entries}) == 1


@pytest.mark.parametrize("raw", [b"not json", b'{"model": 5}', b'{"messages":[]}'])
async def test_a_call_that_was_turned_away_is_an_entry_too(raw: bytes) -> None:
    async with asking(content="full") as weir:
        assert (await weir.ask(raw=raw)).status in (400, 404)
        entry = (await weir.record())["audit"]
        assert entry["outcome"] == "caller_error"
        assert "not json" not in str(entry)


async def test_what_is_remembered_of_kinds_of_calls_is_bounded_in_bytes() -> None:
    audit = Audit(kit.kit())
    for reason in ("stop", "x" * KIND_BYTES, "y" * KIND_BYTES):
        call = kit.exchange()
        call.response = Response(finish=reason)
        await audit.finish(call)
        assert call.audit is not None and orjson.loads(call.audit.manifest)["metadata"]["finish"] == reason
    assert len(audit._usual) == 1


async def test_no_number_of_a_plugin_costs_an_entry() -> None:
    call = kit.exchange()
    call.find(Finding("g", "odd\ud800", cast(Any, 2**70), "refuse"))
    await Audit(kit.kit()).finish(call)
    assert call.audit is not None
    assert orjson.loads(call.audit.manifest)["metadata"]["findings"] == [["g", "odd?", "refuse", None, 1.0, {}]]


# --- texts


def said(entry: Any) -> tuple[list[str], list[str]]:
    content = entry["content"]
    return [one["text"] for one in content["input"]], [one["text"] for one in content["output"]]


@pytest.mark.parametrize("content", ["masked", "full"])
@pytest.mark.parametrize(("surface", "stream"), SPEAKING)
async def test_texts_are_in_an_entry_where_they_are_asked_for(surface: str, stream: bool, content: Any) -> None:
    async with asking(content=content) as weir:
        await weir.ask(surface, stream)
        entry = (await weir.record())["audit"]
        assert entry["content"]["mode"] == content
        assert said(entry) == (["say something"], ["You said: say something"])


async def test_the_texts_are_those_that_were_sent_and_delivered() -> None:
    async with asking(listed(Swaps, options={"word": "SHOUT", "by": "sing"}), listed(Edits), content="masked") as weir:
        for stream in (False, True):
            await weir.ask(stream=stream)
        for record in await weir.running.sink.wait_for(2):
            assert said(record["audit"]) == (["SHOUT something"], ["You said: sing something"])


async def test_no_text_is_anywhere_in_a_record_where_none_is_asked_for() -> None:
    async with asking(listed(Refuses)) as weir:
        await weir.ask()
        assert b"something" not in orjson.dumps(await weir.record())


async def test_an_agent_has_its_own_word_on_its_texts() -> None:
    agents = {"open": Agent(content="full"), "shut": Agent(content="none")}
    async with asking(content="masked", agents=agents) as weir:
        for agent in ("open", "shut", "other"):
            await weir.ask(x_weir_agent=agent)
        records = await weir.running.sink.wait_for(3)
        modes = [one["audit"].get("content", {}).get("mode") for one in records]
        assert modes == ["full", None, "masked"]


async def test_a_long_text_is_cut_and_says_so() -> None:
    audit, call = Audit(kit.kit()), kit.exchange(kit.snapshot(content="full"))
    call.request.segments[:] = [Segment("user", "text", "x" * (CONTENT_CHARS + 5))] + [
        Segment("user", "text", "y") for _ in range(3)
    ]
    call.response = Response()
    await audit.finish(call)
    assert call.audit is not None
    kept = call.audit.content["input"]
    assert [len(one["text"]) for one in kept] == [CONTENT_CHARS, len("3 more texts")]
    assert kept[1] == {"role": "", "kind": "cut", "text": "3 more texts"}


# --- strict


class Witness(Sink):
    """Notes what the provider had seen when an entry was made durable."""

    def __init__(self, provider: Provider, error: Exception | None = None) -> None:
        super().__init__()
        self.seen: list[int] = []
        self._provider = provider
        self._error = error

    async def put_durable(self, line: bytes) -> None:
        self.seen.append(len(self._provider.requests))
        if self._error is not None:
            raise self._error
        await super().put_durable(line)


@pytest.mark.parametrize("stream", [False, True])
async def test_in_strict_mode_an_entry_is_durable_before_the_provider_is_called(stream: bool) -> None:
    provider = Provider()
    sink = Witness(provider)
    async with asking(provider=provider, sink=sink, audit_strict=True) as weir:
        assert (await weir.ask(stream=stream)).status == 200
        assert sink.seen == [0]
        (begun,) = sink.durable
        record = await weir.record()
        assert (begun["audit"]["action"], record["audit"]["action"]) == ("llm.call.begin", "llm.call")
        assert begun["audit"]["call"] == record["id"]
        assert (begun["audit"]["seq"], record["audit"]["seq"]) == (1, 2)


async def test_in_strict_mode_a_call_that_cannot_be_noted_is_not_made() -> None:
    provider = Provider()
    sink = Witness(provider, ChannelDown("The record of this call was not confirmed in time."))
    async with asking(provider=provider, sink=sink, audit_strict=True) as weir:
        got = await weir.ask()
        assert (got.status, got.doc["error"]["code"]) == (503, "control_unavailable")
        assert not provider.requests
        assert (await weir.record())["outcome"] == "weir_error"


async def test_a_call_that_is_refused_needs_no_durable_entry() -> None:
    async with asking(listed(Refuses), audit_strict=True) as weir:
        await weir.ask()
        assert (await weir.record())["audit"]["outcome"] == "refused"
        assert weir.running.sink.durable == []
