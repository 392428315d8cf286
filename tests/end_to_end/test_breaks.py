"""Providers that are slow, fall silent or break off: what the caller sees of it, and what the record says."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import orjson
import pytest

from benchmarks.provider import Provider
from proxy.live import Alias, Streams, Timeouts, Upstream
from tests.elsewhere import Elsewhere
from tests.pairs import JSON, STREAMING, SURFACES, Opened, opener, wished
from tests.streams import docs

PATH = "/v1/chat/completions"
ENDS = {
    "chat": b"[DONE]",
    "completions": b"[DONE]",
    "messages": b"message_stop",
    "responses": b"response.completed",
}
"""What only a stream that came to its proper end has in it."""
WORDLESS = {"chat": 1, "completions": 0, "messages": 2, "responses": 2}
"""How many events a stream begins with before it says anything."""
BEAT = {"messages": b'event: ping\ndata: {"type": "ping"}\n\n'}
COMMENT = b": keep-alive\n\n"
QUICK: dict[str, Any] = {"upstream": {"ask_usage": "never", "timeouts": Timeouts(first_byte_s=0.2, idle_s=0.2)}}
EARLY = Streams(heartbeat_s=0.05, early_answer_s=0.05)
surfaces = pytest.mark.parametrize("surface", STREAMING)


def is_error(surface: str, raw: bytes) -> bool:
    """Whether the last event is an error in the surface's own dialect."""
    last = docs(raw)[-1]
    if surface in ("chat", "completions"):
        return {"message", "type", "code"} <= set(last["error"])
    if surface == "messages":
        return bool(last["type"] == "error" and last["error"]["type"])
    return last["type"] in ("error", "response.failed")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_hang_before_the_headers_is_a_504_and_cancels_the_provider(opened: Opened, stream: bool) -> None:
    async with opened(**QUICK) as pair:
        for surface in STREAMING:
            got = await pair.through(SURFACES[surface][0], wished(surface, "hang=1", stream=stream))
            assert got.status == 504
            assert orjson.loads(got.body)["error"]["message"]
        await pair.provider.until(lambda: len(pair.provider.cancelled) == len(STREAMING))
        records = await pair.sink.wait_for(len(STREAMING))
        assert {record["outcome"] for record in records} == {"provider_error"}


@surfaces
@pytest.mark.parametrize("wish", ["cut=4", "cut=4 reset=1"])
async def test_a_cut_stream_ends_in_an_error_event_and_not_properly(opened: Opened, surface: str, wish: str) -> None:
    async with opened() as pair:
        direct = await pair.direct(SURFACES[surface][0], wished(surface, wish))
        got = await pair.through(SURFACES[surface][0], wished(surface, wish))
        assert direct.cut
        assert got.status == 200
        assert got.cut
        assert is_error(surface, got.body)
        assert ENDS[surface] not in got.body
        (record,) = await pair.sink.wait_for(1)
        assert record["outcome"] == "provider_error"
        assert record["complete"] is False


@surfaces
async def test_a_stream_that_falls_silent_ends_in_an_error_event_and_is_cancelled(opened: Opened, surface: str) -> None:
    async with opened(**QUICK) as pair:
        got = await pair.through(SURFACES[surface][0], wished(surface, "stall=4"))
        assert got.cut
        assert is_error(surface, got.body)
        assert ENDS[surface] not in got.body
        await pair.provider.until(lambda: len(pair.provider.cancelled) == 1)
        (record,) = await pair.sink.wait_for(1)
        assert record["outcome"] == "provider_error"
        assert record["complete"] is False


@surfaces
async def test_an_end_without_the_last_event_comes_as_it_is_and_is_flagged(opened: Opened, surface: str) -> None:
    async with opened(upstream={"ask_usage": "never"}) as pair:
        direct = await pair.direct(SURFACES[surface][0], wished(surface, "no_done=1"))
        got = await pair.through(SURFACES[surface][0], wished(surface, "no_done=1"))
        assert got.body == direct.body
        assert not got.cut
        (record,) = await pair.sink.wait_for(1)
        assert record["complete"] is False


