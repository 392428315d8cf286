"""One entry per call: who, what, decided by whom; texts only where they are asked for; strict where it must be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import orjson
import pytest

from benchmarks.provider import Provider
from plugins.audit import CONTENT_CHARS, KIND_BYTES, SECRET_CHARS, Audit
from proxy.channel import ChannelDown
from proxy.errors import Overloaded
from proxy.exchange import MASK, Exchange, Finding, Response, Segment
from proxy.live import Agent, Entry
from proxy.plugin import Kit, NoOptions, Plugin
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


class Veils(Plugin[NoOptions]):
    """Leaves a mask on every call."""

    name = "veils"

    async def request(self, exchange: Exchange) -> None:
        exchange.notes[MASK] = Veil()


class Veil:
    """Hides the letter o."""

    def __init__(self, most: int = 10_000) -> None:
        self.most = most

    def __call__(self, text: str) -> str:
        return text.replace("o", "")

    def slow(self, texts: Sequence[str]) -> bool:
        return sum(map(len, texts)) > self.most


class Torn(Veil):
    def __call__(self, text: str) -> str:
        raise RuntimeError("no mask for this")


VEILS = Entry("veils", "tests.plugins.test_audit:Veils")


@pytest.mark.parametrize("content", ["masked", "full"])
@pytest.mark.parametrize(("surface", "stream"), SPEAKING)
async def test_texts_are_in_an_entry_where_they_are_asked_for(surface: str, stream: bool, content: Any) -> None:
    async with asking(VEILS, content=content) as weir:
        await weir.ask(surface, stream)
        entry = (await weir.record())["audit"]
        assert entry["content"]["mode"] == content
        hides: Any = Veil() if content == "masked" else str
        assert said(entry) == ([hides("say something")], [hides("You said: say something")])


async def test_the_texts_are_those_that_were_sent_and_delivered() -> None:
    async with asking(listed(Swaps, options={"word": "SHOUT", "by": "sing"}), listed(Edits), content="full") as weir:
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
    async with asking(VEILS, content="masked", agents=agents) as weir:
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


def long_call(**content: Any) -> Exchange:
    """A call whose one text is longer than what is kept of it, by a secret's length and more."""
    call = kit.exchange(kit.snapshot(**content))
    call.request.segments[:] = [Segment("user", "text", "ox" * CONTENT_CHARS)]
    call.response = Response()
    return call


async def finished(call: Exchange, kit_: Kit | None = None) -> Any:
    await Audit(kit_ or kit.kit()).finish(call)
    assert call.audit is not None
    return call.audit.content


async def test_without_a_mask_or_where_it_fails_no_text_is_kept_and_the_entry_stays() -> None:
    call = long_call(content="masked")
    assert await finished(call) is None
    for most in (0, 10**9):
        call.notes[MASK] = Torn(most)
        assert await finished(call) is None
        assert call.steps[-1].what == "kept no text"


async def test_long_texts_are_masked_in_a_thread_and_nobody_waits_for_short_ones() -> None:
    threads: list[Any] = []

    class Threads(kit.FakeTasks):
        async def in_thread(self, work: Any, *arguments: Any) -> Any:
            threads.append(work)
            return work(*arguments)

    call, made = long_call(content="masked"), replace(kit.kit(), tasks=Threads())
    for most in (10**9, 0):
        call.notes[MASK] = Veil(most)
        assert Audit(made).finish_waits(call) is bool(threads or not most)
        assert (await finished(call, made))["mode"] == "masked"
    assert len(threads) == 1
    assert not Audit(made).finish_waits(long_call(content="full"))


async def test_a_thread_that_is_not_to_be_had_costs_the_texts_alone() -> None:
    class Full(kit.FakeTasks):
        async def in_thread(self, work: Any, *arguments: Any) -> Any:
            raise Overloaded("Too much work is waiting for a thread.")

    call = long_call(content="masked")
    call.notes[MASK] = Veil(0)
    assert await finished(call, replace(kit.kit(), tasks=Full())) is None


async def test_what_a_cut_has_parted_is_not_kept() -> None:
    """A secret that begins before the cut is known for one by its end alone."""
    secret = "s" * SECRET_CHARS

    class Knows(Veil):
        def __call__(self, text: str) -> str:
            return text.replace(secret, "[SECRET]")

    for before in (CONTENT_CHARS - 10, CONTENT_CHARS + 10):
        call = long_call(content="masked")
        call.request.segments[0] = Segment("user", "text", "x" * before + secret + "y" * CONTENT_CHARS)
        call.notes[MASK] = Knows()
        ((kept,),) = [(await finished(call))["input"]]
        assert "sss" not in kept["text"] and len(kept["text"]) <= CONTENT_CHARS


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
