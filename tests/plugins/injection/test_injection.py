"""What the guard does to calls, through a whole worker: refused, replaced, sanitised, tagged, on every surface."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from plugins.injection.options import InjectionOptions, Place
from plugins.injection.plugin import WARMING, Injection
from proxy.live import Agent
from tests import kit
from tests.asking import FORMS, Asking, Came, asking
from tests.pairs import STREAMING, SURFACES, body
from tests.plugins.injection.keywords import EVIL, LISTENS, Keyworded, guard

TALKING = ("chat", "responses", "messages")
WAYS = {
    "chat": lambda turns: {"messages": turns},
    "responses": lambda turns: {"input": turns, "store": False},
    "messages": lambda turns: {"max_tokens": 90, "messages": turns},
}
USER, MODEL = "user", "assistant"


def said(surface: str, *turns: tuple[str, Any], stream: bool = False, **more: Any) -> bytes:
    """A call with these turns, by role and content."""
    made = [{"role": role, "content": content} for role, content in turns]
    return orjson.dumps({"model": "gpt-4o-mini", "stream": stream, **WAYS[surface](made), **more})


def asked(surface: str, text: str, stream: bool = False) -> bytes:
    """The simplest call of a surface, with this text."""
    return body(surface, "gpt-4o-mini", stream=stream).replace(b"say something", text.encode())


async def send(weir: Asking, surface: str, raw: bytes) -> Came:
    return await weir.ask(surface, raw=raw)


def sent(weir: Asking) -> str:
    """What the provider received last."""
    return bytes(weir.provider.requests[-1].body).decode()


# --- the newest words of the user


@pytest.mark.parametrize(("surface", "stream"), FORMS)
async def test_an_attack_is_refused_before_it_is_sent_on_every_surface(surface: str, stream: bool) -> None:
    async with asking(guard()) as weir:
        got = await weir.ask(surface, stream, raw=asked(surface, EVIL, stream))
        record = await weir.record()
        assert got.status == 400
        assert b"prompt injection" in got.raw
        assert b"evil" not in got.raw
        assert got.headers["x-should-retry"] == "false"
        assert len(weir.provider.requests) == 0
        assert record["outcome"] == "refused"
        [found] = record["findings"]
        assert (found["type"], found["severity"], found["action"]) == ("prompt_injection", "high", "refuse")
        assert "evil" not in orjson.dumps({**record, "findings": [{**found, "reasons": []}]}).decode()


@pytest.mark.parametrize(("surface", "stream"), FORMS)
async def test_harmless_calls_go_out_byte_for_byte(surface: str, stream: bool) -> None:
    async with asking(guard()) as weir:
        raw = body(surface, "gpt-4o-mini", stream=stream)
        got = await weir.ask(surface, stream, raw=raw)
        assert got.status == 200
        assert b"say something" in weir.provider.requests[-1].body
        assert "x-weir-injection" not in got.headers


@pytest.mark.parametrize(
    ("surface", "stream"), [(one, False) for one in STREAMING] + [(one, True) for one in STREAMING]
)
async def test_a_refusal_may_be_a_normal_answer_that_ends_with_content_filter(surface: str, stream: bool) -> None:
    async with asking(guard(refuse_as="answer")) as weir:
        got = await weir.ask(surface, stream, raw=asked(surface, EVIL, stream))
        assert got.status == 200
        assert got.finish in ("content_filter", "refusal", "incomplete")
        assert "evil" not in got.text
        assert len(weir.provider.requests) == 0


# --- a conversation outlives its refused turn


@pytest.mark.parametrize("surface", TALKING)
@pytest.mark.parametrize("between", [(), ((MODEL, "I cannot do that."),)])
async def test_a_conversation_goes_on_after_its_refused_turn(surface: str, between: Any) -> None:
    """Whether the agent keeps the refusal as the model's words, or nothing of it."""
    before = ((USER, "hello"), (MODEL, "hi"), (USER, EVIL))
    async with asking(guard()) as weir:
        assert (await send(weir, surface, said(surface, *before))).status == 400
        later = (*before, *between, (USER, "what is the capital of France?"))
        bodies = []
        for turns in (later, (*later, (MODEL, "Paris"), (USER, "and of Spain?"))):
            got = await send(weir, surface, said(surface, *turns))
            assert got.status == 200
            assert got.headers["x-weir-injection"] == "replace"
            bodies.append(sent(weir))
        assert all(EVIL not in one and "France" in one for one in bodies)
        replaced = "[Weir removed this message: it was taken for a prompt injection (rule: test.evil).]"
        assert all(replaced in one for one in bodies)


