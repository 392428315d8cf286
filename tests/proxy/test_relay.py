"""Calls that no codec reads: policy, credentials, stored responses; what is untouched is in end_to_end."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import orjson
import pytest

from benchmarks.provider import Provider
from benchmarks.simulated.plan import Stream as Planned
from benchmarks.simulated.plan import json_answer
from proxy import wire
from proxy.exchange import Usage
from proxy.live import CallerKey, Identity, Limits, Upstream
from tests.asking import Asking, asking
from tests.plugins_for_tests import Breaks, Edits, Forbids, Swaps, Tapes, Watches, listed
from tests.scripted import Scripted, answer
from tests.worker import DEFAULT, Sink, weir

KEYED = Identity(keys=(CallerKey("k", hashlib.sha256(b"weir-k").hexdigest()),), pass_through=False)
STRANGER = "203.0.113.9"


async def stored(weir: Asking, **more: Any) -> str:
    made = await weir.ask("responses", raw=orjson.dumps({"model": "gpt-4o-mini", "input": "say something", **more}))
    return str(made.doc["id"])


# --- paths


@pytest.mark.parametrize(
    "path",
    [
        "/v1/engines/gpt-4o/completions",
        "/v1/engines/gpt-4o/chat/completions",
        "/v1/Engines/gpt%2D4o/embeddings/",
        "/openai/deployments/gpt-4o/Chat/completions",
        "/api/v1/chat/completions",
        "/anthropic/v1/messages",
    ],
)
async def test_a_call_that_codecs_know_goes_by_no_path_that_they_do_not(path: str) -> None:
    async with asking() as weir:
        raw = orjson.dumps({"prompt": "mail ann@example.org", "messages": []})
        got = await weir.post(path, raw)
        assert (got.status, b"name the model in the body" in got.raw) == (404, True)
        assert not weir.provider.requests


@pytest.mark.parametrize("path", ["/v1/threads/thread_1/messages", "/v1/fine_tuning/jobs"])
async def test_other_paths_are_relayed_as_they_are(path: str) -> None:
    async with asking() as weir:
        await weir.post(path, b"{}")
        assert len(weir.provider.requests) == 1


# --- stored responses


async def test_a_stored_response_passes_the_filters_it_passed_when_it_was_new() -> None:
    async with asking(listed(Swaps)) as weir:
        got = await weir.get(f"/v1/responses/{await stored(weir)}", "responses")
        assert (got.status, got.text) == (200, "You said: SHOUT something")
        record = await weir.record(2)
        assert (record["surface"], record["uninspected"]) == ("responses", [])


async def test_reading_it_again_costs_nothing_and_remembers_nothing() -> None:
    async with asking(listed(Tapes), listed(Watches)) as weir:
        id_ = await stored(weir)
        weir.plugin("watches").seen.clear()
        await weir.get(f"/v1/responses/{id_}", "responses")
        record = await weir.record(2)
        assert (record["usage_source"], record["cost_nano_usd"]) == ("none", None)
        assert [tape.closed for tape in weir.plugin("tapes").tapes] == [[True], [False]]
        assert weir.plugin("watches").seen == []  # it was not asked on the way out, so neither at the end


async def test_a_stored_response_may_be_refused() -> None:
    async with asking(listed(Forbids)) as weir:
        weir.plugin("forbids").filter, real = (lambda exchange, segment: None), weir.plugin("forbids").filter
        id_ = await stored(weir)
        weir.plugin("forbids").filter = real
        got = await weir.get(f"/v1/responses/{id_}", "responses")
        assert got.status == 400
        assert b"something" not in got.raw


def streaming(weir: Asking, text: str = "say something") -> None:
    """The provider streams what it stored."""
    raw = wire.codec("responses").compose(text, model="m", id="r", stream=True, finish="stop", usage=Usage(1))
    weir.provider._route = lambda call: Planned(iter([raw[:400], raw[400:]]), b"", b"")  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("plugin", "text", "outcome"), [(Swaps, "SHOUT something", "ok"), (Forbids, "", "refused"), (Breaks, "", "x")]
)
async def test_a_stored_response_that_is_streamed_passes_the_filters_too(plugin: Any, text: str, outcome: str) -> None:
    async with asking(listed(plugin, on_error="closed")) as weir:
        streaming(weir)
        got = await weir.get("/v1/responses/resp_1?stream=true", "responses")
        assert got.streamed
        if plugin is Breaks:
            assert not got.complete or got.text == "say something"
            return
        assert (got.text, got.complete, got.cut) == (text, True, False)
        assert (await weir.record())["outcome"] == outcome


async def test_its_input_is_read_too() -> None:
    async with asking(listed(Swaps)) as weir:
        got = await weir.get(f"/v1/responses/{await stored(weir)}/input_items", "responses")
        assert b"SHOUT something" in got.raw


async def test_what_no_codec_reads_of_it_is_recorded_or_refused() -> None:
    async with asking() as weir:
        weir.provider._route = lambda call: json_answer({"x": 1})  # type: ignore[method-assign]
        assert (await weir.get("/v1/responses/r/other")).status == 200
        assert (await weir.record())["uninspected"] == ["answer"]
    async with asking(uninspected="refuse") as weir:
        weir.provider._route = lambda call: json_answer({"x": 1})  # type: ignore[method-assign]
        got = await weir.get("/v1/responses/r/other")
        assert (got.status, got.doc["error"]["code"]) == (403, "uninspected")


# --- what is relayed


@pytest.mark.parametrize(
    ("status", "outcome"), [(404, "caller_error"), (429, "provider_error"), (500, "provider_error")]
)
async def test_whose_fault_an_error_is_is_told_as_on_any_surface(status: int, outcome: str) -> None:
    async with asking() as weir:
        got = await weir.post("/v1/moderations", b'{"input":"x"}', **{"x-sim": f"status={status}"})
        assert got.status == status
        assert (await weir.record())["outcome"] == outcome


async def test_usage_that_small_json_tells_is_metered() -> None:
    async with asking() as weir:
        got = await weir.post("/v1/images/generations", b'{"model":"gpt-image-1","prompt":"x"}')
        record = await weir.record()
        if "usage" in got.doc:
            assert (record["usage_source"], record["input_tokens"]) == ("provider", got.doc["usage"]["input_tokens"])
        assert (record["surface"], record["complete"]) == ("relay", True)


@pytest.mark.parametrize(
    ("given", "made", "known"),
    [("7", "2", (7, 2)), ("9000000000000000000", "2", (0, 2)), ("-5", "-1", (0, 0)), ("9e30", "2", (None, None)),
     ("true", "2", (None, None)), ("99999999999999999999999", "1", (None, None))],
)  # fmt: skip
async def test_a_count_that_is_none_costs_neither_the_record_nor_less_than_nothing(
    given: str, made: str, known: tuple[int | None, int | None]
) -> None:
    usage = f'{{"input_tokens":{given},"output_tokens":{made}}}'.encode()
    body = b'{"model":"%b","usage":%b}' % (b"m" * 9999, usage)
    async with Scripted() as provider, weir(*DEFAULT, provider=cast(Provider, provider)) as running:
        provider.scripts.append((answer(body, b"Content-Type: application/json"),))
        async with aiohttp.ClientSession() as session:
            url, told = f"{running.url}/images/generations", {"authorization": "Bearer sk-caller"}
            async with session.post(url, data=b'{"prompt":"x"}', headers=told) as got:
                assert await got.read() == body
        (record,) = await running.sink.wait_for(1)
    assert (record["input_tokens"], record["output_tokens"]) == known
    assert record["served_model"] == ("" if known[0] is None else "m" * 512)
    assert "audit" in record


async def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    async with asking(limits=Limits(relay_bytes=100)) as weir:
        got = await weir.post("/v1/files", b"x" * 101)
        assert got.status == 413
        assert not weir.provider.requests


async def test_plugins_are_not_asked_about_it() -> None:
    async with asking(listed(Edits), listed(Watches)) as weir:
        await weir.post("/v1/moderations", b'{"input":"say something"}')
        record = await weir.record()
        assert weir.provider.requests[-1].body == b'{"input":"say something"}'
        assert set(record["plugins_us"]) == {"audit", "metering"}
        assert record["audit"]["metadata"]["uninspected"] == ["path"]


async def test_it_is_noted_before_it_is_sent_where_audit_is_strict() -> None:
    class Full(Sink):
        async def put_durable(self, line: bytes) -> None:
            from proxy.channel import ChannelFull

            raise ChannelFull("The record of this call cannot be kept.")

    async with asking(audit_strict=True) as weir:
        await weir.post("/v1/moderations", b'{"input":"x"}')
        (begun,) = weir.running.sink.durable
        assert begun["audit"]["action"] == "llm.call.begin"
    async with asking(audit_strict=True, sink=Full()) as weir:
        got = await weir.post("/v1/moderations", b'{"input":"x"}')
        assert got.status == 503
        assert not weir.provider.requests


# --- credentials


def from_afar(weir: Asking) -> None:
    """As if callers came from another machine."""
    house = weir.running.worker.pipeline.house
    known = house.identify

    def identify(snapshot: Any, incoming: Any, secret: bytes) -> Any:
        away = SimpleNamespace(remote=STRANGER, path=incoming.path, headers=incoming.headers)
        return known(snapshot, away, secret)

    object.__setattr__(house, "identify", identify)


async def test_a_stranger_spends_no_key_of_weirs_on_a_relayed_path_or_a_websocket() -> None:
    own = Upstream("paid", "http://127.0.0.1:9/v1", key="weirs-own", dialects=("chat",))
    async with asking(upstreams=[own], upstream={"dialects": ("messages",)}) as weir:
        from_afar(weir)
        got = await weir.get("/v1/files", authorization="Bearer theirs")
        assert got.status == 401
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await weir.session.ws_connect(
                weir.running.root + "/v1/realtime", headers={"authorization": "Bearer theirs"}
            )
        assert refused.value.status == 401


async def test_a_key_of_weirs_that_a_browser_sends_as_a_subprotocol_ends_here() -> None:
    async with asking(identity=KEYED, upstream={"key": "weirs-own"}) as weir:
        protocols = ("realtime", "openai-insecure-api-key.weir-k", "openai-beta.realtime-v1")
        async with weir.session.ws_connect(weir.running.root + "/v1/realtime", protocols=protocols) as socket:
            await socket.send_str("hello")
            assert await socket.receive_str() == "hello"
        sent = weir.provider.requests[-1]
        assert sent.header("authorization") == "Bearer weirs-own"
        assert "weir-k" not in (sent.header("sec-websocket-protocol") or "")
        assert "realtime" in (sent.header("sec-websocket-protocol") or "")
        record = await weir.record()
        assert (record["key"], record["uninspected"], record["status"]) == ("k", ["websocket"], 101)


async def test_a_callers_own_key_in_a_subprotocol_goes_on_to_its_provider() -> None:
    async with asking() as weir:
        protocols = ("realtime", "openai-insecure-api-key.sk-theirs")
        async with weir.session.ws_connect(weir.running.root + "/v1/realtime", protocols=protocols) as socket:
            await socket.close()
        assert "sk-theirs" in (weir.provider.requests[-1].header("sec-websocket-protocol") or "")


async def test_without_a_key_a_websocket_is_not_opened_where_keys_are_needed() -> None:
    async with asking(identity=KEYED, upstream={"key": "weirs-own"}) as weir:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await weir.session.ws_connect(weir.running.root + "/v1/realtime")
        assert refused.value.status == 401
        assert not weir.provider.requests