@surfaces
async def test_an_error_event_in_mid_stream_comes_as_it_is(opened: Opened, surface: str) -> None:
    async with opened(upstream={"ask_usage": "never"}) as pair:
        direct = await pair.direct(SURFACES[surface][0], wished(surface, "error=6"))
        got = await pair.through(SURFACES[surface][0], wished(surface, "error=6"))
        assert got.body == direct.body
        assert is_error(surface, got.body)
        (record,) = await pair.sink.wait_for(1)
        assert record["outcome"] == "provider_error"
        assert record["complete"] is False


@pytest.mark.parametrize("wish", ["1", "status", "chunk", "lengths", "http09", "header"])
async def test_what_is_not_http_is_a_502_in_the_callers_dialect(opened: Opened, wish: str) -> None:
    async with opened() as pair:
        for surface in STREAMING:
            got = await pair.through(SURFACES[surface][0], wished(surface, f"garbage={wish}", stream=False))
            assert got.status == 502
            error = orjson.loads(got.body)["error"]
            assert error["message"]
            assert "127.0.0.1" not in error["message"]


async def test_an_answer_that_is_not_json_comes_as_it_is_and_is_recorded_as_uninspected(opened: Opened) -> None:
    async with opened() as pair:
        got = await pair.through(PATH, wished("chat", "garbage=json", stream=False))
        assert got.status == 200
        assert got.body == b'{"id": "chatcmpl-1'
        (record,) = await pair.sink.wait_for(1)
        assert record["uninspected"] == ["answer"]
        assert record["complete"] is False
        assert (record["outcome"], record["error_code"]) == ("provider_error", "unreadable_answer")


@surfaces
async def test_silence_is_filled_with_heartbeats_between_whole_events(opened: Opened, surface: str) -> None:
    sent = wished(surface, "first=0.1 interval=0.06 chunks=3")
    async with opened(upstream={"ask_usage": "never"}, streams=Streams(heartbeat_s=0.025, hold_s=0.02)) as pair:
        got = await pair.through(SURFACES[surface][0], sent)
        beat = BEAT.get(surface, COMMENT)
        assert got.body.count(beat) >= 3
        assert got.body.replace(beat, b"") == (await pair.direct(SURFACES[surface][0], sent)).body


@surfaces
async def test_a_provider_that_thinks_long_gets_its_200_early_and_beats_until_it_speaks(
    opened: Opened, surface: str
) -> None:
    sent = wished(surface, "delay=0.3")
    async with opened(upstream={"ask_usage": "never"}, streams=EARLY) as pair:
        async with pair.open(SURFACES[surface][0], sent) as answer:
            assert pair.provider.running == 1
            assert answer.status == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            raw = await answer.read()
        beat = BEAT.get(surface, COMMENT)
        assert raw.startswith(beat)
        assert raw.replace(beat, b"") == (await pair.direct(SURFACES[surface][0], sent)).body
        (record,) = await pair.sink.wait_for(1)
        assert record["complete"] is True


@surfaces
@pytest.mark.parametrize("wish", ["delay=0.2 status=429", "delay=0.2 status=500", "delay=0.2 garbage=status", "hang=1"])
async def test_after_an_early_200_an_error_is_an_event(opened: Opened, surface: str, wish: str) -> None:
    upstream = {"timeouts": Timeouts(first_byte_s=0.4)}
    async with opened(upstream=upstream, streams=EARLY) as pair:
        got = await pair.through(SURFACES[surface][0], wished(surface, wish))
        assert got.status == 200
        assert is_error(surface, got.body)
        assert ENDS[surface] not in got.body
        (record,) = await pair.sink.wait_for(1)
        assert record["outcome"] == "provider_error"


@surfaces
@pytest.mark.parametrize(
    "wish",
    ["error=@", "error=@ first=0.05", "cut=@", "cut=@ first=0.05", "cut=0", "status=500", "garbage=status"],
)
async def test_an_early_failure_goes_to_the_fallback_unseen(opened: Opened, surface: str, wish: str) -> None:
    """Also one that comes after the 200, as long as nothing of the answer has been said."""
    wish = wish.replace("@", str(WORDLESS[surface]))
    aliases = {"fast": Alias(f"gpt-4o-mini[[sim {wish}]]", fallbacks=("gpt-4o",))}
    async with opened(aliases=aliases, upstream={"ask_usage": "never"}) as pair:
        path = SURFACES[surface][0]
        got = await pair.through(path, wished(surface, "tools=0").replace(b"gpt-4o-mini[[sim tools=0]]", b"fast"))
        assert len(pair.provider.requests) == 2
        assert got.status == 200
        assert got.body == (await pair.direct(path, pair.sent.body)).body
        (record,) = await pair.sink.wait_for(1)
        assert record["outcome"] == "ok"
        assert record["complete"] is True
        assert record["target_model"] == "gpt-4o"


