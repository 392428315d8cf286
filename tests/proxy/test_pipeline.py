"""A call through the whole worker on its way out: edits, refusals, answers of plugins, envelopes, who sees the end."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import orjson
import pytest

from proxy.live import Agent, CallerKey, Entry, Identity, When
from tests.asking import FORMS, SPEAKING, asking, soon
from tests.pairs import STREAMING, SURFACES, body
from tests.plugins_for_tests import (
    Answers,
    Calls,
    Edits,
    Forbids,
    Keeps,
    Limits,
    Refuses,
    Sets,
    Swaps,
    Tapes,
    Watches,
    listed,
)


@pytest.mark.parametrize(("surface", "stream"), FORMS)
async def test_what_a_plugin_edits_is_what_the_provider_gets(surface: str, stream: bool) -> None:
    async with asking(listed(Edits)) as weir:
        got = await weir.ask(surface, stream)
        assert got.status == 200
        assert b"SHOUT something" in weir.provider.requests[-1].body


async def test_parameters_and_texts_that_a_plugin_adds_are_sent() -> None:
    async with asking(listed(Sets)) as weir:
        await weir.ask()
        sent = weir.provider.requests[-1].json
        assert sent["temperature"] == 0
        assert sent["messages"][0] == {"role": "system", "content": "Be kind."}
        assert sent["messages"][1]["content"] == "say something"


@pytest.mark.parametrize(("surface", "stream"), FORMS)
async def test_a_refusal_is_an_error_of_the_callers_dialect_that_quotes_nothing_and_is_not_tried_again(
    surface: str, stream: bool
) -> None:
    async with asking(listed(Refuses)) as weir:
        got = await weir.ask(surface, stream)
        assert got.status == 400
        assert got.headers["x-should-retry"] == "false"
        assert b"Rule 7" in got.raw
        assert b"something" not in got.raw
        error = got.doc["error"]
        assert error["type"] == "invalid_request_error"
        assert got.doc.get("type") == "error" if surface == "messages" else error["code"] == "rule_7"
        assert not weir.provider.requests
        record = await weir.record()
        assert (record["outcome"], record["error_code"], record["status"]) == ("refused", "rule_7", 400)
        assert record["cost_nano_usd"] == 0
        assert record["audit"]["plugins"]["refuses"] == ["request refused rule_7"]


@pytest.mark.parametrize(("surface", "stream"), SPEAKING)
async def test_a_refusal_may_be_an_answer_that_a_content_filter_ended(surface: str, stream: bool) -> None:
    finish = {"messages": "refusal", "responses": "content_filter"}.get(surface, "content_filter")
    async with asking(listed(Refuses, options={"as_answer": True})) as weir:
        got = await weir.ask(surface, stream)
        assert got.status == 200
        assert got.streamed == stream
        assert (got.text, got.finish) == ("Rule 7 does not let this pass.", finish)
        assert got.complete if stream else True
        assert not weir.provider.requests
        record = await weir.record()
        assert (record["outcome"], record["answered_by"], record["status"]) == ("refused", "refuses", 200)
        assert record["error_code"] == "rule_7"


async def test_embeddings_have_no_words_so_their_refusal_stays_an_error() -> None:
    async with asking(listed(Refuses, options={"as_answer": True})) as weir:
        assert (await weir.ask("embeddings")).status == 400


async def test_a_refusal_that_is_an_answer_passes_those_above_and_is_an_error_where_they_will_not_have_it() -> None:
    async with asking(
        listed(Swaps, options={"word": "Rule", "by": "Law"}), listed(Refuses, options={"as_answer": True})
    ) as weir:
        assert (await weir.ask()).text == "Law 7 does not let this pass."
    async with asking(listed(Forbids, options={"word": "Rule"}), listed(Refuses, options={"as_answer": True})) as weir:
        got = await weir.ask()
        assert (got.status, got.doc["error"]["code"]) == (400, "rule_7")


async def test_a_limit_says_when_to_come_back() -> None:
    async with asking(listed(Limits)) as weir:
        got = await weir.ask()
        assert (got.status, got.headers["retry-after"]) == (429, "7")
        assert (await weir.record())["outcome"] == "limited"


@pytest.mark.parametrize("form", ["text", "body", "events"])
@pytest.mark.parametrize(("surface", "stream"), SPEAKING)
async def test_a_plugin_answers_at_once_in_the_form_the_caller_asked_for(surface: str, stream: bool, form: str) -> None:
    chain = (listed(Watches), listed(Swaps), listed(Answers, options={"form": form}), listed(Edits))
    async with asking(*chain) as weir:
        got = await weir.ask(surface, stream)
        assert got.status == 200
        assert got.streamed == stream
        assert got.text == "mine: SHOUT no more"  # those above still filter it
        assert got.complete if stream else True
        assert not weir.provider.requests
        record = await weir.record()
        assert (record["answered_by"], record["outcome"], record["complete"]) == ("answers", "ok", True)
        assert (record["cost_nano_usd"], record["price_source"]) == (0, "answered_by_weir")
        assert "edits" not in record["plugins_us"]  # it stands below
        assert weir.plugin("watches").seen == ["request", "response 200", "finish ok"]


async def test_a_plugins_own_headers_go_out_once() -> None:
    async with (
        asking(listed(Answers)) as weir,
        weir.session.post(weir.running.root + "/v1/chat/completions", data=b'{"model":"m","messages":[]}') as answer,
    ):
        assert answer.headers.getall("x-weir-cache") == ["HIT"]
        assert answer.headers["x-own"] == "1"


async def test_a_body_that_answers_embeddings_goes_out_as_it_is() -> None:
    async with asking(listed(Answers, options={"form": "body"})) as weir:
        got = await weir.ask("embeddings", raw=b'{"model":"m","input":"x"}')
        assert got.doc["object"] == "list"


async def test_a_recorded_call_of_a_tool_is_not_turned_into_another_form() -> None:
    async with asking(listed(Calls)) as weir:
        assert b'"tool_calls"' in (await weir.ask()).raw
        assert (await weir.ask(stream=True)).status == 503


async def test_finish_hooks_run_for_whoever_was_entered_whatever_happens() -> None:
    async with asking(listed(Watches, "above"), listed(Refuses), listed(Watches, "under")) as weir:
        await weir.ask()
        await weir.record()
        assert weir.plugin("above").seen == ["request", "finish refused"]
        assert weir.plugin("under").seen == []


async def test_the_end_has_more_time_than_a_hook_that_somebody_waits_for() -> None:
    async with asking(listed(Watches, timeout_ms=5)) as weir:
        ended: list[str] = []

        async def slow(exchange: Any) -> None:
            await asyncio.sleep(0.05)
            ended.append(exchange.id)

        weir.plugin("watches").finish = slow
        await weir.ask()
        assert ended == [(await weir.record())["id"]]


async def test_a_caller_that_leaves_is_seen_by_finish_hooks() -> None:
    async with asking(listed(Watches)) as weir:
        call = asyncio.ensure_future(weir.ask(wish="hang"))
        await weir.provider.until(lambda: bool(weir.provider.requests))
        call.cancel()
        record = await weir.record()
        assert record["outcome"] == "cancelled"
        assert weir.plugin("watches").seen == ["request", "finish cancelled"]


# --- envelopes


async def test_in_shadow_nothing_changes_and_what_would_have_happened_is_recorded() -> None:
    chain = [listed(cls, mode="shadow") for cls in (Edits, Sets, Refuses, Answers, Swaps, Forbids, Tapes)]
    async with asking(*chain) as weir:
        sent = b'{ "model":"gpt-4o-mini", "messages":[{"role":"user","content":"say caf\\u00e9"}] }'
        got = await weir.ask(raw=sent)
        assert weir.provider.requests[-1].body == sent
        assert got.text == "You said: say café"
        plugins = (await weir.record())["audit"]["plugins"]
        assert plugins["edits"] == ["request would edit 1"]
        assert plugins["sets"] == ["request would set temperature", "request would insert 1"]
        assert plugins["refuses"] == ["request would refuse rule_7"]
        assert plugins["answers"] == ["request would answer"]
        assert plugins["swaps"] == ["filter would edit"]
        assert plugins["forbids"] == ["filter would refuse refused"]
        assert weir.plugin("tapes").tapes == []


@pytest.mark.parametrize("stream", [False, True])
async def test_filters_in_shadow_leave_every_byte_of_the_answer(stream: bool) -> None:
    answers = []
    for chain in ([listed(Swaps, mode="shadow")], []):
        async with asking(*chain) as weir:
            answers.append((await weir.ask(stream=stream)).raw)
    assert answers[0] == answers[1]


async def test_what_is_written_in_shadow_is_not_there_for_enforcing_calls() -> None:
    agents = {"quiet": Agent(plugins={"keeps": {"mode": "shadow"}})}
    async with asking(listed(Keeps), agents=agents) as weir:
        for _ in range(3):
            await weir.ask(x_weir_agent="quiet")
        await weir.ask()
        counts = [count for count, _, _ in weir.plugin("keeps").found]
        assert counts == [1, 2, 3, 1]
        assert [ok for _, ok, _ in weir.plugin("keeps").found] == [True, True, False, True]


async def test_an_agent_has_its_own_options_mode_and_switch() -> None:
    agents = {
        "loud": Agent(plugins={"edits": {"options": {"by": "ROAR"}}}),
        "off": Agent(plugins={"edits": {"enabled": False}}),
        "quiet": Agent(plugins={"edits": {"mode": "shadow"}}),
    }
    said = {"default": b"SHOUT some", "loud": b"ROAR some", "off": b"say some", "quiet": b"say some"}
    async with asking(listed(Edits), agents=agents) as weir:
        for agent, words in said.items():
            await weir.ask(x_weir_agent=agent)
            assert words in weir.provider.requests[-1].body
        await weir.post("/agents/loud" + SURFACES["chat"][0], orjson.dumps({"model": "m", "messages": [
            {"role": "user", "content": "say some"}]}))  # fmt: skip
        assert b"ROAR some" in weir.provider.requests[-1].body


async def test_a_share_of_the_conversations_is_the_same_for_all_their_turns() -> None:
    async with asking(listed(Edits, when=When(share=0.5))) as weir:
        edited = []
        for session in range(40):
            turns = set()
            for _ in range(2):
                await weir.ask(x_weir_session=str(session))
                turns.add(b"SHOUT" in weir.provider.requests[-1].body)
            assert len(turns) == 1
            edited.append(turns.pop())
        assert 5 < sum(edited) < 35


async def test_the_kit_remembers_counts_and_reserves() -> None:
    async with asking(listed(Keeps)) as weir:
        for _ in range(3):
            await weir.ask()
        assert weir.plugin("keeps").found == [(1, True, None), (2, True, 13), (3, False, 13)]


async def test_while_bypassed_only_audit_and_metering_run() -> None:
    async with asking(listed(Refuses), listed(Edits), bypass=True) as weir:
        got = await weir.ask()
        assert got.status == 200
        record = await weir.record()
        assert set(record["plugins_us"]) <= {"audit", "metering"}
        assert record["audit"]["action"] == "llm.call"


# --- guards that judge beside the call


@pytest.mark.parametrize("stream", [False, True])
async def test_a_guard_beside_the_call_refuses_before_the_first_byte(stream: bool) -> None:
    async with asking(listed(Refuses, overlap=True)) as weir:
        got = await weir.ask(stream=stream)
        assert (got.status, got.doc["error"]["code"]) == (400, "rule_7")
        assert (await weir.record())["outcome"] == "refused"
        await weir.provider.until(lambda: not weir.provider.running)


async def test_a_guard_beside_the_call_lets_pass_what_is_fine() -> None:
    async with asking(listed(Refuses, overlap=True, options={"word": "zebra"})) as weir:
        assert (await weir.ask()).text == "You said: say something"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_guard_beside_the_call_also_judges_calls_that_a_plugin_answers(stream: bool) -> None:
    async with asking(listed(Refuses, overlap=True), listed(Answers)) as weir:
        got = await weir.ask(stream=stream)
        assert (got.status, got.doc["error"]["code"]) == (400, "rule_7")


ACTING = [
    ("responses", {}), ("responses", {"store": None}), ("responses", {"store": False, "background": True}),
    ("responses", {"store": False, "tools": [{"type": "web_search"}]}), ("chat", {"store": True}),
    ("chat", {"web_search_options": {"x": 1}}), ("messages", {"tools": [{"type": "web_search_20250305", "name": "w"}]}),
    ("messages", {"mcp_servers": [{"type": "url", "url": "http://x", "name": "x"}]}),
]  # fmt: skip
HARMLESS = [
    ("responses", {"store": False, "tools": [{"type": "function", "name": "f", "parameters": {}}]}),
    ("chat", {"tools": [{"type": "function", "function": {"name": "f"}}], "background": False}),
    ("messages", {"tools": [{"name": "f", "input_schema": {"type": "object"}}]}),
]  # fmt: skip


@pytest.mark.parametrize(("surface", "more", "sent"), [(*one, 0) for one in ACTING] + [(*one, 1) for one in HARMLESS])
async def test_what_a_verdict_could_not_undo_waits_for_it(surface: str, more: dict[str, Any], sent: int) -> None:
    async with asking(listed(Refuses, overlap=True)) as weir:
        got = await weir.ask(surface, raw=orjson.dumps({**orjson.loads(body(surface)), **more}))
        assert got.status == 400
        assert len(weir.provider.requests) == sent


# --- what cannot be read


@pytest.mark.parametrize("surface", ["embeddings", "completions"])
async def test_texts_that_come_as_tokens_are_judged_and_go_as_they_came(surface: str) -> None:
    raw = b'{"model":"gpt-4","%b":[[15339,1917]]}' % (b"input" if surface == "embeddings" else b"prompt")
    async with asking(listed(Edits, options={"word": "hello"}), listed(Refuses, options={"word": "zebra"})) as weir:
        assert (await weir.ask(surface, raw=raw)).status == 200
        assert weir.provider.requests[-1].body == raw
        assert (await weir.record())["uninspected"] == []
    async with asking(listed(Refuses, options={"word": "world"})) as weir:
        assert (await weir.ask(surface, raw=raw)).status == 400


IMAGE = (
    b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":[{"type":"text","text":"look"},'
    b'{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]}'
)


async def test_parts_that_no_codec_reads_are_recorded() -> None:
    async with asking() as weir:
        assert (await weir.ask(raw=IMAGE)).status == 200
        assert (await weir.record())["uninspected"] == ["image"]
        assert weir.counted("weir_uninspected_total", what="image") == 1


@pytest.mark.parametrize("how", ["operator", "guard"])
async def test_parts_that_no_codec_reads_are_refused_where_the_operator_or_a_guard_must_know(how: str) -> None:
    chain = [listed(Refuses, on_error="closed")] if how == "guard" else []
    changes: dict[str, Any] = {"uninspected": "refuse"} if how == "operator" else {}
    async with asking(*chain, **changes) as weir:
        got = await weir.ask(raw=IMAGE)
        assert (got.status, got.doc["error"]["code"]) == (403, "uninspected")
        record = await weir.record()
        assert record["audit"]["outcome"] == record["outcome"] == "caller_error"
        assert got.headers["x-weir-request-id"] == record["id"]
        assert not weir.provider.requests


# --- rights, and the rest of the story


async def test_a_deadline_of_the_caller_is_kept() -> None:
    async with asking() as weir:
        got = await weir.ask(wish="hang", x_weir_deadline_ms="60")
        assert (got.status, got.doc["error"]["code"]) == (504, "deadline_exceeded")
        await weir.provider.until(lambda: not weir.provider.running)


async def test_the_user_and_the_conversation_are_told_from_the_call() -> None:
    async with asking() as weir:
        first = {"model": "m", "user": "u-1", "messages": [{"role": "user", "content": "one"}]}
        more = [{"role": "assistant", "content": "two"}, {"role": "user", "content": "three"}]
        other = {**first, "messages": [{"role": "user", "content": "else"}]}
        for doc in (first, {**first, "messages": [*first["messages"], *more]}, other):
            await weir.ask(raw=orjson.dumps(doc))
        records = await weir.running.sink.wait_for(3)
        assert [one["user"] for one in records] == ["u-1"] * 3
        assert records[0]["conversation"] == records[1]["conversation"] != records[2]["conversation"]


async def test_another_method_on_a_known_path_is_told_so() -> None:
    async with asking() as weir:
        async with weir.session.delete(weir.running.root + "/v1/embeddings") as answer:
            assert (answer.status, answer.headers["allow"]) == (405, "POST")
        assert (await weir.record())["outcome"] == "caller_error"


async def test_debug_headers_say_what_each_plugin_did_and_need_the_right_to_ask() -> None:
    async with asking(listed(Refuses)) as weir:
        told = orjson.loads((await weir.ask(x_weir_debug="1")).headers["x-weir-debug"])
        assert told["steps"] == ["refuses request refused rule_7"]
        assert "x-weir-debug" not in (await weir.ask()).headers
    async with asking(listed(Edits), identity=Identity(debug=False)) as weir:
        assert "x-weir-debug" not in (await weir.ask(x_weir_debug="1")).headers


async def test_a_plugin_that_must_not_fail_ends_the_call_and_says_nothing_of_itself() -> None:
    async with asking(listed(Calls, on_error="closed")) as weir:
        got = await weir.ask(stream=True)
        assert got.status == 503
        assert b"Traceback" not in got.raw
        await soon(lambda: weir.records)
        assert weir.records[0]["outcome"] == "weir_error"


def test_every_streaming_surface_is_among_those_tested() -> None:
    assert {surface for surface, stream in FORMS if stream} == set(STREAMING)


async def test_a_model_that_a_key_may_not_use_is_refused_before_anything_is_reserved_or_judged() -> None:
    """On both ways: a forbidden model costs neither a guard's work nor a caller's budget."""
    own = CallerKey("k", hashlib.sha256(b"weir-key").hexdigest(), models=("gpt-*",))
    limits = Entry("ratelimit", "ratelimit", options={"limits": [{"by": "key", "requests_per_day": 3}]})
    as_key = {"authorization": "Bearer weir-key"}
    async with asking(limits, listed(Watches), identity=Identity(keys=(own,))) as weir:
        for model, status in (("gpt-4o", 200), ("o3", 403), ("o3", 403), ("gpt-4o", 200), ("o3", 403), ("gpt-4o", 200)):
            got = await weir.post(SURFACES["chat"][0], body("chat", model), "chat", **as_key)
            assert got.status == status, model
            if status == 403:
                assert got.doc["error"]["code"] == "model_not_allowed"
        got = await weir.post(SURFACES["chat"][0], body("chat"), "chat", **as_key)
        assert got.status == 429, "three calls were let through, and no more"
        records = await weir.running.sink.wait_for(7)
        assert weir.plugin("watches").seen.count("request") == 3, "a call over its limit is not judged either"
        assert [one["error_code"] for one in records].count("model_not_allowed") == 3
        assert len(weir.provider.requests) == 3
