"""The way back through the whole worker: filters, tapes, holds, hooks that judge answers, failures in mid-stream."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from benchmarks.provider import Provider
from proxy.live import Alias, Entry, Streams, Upstream
from tests.asking import SPEAKING, Asking, asking
from tests.pairs import STREAMING, body
from tests.plugins_for_tests import (
    Answers,
    Breaks,
    Edits,
    Forbids,
    Hangs,
    Holds,
    Judges,
    Refuses,
    Swaps,
    Tapes,
    Watches,
    listed,
)

SAID = "You said: say something"


# --- filters, on every surface


@pytest.mark.parametrize(("surface", "stream"), SPEAKING)
async def test_a_filter_changes_what_the_caller_gets_and_nothing_else_of_it(surface: str, stream: bool) -> None:
    async with asking(listed(Swaps, options={"word": "said: s", "by": "sang: s"})) as weir:
        got = await weir.ask(surface, stream)
        assert (got.status, got.text) == (200, "You sang: say something")
        assert got.complete if stream else True
        record = await weir.record()
        assert (record["usage_source"], record["complete"]) == ("provider", True)


@pytest.mark.parametrize(("surface", "stream"), SPEAKING)
async def test_text_that_is_held_for_a_judgement_comes_when_it_is_judged(surface: str, stream: bool) -> None:
    async with asking(listed(Holds)) as weir:
        assert (await weir.ask(surface, stream)).text == SAID.upper()


@pytest.mark.parametrize("surface", [surface for surface, stream in SPEAKING if not stream])
async def test_a_refused_json_answer_is_an_error_and_is_billed(surface: str) -> None:
    async with asking(listed(Forbids)) as weir:
        got = await weir.ask(surface)
        assert (got.status, got.headers["x-should-retry"]) == (400, "false")
        assert b"something" not in got.raw
        record = await weir.record()
        assert (record["outcome"], record["usage_source"]) == ("refused", "provider")
        assert record["cost_nano_usd"] > 0


@pytest.mark.parametrize("surface", STREAMING)
async def test_a_refused_stream_has_a_proper_end_by_a_content_filter_and_is_billed(surface: str) -> None:
    async with asking(listed(Forbids)) as weir:
        got = await weir.ask(surface, True)
        assert got.status == 200
        assert got.text == "You said:"
        assert got.finish in ("content_filter", "refusal")
        assert got.complete
        assert not got.cut
        record = await weir.record()
        assert (record["outcome"], record["complete"], record["finish"]) == ("refused", False, "content_filter")
        assert record["usage_source"] == "estimated"
        assert record["output_tokens"] > 0
        assert record["cost_nano_usd"] > 0
        await weir.provider.until(lambda: not weir.provider.running)


async def test_a_refusal_of_an_answer_may_be_an_answer_and_what_was_used_is_still_billed() -> None:
    class_ = listed(Forbids)
    async with asking(class_) as weir:
        weir.plugin("forbids").filter = lambda exchange, segment: _AsAnswer()
        got = await weir.ask()
        assert (got.status, got.text, got.finish) == (200, "Not said.", "content_filter")
        record = await weir.record()
        assert (record["outcome"], record["answered_by"]) == ("refused", "forbids")
        assert record["usage_source"] == "provider"
        assert record["cost_nano_usd"] > 0


class _AsAnswer:
    def feed(self, piece: str) -> str:
        from proxy.errors import Refused

        raise Refused("forbids", "Not said.", as_answer=True)

    def close(self) -> str:
        return ""


# --- tapes


@pytest.mark.parametrize(("surface", "stream"), SPEAKING)
async def test_a_tape_takes_what_those_below_made_of_the_answer(surface: str, stream: bool) -> None:
    above, under = listed(Swaps, "above", options={"by": "A"}), listed(Swaps, "under", options={"word": "You"})
    async with asking(above, listed(Tapes), under) as weir:
        assert (await weir.ask(surface, stream)).text == "SHOUT said: A something"
        (tape,) = weir.plugin("tapes").tapes
        assert b"SHOUT" in tape.data
        assert b'"A' not in tape.data
        assert tape.closed == [True]


@pytest.mark.parametrize("stream", [False, True])
async def test_what_a_plugin_above_refuses_is_no_complete_answer_for_a_tape(stream: bool) -> None:
    async with asking(listed(Forbids), listed(Tapes)) as weir:
        await weir.ask(stream=stream)
        await weir.record()
        if stream:
            assert [tape.closed for tape in weir.plugin("tapes").tapes] == [[False]]
        else:
            assert [tape.closed for tape in weir.plugin("tapes").tapes] == [[False]]


@pytest.mark.parametrize("wish", ["cut=4", "error=4", "no_done=1"])
async def test_a_broken_stream_is_no_complete_answer_for_a_tape(wish: str) -> None:
    async with asking(listed(Tapes)) as weir:
        await weir.ask(stream=True, wish=wish)
        await weir.record()
        assert [tape.closed for tape in weir.plugin("tapes").tapes] == [[False]]


async def test_a_caller_that_leaves_leaves_no_complete_answer_for_a_tape() -> None:
    async with asking(listed(Tapes)) as weir:
        call = asyncio.ensure_future(weir.ask(stream=True, wish="interval=0.05 chunks=50"))
        await weir.provider.until(lambda: bool(weir.provider.running))
        await asyncio.sleep(0.1)
        call.cancel()
        await weir.record()
        assert [tape.closed for tape in weir.plugin("tapes").tapes] == [[False]]


async def test_a_plugins_own_answer_passes_the_tapes_above_it_and_not_its_own_place() -> None:
    async with asking(listed(Tapes, "top"), listed(Answers), listed(Tapes, "low")) as weir:
        await weir.ask()
        assert [tape.closed for tape in weir.plugin("top").tapes] == [[True]]
        assert weir.plugin("low").tapes == []


# --- hooks before the first byte


@pytest.mark.parametrize("stream", [False, True])
async def test_a_response_hook_may_add_a_header(stream: bool) -> None:
    async with asking(listed(Watches)) as weir:
        assert (await weir.ask(stream=stream)).headers["x-weir-seen"] == "yes"


async def test_a_response_hook_sees_errors_of_the_provider_too() -> None:
    async with asking(listed(Watches)) as weir:
        assert (await weir.ask(wish="status=404")).status == 404
        await weir.record()
        assert weir.plugin("watches").seen == ["request", "response 404", "finish caller_error"]


# --- hooks that judge whole answers


async def test_a_whole_answer_may_be_replaced_and_what_it_used_is_still_billed() -> None:
    judge = listed(Judges, options={"when": "You said", "text": "say it better"})
    async with asking(listed(Swaps), judge) as weir:
        got = await weir.ask()
        assert got.text == "SHOUT it better"
        record = await weir.record()
        assert (record["answered_by"], record["outcome"]) == ("judges", "ok")
        assert record["usage_source"] == "provider"
        assert record["cost_nano_usd"] > 0


async def test_a_stream_is_judged_only_where_streams_are_buffered() -> None:
    judge = listed(Judges, options={"when": "You said", "text": "better"})
    async with asking(judge) as weir:
        assert (await weir.ask(stream=True)).text == SAID
        assert weir.plugin("judges").seen == []
    async with asking(judge, stream_buffer=True) as weir:
        got = await weir.ask(stream=True)
        assert (got.text, got.complete) == ("better", True)
        assert weir.plugin("judges").seen == [(SAID, "")]


@pytest.mark.parametrize("surface", STREAMING)
async def test_a_buffered_stream_that_is_good_enough_goes_on_as_it_came(surface: str) -> None:
    sent = body(surface, stream=True)
    answers = []
    for changes in ({}, {"stream_buffer": True}):
        async with asking(listed(Judges), listed(Tapes), **changes) as weir:
            got = await weir.ask(surface, raw=sent)
            answers.append((got.raw, sorted(got.headers), got.headers.get("x-request-id")))
            record = await weir.record()
            assert (record["usage_source"], record["complete"]) == ("provider", True)
            assert [tape.closed for tape in weir.plugin("tapes").tapes] == [[True]]
    assert answers[0] == answers[1]


async def test_a_buffered_stream_still_passes_the_filters() -> None:
    async with asking(listed(Swaps), listed(Judges), stream_buffer=True) as weir:
        assert (await weir.ask(stream=True)).text == "You said: SHOUT something"


def second(provider: Provider) -> dict[str, Any]:
    return {"upstreams": [Upstream("second", provider.url)]}


FAILURES = [("status=500", False), ("status=503", True), ("garbage=status", False), ("cut=0", True)]


@pytest.mark.parametrize(("wish", "stream"), FAILURES)
async def test_after_a_failure_a_plugin_may_name_another_target(wish: str, stream: bool) -> None:
    async with Provider() as other:
        judge = listed(Judges, options={"upstream": "second"})
        async with asking(judge, **second(other)) as weir:
            model = f"gpt-4o-mini[[sim {wish}]]"
            weir.plugin("judges").answer = _elsewhere("second", "gpt-4o")
            got = await weir.ask(raw=body("chat", model, stream=stream))
            assert (got.status, got.text) == (200, SAID)
            assert got.headers["x-weir-model"] == "gpt-4o"
            record = await weir.record()
            assert (record["upstream"], record["target_model"], record["outcome"]) == ("second", "gpt-4o", "ok")
            assert record["attempts"] >= 2
            assert other.requests[-1].header("authorization") is None  # the caller's own goes to its home only


def _elsewhere(upstream: str, model: str) -> Any:
    from proxy.exchange import Target

    async def answer(exchange: Any, error: Exception | None) -> Any:
        return Target(upstream, model) if error is not None else None

    return answer


@pytest.mark.parametrize("stream", [False, True])
async def test_after_a_failure_a_plugin_may_answer_itself(stream: bool) -> None:
    async with asking(listed(Swaps), listed(Judges, options={"text": "say: later"})) as weir:
        got = await weir.ask(stream=stream, wish="status=500")
        assert (got.status, got.text, got.streamed) == (200, "SHOUT: later", stream)
        assert (await weir.record())["outcome"] == "ok"


async def test_a_buffered_stream_that_broke_off_is_a_failure_that_may_be_mended() -> None:
    async with asking(listed(Judges, options={"text": "mended"}), stream_buffer=True) as weir:
        got = await weir.ask(stream=True, wish="cut=4")
        assert (got.status, got.text, got.complete) == (200, "mended", True)
        assert weir.plugin("judges").seen[0][1] == "StreamCut"


async def test_a_json_answer_that_broke_off_is_a_failure_that_may_be_mended() -> None:
    async with asking(listed(Judges, options={"text": "mended"})) as weir:
        got = await weir.ask(wish="cut=1")
        assert (got.status, got.text) == (200, "mended")


async def test_the_answer_of_another_target_passes_all_filters_again() -> None:
    async with Provider() as other:
        judge = listed(Judges, options={"upstream": "second"})
        async with asking(judge, listed(Swaps), **second(other)) as weir:
            got = await weir.ask(wish="status=500 times=1")
            assert got.text == "You said: SHOUT something"


async def test_plugins_cannot_send_a_call_in_circles() -> None:
    judge = listed(Judges, options={"upstream": "sim", "when": "You said"})
    async with asking(judge) as weir:
        got = await weir.ask()
        assert (got.status, got.doc["error"]["code"]) == (502, "too_many_targets")


async def test_an_error_before_any_content_goes_to_the_fallback_unseen() -> None:
    async with Provider() as other:
        aliases = {"best": Alias("gpt-4o-mini[[sim error=1]]", "sim", ("second/gpt-4o",))}
        async with asking(listed(Swaps), aliases=aliases, **second(other)) as weir:
            got = await weir.ask(raw=body("chat", "best", stream=True))
            assert (got.text, got.complete) == ("You said: SHOUT something", True)
            assert b'"error"' not in got.raw
            assert (await weir.record())["upstream"] == "second"


# --- failing in mid-stream


async def failing(weir: Asking, surface: str) -> Any:
    return await weir.ask(surface, True)


@pytest.mark.parametrize("surface", STREAMING)
@pytest.mark.parametrize("broken", [Breaks, Hangs])
async def test_a_filter_that_fails_open_in_mid_stream_loses_nothing(surface: str, broken: Any) -> None:
    async with asking(listed(broken, timeout_ms=20)) as weir:
        got = await weir.ask(surface, True)
        assert (got.text, got.complete) == (SAID, True)
        steps = (await weir.record())["audit"]["plugins"][broken.name]
        assert steps[0] == ("filter failed timeout" if broken is Hangs else "filter failed RuntimeError")


@pytest.mark.parametrize("surface", STREAMING)
@pytest.mark.parametrize("broken", [Breaks, Hangs])
async def test_a_filter_that_fails_closed_in_mid_stream_ends_it_with_an_error_event(surface: str, broken: Any) -> None:
    async with asking(listed(broken, timeout_ms=20, on_error="closed")) as weir:
        got = await weir.ask(surface, True, wish="interval=0.02")
        assert b"plugin_failed" in got.raw or b"overloaded_error" in got.raw
        assert b"[DONE]" not in got.raw
        assert got.cut
        assert not got.complete
        assert b"something" not in got.raw
        record = await weir.record()
        assert (record["outcome"], record["complete"]) == ("weir_error", False)
        await weir.provider.until(lambda: not weir.provider.running)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_own_answer_meets_the_same_failures(stream: bool) -> None:
    async with asking(listed(Hangs, timeout_ms=20, on_error="closed"), listed(Answers)) as weir:
        got = await weir.ask(stream=stream)
        assert got.cut == stream
        assert b"mine" not in got.raw
        assert b"plugin_failed" in got.raw
        assert (await weir.record())["outcome"] == "weir_error"


async def test_a_hook_that_hangs_is_left_behind() -> None:
    async with asking(listed(Watches, timeout_ms=20)) as weir:

        async def hang(exchange: Any) -> None:
            await asyncio.Event().wait()

        weir.plugin("watches").response = hang
        got = await weir.ask()
        assert got.text == SAID
        assert "response failed timeout" in (await weir.record())["audit"]["plugins"]["watches"]


# --- while the provider thinks


async def test_a_refusal_after_an_early_answer_is_an_error_event_or_the_answer_it_may_be() -> None:
    quick = Streams(early_answer_s=0.03, heartbeat_s=0.02)
    for as_answer in (False, True):
        guard = listed(Refuses, overlap=True, timeout_ms=5000, options={"as_answer": as_answer})
        async with asking(guard, streams=quick) as weir:
            slow = weir.plugin("refuses")
            judge = type(slow).request

            async def late(exchange: Any, judge: Any = judge, slow: Any = slow) -> Any:
                await asyncio.sleep(0.1)
                return await judge(slow, exchange)

            slow.request = late
            got = await weir.ask(stream=True, wish="delay=0.08")
            assert got.status == 200
            assert got.raw.startswith(b": keep-alive")
            assert (await weir.record())["outcome"] == "refused"
            if as_answer:
                assert (got.text, got.finish, got.complete) == (
                    "Rule 7 does not let this pass.", "content_filter", True,
                )  # fmt: skip
            else:
                assert b"rule_7" in got.raw
                assert got.cut


async def test_an_edited_call_and_a_filtered_answer_stand_together() -> None:
    chain: list[Entry] = [listed(Swaps, options={"word": "SHOUT", "by": "say"}), listed(Edits)]
    async with asking(*chain) as weir:
        for stream in (False, True):
            assert (await weir.ask(stream=stream)).text == SAID
            assert b"SHOUT" in weir.provider.requests[-1].body