async def test_after_the_first_word_no_other_target_is_tried(opened: Opened) -> None:
    aliases = {"fast": Alias("gpt-4o-mini[[sim error=4]]", fallbacks=("gpt-4o",))}
    async with opened(aliases=aliases) as pair:
        got = await pair.through(PATH, wished("chat", "x").replace(b"gpt-4o-mini[[sim x]]", b"fast"))
        assert is_error("chat", got.body)
        assert len(pair.provider.requests) == 1


async def test_a_connection_that_died_while_it_waited_costs_no_call(opened: Opened) -> None:
    async with opened() as pair:
        for number in range(20):
            for connection in list(pair.provider.connections):
                connection.transport.close() if number % 2 else connection.transport.abort()
            got = await pair.through(PATH, wished("chat", "tools=0", stream=bool(number % 3)))
            assert got.status == 200
            assert not got.cut


async def test_times_are_told_apart(opened: Opened) -> None:
    async with opened() as pair:
        await pair.through(PATH, wished("chat", "first=0.15 interval=0.02 chunks=5"))
        (record,) = await pair.sink.wait_for(1)
        assert 140 <= record["ttft_ms"] < 400
        assert record["total_ms"] >= record["ttft_ms"] + 40
        assert record["overhead_ms"] < 100


async def test_the_callers_credential_stays_with_the_provider_it_was_meant_for(opened: Opened) -> None:
    """Whichever way the call comes to another one: by its status, or by what came after its 200."""
    for wish in ("status=500", "error=1", "cut=1"):
        alias = Alias(f"gpt-4o-mini[[sim {wish}]]", upstream="sim", fallbacks=("elsewhere",))
        async with Provider() as other, opened(aliases={"fast": alias}, upstream={"models": ("gpt-*",)}) as pair:
            running = pair.running
            first = running.worker.live.current
            second = Upstream("other", other.url, models=("elsewhere",))
            await running.worker.swap(replace(first, upstreams={**first.upstreams, "other": second}, resolve=None))
            got = await pair.through(PATH, wished("chat", "x").replace(b"gpt-4o-mini[[sim x]]", b"fast"))
            assert got.status == 200
            assert pair.sent.header("authorization") == "Bearer sk-caller"
            assert [each.header("authorization") for each in other.requests] == [None]


async def test_every_fallback_has_its_turn(opened: Opened) -> None:
    wishes = ("error=1", "cut=1", "status=500", "error=0", "cut=0")
    first, *others = (f"gpt-4o-mini[[sim {wish}]]" for wish in wishes)
    alias = Alias(first, fallbacks=(*others, "gpt-4o"))
    async with opened(aliases={"fast": alias}, upstream={"ask_usage": "never"}) as pair:
        got = await pair.through(PATH, wished("chat", "x").replace(b"gpt-4o-mini[[sim x]]", b"fast"))
        assert [each.json["model"] for each in pair.provider.requests] == [first, *others, "gpt-4o"]
        assert got.body == (await pair.direct(PATH, pair.sent.body)).body
        (record,) = await pair.sink.wait_for(1)
        assert record["attempts"] == 6


async def test_json_for_a_stream_is_an_error_event_where_the_200_has_gone_out() -> None:
    """And comes as it is where it has not."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.2 if b"x-slow" in head else 0)
        body = b'{"id":"x","object":"chat.completion","choices":[]}'
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n")
        writer.write(b"content-length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    provider = Elsewhere(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with server, opener(None)(provider=provider, streams=EARLY) as pair:
        sent = wished("chat", "tools=0")
        at_once = await pair.through(PATH, sent)
        assert orjson.loads(at_once.body)["id"] == "x"
        late = await pair.through(PATH, sent, headers=(*JSON, ("x-slow", "1")))
        assert late.cut
        assert is_error("chat", late.body)