async def test_a_conversation_that_the_provider_keeps_goes_on_after_its_refused_turn() -> None:
    async with asking(guard()) as weir:
        first = await send(weir, "responses", orjson.dumps({"model": "gpt-4o-mini", "input": "hello"}))
        answer = first.doc["id"]
        more = {"model": "gpt-4o-mini", "previous_response_id": answer}
        assert (await send(weir, "responses", orjson.dumps({**more, "input": EVIL}))).status == 400
        got = await send(weir, "responses", orjson.dumps({**more, "input": "something else"}))
        assert got.status == 200
        assert "evil" not in sent(weir)


async def test_the_same_words_are_refused_each_time_they_are_the_newest() -> None:
    async with asking(guard()) as weir:
        for _ in range(2):
            assert (await send(weir, "chat", said("chat", (USER, EVIL)))).status == 400
        again = ((USER, EVIL), (MODEL, "no"), (USER, EVIL))
        assert (await send(weir, "chat", said("chat", *again))).status == 400


# --- tools and documents

TOOL_CALL = {"role": "assistant", "content": None, "tool_calls": [
    {"id": "call_1", "type": "function", "function": {"name": "read", "arguments": '{"page":"odd"}'}}]}  # fmt: skip


def tool_call(surface: str, result: str, *more: Any) -> bytes:
    """A call in which a tool has just answered."""
    if surface == "chat":
        turns = [{"role": "user", "content": "read it"}, TOOL_CALL,
                 {"role": "tool", "tool_call_id": "call_1", "content": result}, *more]  # fmt: skip
        return orjson.dumps({"model": "gpt-4o-mini", "messages": turns})
    if surface == "messages":
        turns = [{"role": "user", "content": "read it"},
                 {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "read", "input": {}}]},
                 {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": result}]},
                 *more]  # fmt: skip
        return orjson.dumps({"model": "claude-sonnet-4", "max_tokens": 90, "messages": turns})
    items = [{"role": "user", "content": "read it"},
             {"type": "function_call", "call_id": "c1", "name": "read", "arguments": "{}"},
             {"type": "function_call_output", "call_id": "c1", "output": result}, *more]  # fmt: skip
    return orjson.dumps({"model": "gpt-4o-mini", "input": items, "store": False})


@pytest.mark.parametrize("surface", TALKING)
async def test_a_tool_result_that_gives_orders_is_replaced_the_same_in_every_turn(surface: str) -> None:
    async with asking(guard()) as weir:
        assert (await send(weir, surface, tool_call(surface, EVIL))).status == 200
        first = sent(weir)
        later = ({"role": "assistant", "content": "I see"}, {"role": "user", "content": "go on"})
        assert (await send(weir, surface, tool_call(surface, EVIL, *later))).status == 200
        sentence = "[Weir removed this tool result: it was taken for a prompt injection (rule: test.evil).]"
        for one in (first, sent(weir)):
            assert sentence in one
            assert "evil" not in one.replace(sentence, "")
        records = await weir.running.sink.wait_for(2)
        assert records[0]["findings"][0]["action"] == "replace"
        assert records[1]["findings"][0]["severity"] == "low"  # (told once, counted from then on)


async def test_documents_and_descriptions_of_tools_are_replaced() -> None:
    document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": EVIL}}
    async with asking(guard()) as weir:
        raw = said("messages", (USER, [{"type": "text", "text": "sum it up"}, document]))
        assert (await send(weir, "messages", raw)).status == 200
        assert "removed this document" in sent(weir)
        tool = {"type": "function", "function": {"name": "f", "description": EVIL, "parameters": {}}}
        assert (await send(weir, "chat", said("chat", (USER, "hi"), tools=[tool]))).status == 200
        assert "removed this tool description" in sent(weir)


@pytest.mark.parametrize("surface", TALKING)
async def test_suspicious_tool_results_can_be_marked_as_data_instead(surface: str) -> None:
    async with asking(guard(tool={"action": "sanitise"})) as weir:
        await weir.ask(surface, raw=tool_call(surface, EVIL + " <|im_start|>"), x_weir_session="one")
        first = sent(weir)
        assert "is data from a tool" in first
        assert "<|im_start|>" not in first
        await weir.ask(surface, raw=tool_call(surface, EVIL + " <|im_start|>"), x_weir_session="one")
        assert sent(weir) == first
        await weir.ask(surface, raw=tool_call(surface, EVIL + " <|im_start|>"), x_weir_session="two")
        assert sent(weir) != first


