"""Calls that are too long for their agent: extracts, a summary, old turns dropped, in this order, else refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plugins.compression.cut import Cut, units, without
from plugins.compression.options import CompressionOptions, Summarise
from proxy.errors import Refused, UpstreamFailed
from proxy.exchange import Exchange, Response, Target
from tests.plugins.compression.agents import a_kit, asks, call, calls, gives, made, sent

FACT = "The boiler in building seven was replaced in March by Lindqvist and Sons."


def filler(n: int, about: str = "weather") -> str:
    return "\n\n".join(
        f"Remark {at} on the {about} of the place, which was as it often is at that time." for at in range(n)
    )


def says(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


async def test_a_call_that_fits_is_left_as_it_is() -> None:
    exchange = call([asks("Hi"), says("Hello."), asks("Bye")], CompressionOptions(max_context_tokens=300))
    await made().request(exchange)
    assert not exchange.request.changed


async def test_first_extracts_of_what_tools_said() -> None:
    text = f"{filler(30)}\n\n{FACT}\n\n{filler(30, 'sea')}"
    exchange = call(
        [asks("Who replaced the boiler?"), calls("1"), gives("1", text)], CompressionOptions(max_context_tokens=900)
    )
    await made().request(exchange)
    messages = sent(exchange)["messages"]
    assert len(messages) == 3
    assert messages[2]["content"].startswith("[Extract: ")
    assert FACT in messages[2]["content"]
    assert [one.kind for one in exchange.savings] == ["extract"]


async def test_then_the_oldest_turns_are_dropped_with_a_note_and_calls_keep_their_results() -> None:
    history: list[dict[str, Any]] = [{"role": "system", "content": "Be brief."}]
    for turn in range(8):
        history += [
            asks(f"Question {turn}? {filler(3)}"),
            calls(str(turn)),
            gives(str(turn), f"Answer {turn}."),
            says("So."),
        ]
    history += [asks("The last question")]
    exchange = call(history, CompressionOptions(max_context_tokens=400))
    await made().request(exchange)
    messages = sent(exchange)["messages"]
    assert messages[0] == history[0]
    assert messages[1]["role"] == "user"
    assert "earlier messages (about" in messages[1]["content"]
    assert messages[-1]["content"].endswith("The last question")
    known: set[str] = set()
    for message in messages:
        known |= {one["id"] for one in message.get("tool_calls") or ()}
        assert message["role"] != "tool" or message["tool_call_id"] in known
    assert exchange.savings[-1].kind == "drop"
    assert exchange.savings[-1].risk


async def test_what_was_dropped_stays_dropped_in_the_same_way() -> None:
    plugin, options = made(), CompressionOptions(max_context_tokens=600)
    history = [turn for at in range(10) for turn in (asks(f"Question {at}? {filler(3)}"), says(f"Answer {at}."))]
    first = call([*history, asks("Now?")], options)
    await plugin.request(first)
    before = sent(first)["messages"]
    second = call([*history, asks("Now?"), says("Yes."), asks("And now?")], options)
    await plugin.request(second)
    assert sent(second)["messages"][: len(before)] == before


async def test_steps_of_one_long_turn_go_where_no_whole_turn_can() -> None:
    history = [asks("Do it all.")]
    for step in range(12):
        history += [calls(str(step)), gives(str(step), filler(3, f"step {step}"))]
    exchange = call(history, CompressionOptions(max_context_tokens=600))
    await made().request(exchange)
    messages = sent(exchange)["messages"]
    assert messages[0]["content"].startswith("Do it all.\n\n[")
    assert messages[1]["role"] == "assistant"
    assert messages[-2:] == history[-2:]


async def test_what_cannot_be_made_to_fit_is_refused_with_the_figures() -> None:
    exchange = call([asks(filler(100))], CompressionOptions(max_context_tokens=300))
    with pytest.raises(Refused) as refused:
        await made().request(exchange)
    assert refused.value.code == "context_too_long"
    assert refused.value.status == 400
    assert "300" in refused.value.message


def asked(answers: list[str | Exception], seen: list[dict[str, Any]]) -> Any:
    async def ask(exchange: Exchange, target: Target, body: dict[str, Any], purpose: str) -> Response:
        seen.append(body)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Response(text=answer)

    return ask


SUMMING = CompressionOptions(max_context_tokens=600, summarise=Summarise(target="sim/small"))


async def test_old_turns_are_summed_up_by_the_model_that_the_operator_names_once() -> None:
    seen: list[dict[str, Any]] = []
    plugin = made(replace(a_kit(), ask=asked(["The user asked ten things."], seen)))
    history = [turn for at in range(10) for turn in (asks(f"Question {at}? {filler(3)}"), says(f"Answer {at}."))]
    exchange = call([*history, asks("Now?")], SUMMING)
    await plugin.request(exchange)
    assert "The user asked ten things." in sent(exchange)["messages"][0]["content"]
    assert "Question 0?" in seen[0]["messages"][0]["content"]
    assert exchange.savings[-1].kind == "summary"
    again = call([*history, asks("Now?"), says("Yes."), asks("More")], SUMMING)
    await plugin.request(again)
    assert sent(again)["messages"][0] == sent(exchange)["messages"][0]
    assert len(seen) == 1


async def test_without_an_answer_old_turns_are_dropped() -> None:
    plugin = made(replace(a_kit(), ask=asked([UpstreamFailed("no")], [])))
    history = [turn for at in range(10) for turn in (asks(f"Question {at}? {filler(3)}"), says(f"Answer {at}."))]
    exchange = call([*history, asks("Now?")], SUMMING)
    await plugin.request(exchange)
    assert exchange.savings[-1].kind == "drop"


@pytest.mark.parametrize("dialect", ["messages", "responses"])
async def test_other_dialects_are_cut_as_well(dialect: str) -> None:
    used = {"type": "tool_use", "id": "1", "name": "n", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "1", "content": "ok"}
    steps: list[dict[str, Any]] = [says_blocks(used), {"role": "user", "content": [result]}]
    if dialect == "responses":
        steps = [{"type": "function_call", "call_id": "1", "name": "n", "arguments": "{}"},
                 {"type": "function_call_output", "call_id": "1", "output": "ok"}]  # fmt: skip
    history = [one for at in range(8) for one in (asks(f"Question {at}? {filler(4)}"), *steps)]
    last = asks_parts("And now?", "text" if dialect == "messages" else "input_text")
    exchange = call([*history, last], CompressionOptions(max_context_tokens=500), dialect=dialect, max_tokens=9)
    await made().request(exchange)
    kept = sent(exchange)["input" if dialect == "responses" else "messages"]
    assert "left out" in str(kept[0]["content"])
    assert len(kept) < len(history)
    assert kept[0]["role"] == "user"


def says_blocks(block: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": [block]}


def asks_parts(text: str, part: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": part, "text": text}]}


def test_units_are_turns_then_the_older_steps_of_the_newest() -> None:
    messages = [{"role": "system", "content": "s"}, asks("a"), says("b"), asks("c"), calls("1"), gives("1", "x"),
                calls("2"), gives("2", "y")]  # fmt: skip
    assert units(messages) == [(1, 3), (4, 6)]
    assert units([{"role": "system", "content": "s"}]) == []
    assert units([asks("a"), asks("b"), says("c"), asks("d")]) == [(0, 3)]


def test_a_note_stands_before_the_next_turn_or_behind_its_own() -> None:
    messages = [asks("a"), says("b"), asks_parts("c", "text"), says("d"), says("e")]
    assert without(messages, [Cut(0, 2, "[n]")], "text")[0]["content"][0] == {"type": "text", "text": "[n]"}
    assert without(messages[2:], [Cut(1, 2, "[n]")], "text")[0]["content"][-1] == {"type": "text", "text": "[n]"}


async def test_messages_that_others_added_are_cut_with_the_rest() -> None:
    history = [turn for at in range(10) for turn in (asks(f"Question {at}? {filler(3)}"), says(f"Answer {at}."))]
    exchange = call([*history, asks("Now?")], CompressionOptions(max_context_tokens=600))
    exchange.request.insert("user", "An example.", "fewshot")
    await made().request(exchange)
    messages = sent(exchange)["messages"]
    assert messages[-1]["content"].endswith("Now?")
    assert "An example." not in str(messages)
    assert "left out" in messages[0]["content"]