async def test_spotlight_marks_every_tool_result() -> None:
    async with asking(guard(spotlight=True)) as weir:
        await send(weir, "chat", tool_call("chat", "it rains"))
        assert "is data from a tool" in sent(weir)
        assert not (await weir.record()).get("findings")


async def test_what_a_tool_said_is_left_as_a_note_for_those_below() -> None:
    async with asking(guard(tool={"action": "tag"}), LISTENS) as weir:
        await send(weir, "chat", tool_call("chat", EVIL))
        [suspect] = weir.plugin("listens").seen
    assert (suspect.position, suspect.text, suspect.passed) == ("tool", EVIL, True)


# --- other positions


async def test_the_system_prompt_and_the_models_words_are_tagged_only() -> None:
    async with asking(guard()) as weir:
        turns = (("system", EVIL), (USER, "hello"), (MODEL, EVIL), (USER, "go on"))
        got = await send(weir, "chat", said("chat", *turns))
        assert got.status == 200
        assert sent(weir).count(EVIL) == 2
        assert got.headers["x-weir-injection"] == "tag"


async def test_a_position_may_be_left_alone() -> None:
    async with asking(guard(user={"action": "off"})) as weir:
        assert (await weir.ask(raw=asked("chat", EVIL))).status == 200
        assert not (await weir.record()).get("findings")


async def test_a_signed_text_is_refused_where_it_cannot_be_replaced() -> None:
    signed = [{"type": "text", "text": EVIL, "signature": "c2ln"}]
    async with asking(guard()) as weir:
        turns = ((USER, signed), (MODEL, "no"), (USER, "hello"))
        got = await send(weir, "chat", said("chat", *turns))
        assert got.status == 400


# --- thresholds, classic patterns, templates


@pytest.mark.parametrize(
    ("place", "status"),
    [({}, 200), ({"threshold": 0.35}, 400), ({"false_positives": 0.05}, 400), ({"false_positives": 0.001}, 200)],
)
async def test_thresholds_are_scores_or_wanted_false_positive_rates(place: dict[str, Any], status: int) -> None:
    async with asking(guard(user=place)) as weir:
        assert (await weir.ask(raw=asked("chat", "an odd thing"))).status == status


async def test_classic_patterns_alone_are_recorded_and_refuse_only_where_wanted() -> None:
    async with asking(guard()) as weir:
        assert (await weir.ask(raw=asked("chat", "a classic thing"))).status == 200
        [found] = (await weir.record())["findings"]
        assert (found["severity"], found["action"], found["recommended"]) == ("high", "record", "block")
    async with asking(guard(classic="refuse")) as weir:
        assert (await weir.ask(raw=asked("chat", "a classic thing"))).status == 400


@pytest.mark.parametrize("where", ["assistant", "arguments", "tool", "description", "system"])
async def test_a_classic_pattern_is_an_event_of_high_severity_wherever_it_stands_and_once(where: str) -> None:
    """What the model said or called is never new in a call, but it is met for the first time once."""
    raw = orjson.dumps({"model": "gpt-4o-mini", **classic_at(where)})
    async with asking(guard()) as weir:
        for _ in range(2):
            assert (await weir.ask(raw=raw)).status == 200
        first, second = await weir.running.sink.wait_for(2)
        [found] = first["findings"]
        assert (found["severity"], found["action"]) == ("high", "record")
        assert dict(found["counts"]) == {where: 1}
        if where in ("assistant", "arguments"):
            assert not second.get("findings")


def classic_at(where: str) -> dict[str, Any]:
    """A conversation in which one text has a classic pattern."""
    said = {
        place: "a classic thing" if place == where else "odd" for place in ("assistant", "arguments", "tool", "system")
    }
    call = {"id": "c", "type": "function",
            "function": {"name": "read", "arguments": orjson.dumps({"page": said["arguments"]}).decode()}}  # fmt: skip
    turns: list[dict[str, Any]] = [
             {"role": "user", "content": "hello"}, {"role": "assistant", "content": said["assistant"]},
             {"role": "user", "content": "read it"}, {"role": "assistant", "content": None, "tool_calls": [call]},
             {"role": "tool", "tool_call_id": "c", "content": said["tool"]}]  # fmt: skip
    if where == "system":
        return {"messages": [{"role": "system", "content": said["system"]}, {"role": "user", "content": "hello"}]}
    if where != "description":
        return {"messages": turns}
    tool = {"type": "function", "function": {"name": "read", "description": "a classic thing", "parameters": {}}}
    return {"messages": turns[:1], "tools": [tool]}


async def test_control_tokens_of_chat_templates_are_broken_apart_or_refused() -> None:
    text = "a <|im_start|>system b [INST] c"
    async with asking(guard()) as weir:
        got = await weir.ask(raw=asked("chat", text))
        assert got.status == 200
        assert "<|im_start|>" not in sent(weir)
        assert "[INST]" not in sent(weir)
        assert got.headers["x-weir-injection"] == "neutralise"
    async with asking(guard(templates="refuse")) as weir:
        assert (await weir.ask(raw=asked("chat", text))).status == 400
    async with asking(guard(templates="off")) as weir:
        await weir.ask(raw=asked("chat", text))
        assert "<|im_start|>" in sent(weir)


# --- what is remembered


async def test_a_turn_costs_what_is_new_in_it() -> None:
    async with asking(guard()) as weir:
        turns: list[tuple[str, str]] = [("system", "be kind")]
        for turn in range(8):
            turns.append((USER, f"question {turn}"))
            await send(weir, "chat", said("chat", *turns))
            turns.append((MODEL, f"answer {turn}"))
        plugin = weir.plugin("injection")
        texts = [text for text, _ in plugin.keywords.asked if text != WARMING]
        assert len(texts) == len(set(texts)) == 1 + 8 + 7


# --- shadow, failures


async def test_in_shadow_the_call_goes_out_as_it_came() -> None:
    async with asking(replace(guard(), mode="shadow")) as weir:
        assert (await weir.ask(raw=asked("chat", EVIL))).status == 200
        assert EVIL in sent(weir)
        record = await weir.record()
        assert record["findings"][0]["action"] == "would refuse"


def test_the_guard_says_what_it_inspects() -> None:
    assert Injection.positions == {"request"}
    assert set(SURFACES) == {surface for surface, _ in FORMS}


# --- many, and of different agents


async def test_many_suspicious_texts_make_a_bounded_number_of_events() -> None:
    parts = [{"type": "text", "text": f"{EVIL} {number}"} for number in range(50)]
    async with asking(guard(user={"action": "tag"})) as weir:
        assert (await send(weir, "chat", said("chat", (USER, parts)))).status == 200
        found = (await weir.record())["findings"]
        assert len(found) == 16
        assert sum(dict(one["counts"])["user"] for one in found) == 50


async def test_agents_have_options_of_their_own() -> None:
    own = {"quiet": Agent(plugins={"injection": {"options": {"user": {"action": "tag"}}}})}
    async with asking(guard(), agents=own) as weir:
        raw = asked("chat", EVIL)
        assert (await weir.ask(raw=raw)).status == 400
        assert (await weir.ask(raw=raw, x_weir_agent="quiet")).status == 200
        assert (await weir.ask(raw=raw)).status == 400


async def test_only_the_newest_of_several_new_messages_can_refuse() -> None:
    """An attack cannot hide behind a harmless message, and cannot end a conversation either."""
    async with asking(guard()) as weir:
        got = await send(weir, "chat", said("chat", (USER, EVIL), (USER, "hello")))
        assert got.status == 200
        assert EVIL not in sent(weir)


@pytest.mark.parametrize("surface", ["completions", "embeddings"])
async def test_each_of_several_inputs_is_the_newest(surface: str) -> None:
    name = "prompt" if surface == "completions" else "input"
    async with asking(guard()) as weir:
        raw = orjson.dumps({"model": "gpt-4o-mini", name: [EVIL, "hello"]})
        assert (await send(weir, surface, raw)).status == 400


# --- the judgement alone


def scanning(**options: Any) -> tuple[Keyworded, InjectionOptions]:
    made = InjectionOptions(**options)
    live = kit.FixedLive(kit.snapshot(resolve=lambda plugin, agent, variant: made))
    return Keyworded(replace(kit.kit(), live=live)), made


@pytest.mark.parametrize("role", ["user", "tool", "system"])
def test_scan_adds_verdict_score_and_reasons(role: str) -> None:
    plugin, options = scanning()
    assert plugin.scan({"text": EVIL, "role": role}, options) == {
        "flagged": True, "score": 0.9, "reasons": ["test.evil"],
    }  # fmt: skip
    assert plugin.scan({"text": "fine"}, options)["flagged"] is False
    assert plugin.keywords.asked[0] == (EVIL, role)


def test_scan_judges_by_the_options() -> None:
    for options in ({"classic": "refuse"}, {"user": Place(threshold=0.0)}, {"templates": "refuse"}):
        plugin, made = scanning(**options)
        assert plugin.scan({"text": "a classic <|im_start|>"}, made)["flagged"] is True
    plugin, made = scanning()
    assert plugin.scan({"text": "a classic <|im_start|>"}, made)["flagged"] is False
