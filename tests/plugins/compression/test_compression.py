"""What goes out is shorter where that is safe, the same in every turn, and reported net."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from plugins.compression.options import CompressionOptions
from plugins.compression.shrink import Shrunk
from proxy import wire
from proxy.errors import StoreDown
from proxy.exchange import Response, Usage
from proxy.store.memory import MemoryStore
from tests.kit import FakeClock
from tests.plugins.compression.agents import PRETTY, ROWS, a_kit, asks, call, calls, gives, made, sent

USED = {"type": "tool_use", "id": "1", "name": "n", "input": {}}


async def test_a_tool_result_goes_out_shorter_and_the_saving_is_told() -> None:
    exchange = call([asks("Which order?"), calls("1"), gives("1", PRETTY)])
    await made().request(exchange)
    told = sent(exchange)["messages"][2]["content"]
    assert orjson.loads(told) == orjson.loads(PRETTY)
    assert len(told) < len(PRETTY)
    (saving,) = exchange.savings
    assert (saving.plugin, saving.kind) == ("compression", "json")
    assert saving.input_tokens > 0
    assert saving.nano_usd == 1000 * saving.input_tokens
    assert exchange.steps[0].what.startswith("edited 1")


async def test_rows_become_a_table() -> None:
    exchange = call([asks("Who?"), calls("1"), gives("1", ROWS)])
    await made().request(exchange)
    assert sent(exchange)["messages"][2]["content"].startswith("[JSON rows as table:")
    assert exchange.savings[0].kind == "table"


async def test_user_and_system_texts_stay_unless_the_operator_says_otherwise() -> None:
    messages = [{"role": "system", "content": PRETTY}, asks(PRETTY)]
    exchange = call(messages)
    await made().request(exchange)
    assert not exchange.request.changed
    exchange = call(messages, CompressionOptions(user=True, system=True))
    await made().request(exchange)
    assert [orjson.loads(one["content"]) for one in sent(exchange)["messages"]] == [orjson.loads(PRETTY)] * 2
    assert len(exchange.request.segments[0].text) < len(PRETTY)


async def test_arguments_of_tools_are_never_touched() -> None:
    exchange = call([asks("Go"), calls("1", query=PRETTY), gives("1", "done")])
    await made().request(exchange)
    assert not exchange.request.changed


async def test_a_call_with_nothing_to_shorten_is_left_as_it_is() -> None:
    exchange = call([asks("Hello, how are you today?")])
    await made().request(exchange)
    assert not exchange.request.changed
    assert not exchange.savings
    assert not exchange.steps


async def test_the_prefix_is_the_same_bytes_in_every_turn() -> None:
    plugin = made()
    history = [asks("Look")]
    before: list[dict[str, Any]] = []
    for turn in range(6):
        history = [*history, calls(str(turn)), gives(str(turn), ROWS.replace("Riga", f"Riga {turn % 3}"))]
        exchange = call(history)
        await plugin.request(exchange)
        await plugin.finish(exchange)
        now = sent(exchange)["messages"]
        assert now[: len(before)] == before
        before = now
        history = [*history, {"role": "assistant", "content": "Next."}, asks("And then?")]


async def test_what_was_sent_as_it_was_stays_as_it_was() -> None:
    history = [asks("Look"), calls("1"), gives("1", ROWS), {"role": "assistant", "content": "Done."}, asks("And now?")]
    plugin = made()
    for _ in range(2):
        exchange = call(history)
        await plugin.request(exchange)
        assert not exchange.request.changed
    exchange = call([*history, calls("2"), gives("2", PRETTY)])
    await plugin.request(exchange)
    now = sent(exchange)["messages"]
    assert now[2]["content"] == ROWS
    assert len(now[6]["content"]) < len(PRETTY)


async def test_another_worker_goes_on_as_the_first_one_began() -> None:
    store = MemoryStore(FakeClock())
    one, other = made(replace(a_kit(), store=store)), made(replace(a_kit(), store=store))
    first = call([asks("Look"), calls("1"), gives("1", ROWS)])
    await one.request(first)
    assert one.finish_waits(first)
    await one.finish(first)
    second = call([asks("Look"), calls("1"), gives("1", ROWS), {"role": "assistant", "content": "Done."}, asks("More")])
    await other.request(second)
    assert sent(second)["messages"][:3] == sent(first)["messages"]


async def test_without_the_store_old_texts_stay_as_they_come() -> None:
    class Away(MemoryStore):
        async def get(self, key: str) -> bytes | None:
            raise StoreDown("away")

    plugin = made(replace(a_kit(), store=Away(FakeClock())))
    exchange = call([asks("Look"), calls("1"), gives("1", ROWS), {"role": "assistant", "content": "."}, asks("More")])
    await plugin.request(exchange)
    assert not exchange.request.changed


async def test_an_old_text_is_made_shorter_where_the_provider_has_no_cache() -> None:
    plugin = made()
    for _ in range(4):
        told = [asks("Hi"), calls("1"), gives("1", "All is well. " * 40), {"role": "assistant", "content": "Hi."}]
        asked = call([*told, asks("Ho")], conversation="other")
        await plugin.request(asked)
        asked.response = Response(usage=Usage(input=5000, output=10), usage_source="provider")
        await plugin.finish(asked)
    exchange = call([asks("Look"), calls("1"), gives("1", ROWS), {"role": "assistant", "content": "."}, asks("More")])
    await plugin.request(exchange)
    assert exchange.request.changed
    assert exchange.savings[0].nano_usd is not None
    assert exchange.savings[0].nano_usd > 0


async def test_nothing_is_touched_before_a_cache_mark_while_nothing_is_known_of_the_cache() -> None:
    def turn() -> list[dict[str, Any]]:
        marked = {"type": "tool_result", "tool_use_id": "t", "content": ROWS, "cache_control": {"type": "ephemeral"}}
        used = {"type": "tool_use", "id": "t", "name": "look", "input": {}}
        return [asks("Look"), {"role": "assistant", "content": [used]}, {"role": "user", "content": [marked]}]

    plugin = made()
    exchange = call(turn(), dialect="messages", max_tokens=10)
    await plugin.request(exchange)
    assert not exchange.request.changed
    for _ in range(4):
        asked = call(turn(), dialect="messages", max_tokens=10, conversation="other")
        await plugin.request(asked)
        asked.response = Response(usage=Usage(input=100, cache_read=100), usage_source="provider")
        await plugin.finish(asked)
    exchange = call(turn(), dialect="messages", max_tokens=10)
    await plugin.request(exchange)
    assert not exchange.request.changed, "decided once"
    exchange = call(turn(), dialect="messages", max_tokens=10, conversation="new")
    await plugin.request(exchange)
    assert exchange.request.changed
    assert sent(exchange)["messages"][2]["content"][0]["cache_control"] == {"type": "ephemeral"}
    never = call(turn(), CompressionOptions(cached_prefix="never"), dialect="messages", max_tokens=10, conversation="d")
    await plugin.request(never)
    assert not never.request.changed


async def test_a_result_that_stands_in_the_call_already_is_not_said_again() -> None:
    text = "\n".join(f"The {n}th remark says that all is well in this place." for n in range(20))
    plugin = made()
    history = [asks("Look"), calls("1"), gives("1", text), calls("2"), gives("2", text)]
    exchange = call(history)
    await plugin.request(exchange)
    now = sent(exchange)["messages"]
    assert now[2]["content"] == text
    assert now[4]["content"].startswith("[The same, word for word, as the earlier tool result")
    later = call([*history, {"role": "assistant", "content": "."}, asks("Go on")])
    await plugin.request(later)
    assert sent(later)["messages"][:5] == now


async def test_sealed_texts_are_left_alone() -> None:
    exchange = call([asks("Look"), calls("1"), gives("1", ROWS)])
    for segment in exchange.request.segments:
        segment.sealed = True
    await made().request(exchange)
    assert not exchange.request.changed


async def test_what_others_wrote_into_a_text_is_what_is_made_shorter() -> None:
    exchange = call([asks("Look"), calls("1"), gives("1", PRETTY)])
    segment = next(one for one in exchange.request.segments if one.kind == "tool_result")
    segment.text = segment.text.replace("as agreed", "[EMAIL_1]")
    await made().request(exchange)
    assert orjson.loads(segment.text)["order"]["note"] == "[EMAIL_1]"


async def test_schemas_of_tools_are_trimmed_on_request_and_strict_ones_stay() -> None:
    schema = {"title": "LookArguments", "type": "object", "properties": {"title": {"title": "Title", "type": "string"}}}
    tools = [{"type": "function", "function": {"name": n, "parameters": schema, "strict": n == "b"}} for n in "ab"]
    exchange = call([asks("Hi")], tools=tools)
    await made().request(exchange)
    assert not exchange.request.changed
    exchange = call([asks("Hi")], CompressionOptions(tool_schemas=True), tools=tools)
    await made().request(exchange)
    told = sent(exchange)["tools"]
    assert told[0]["function"]["parameters"] == {"type": "object", "properties": {"title": {"type": "string"}}}
    assert told[1] == tools[1]
    assert exchange.savings[0].kind == "schema"


async def test_money_that_is_not_known_is_not_told() -> None:
    exchange = call([asks("Which?"), calls("1"), gives("1", PRETTY)], model="unpriced")
    await made().request(exchange)
    assert exchange.savings[0].nano_usd is None


@pytest.mark.parametrize("dialect", ["chat", "messages", "responses"])
async def test_every_dialect_is_written_as_before_but_for_the_texts(dialect: str) -> None:
    messages = {
        "chat": [asks("?"), calls("1"), gives("1", ROWS)],
        "messages": [asks("?"), {"role": "assistant", "content": [USED]},
                     {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": ROWS}]}],
        "responses": [asks("?"), {"type": "function_call", "call_id": "1", "name": "n", "arguments": "{}"},
                      {"type": "function_call_output", "call_id": "1", "output": ROWS}],
    }[dialect]  # fmt: skip
    exchange = call(messages, dialect=dialect, max_tokens=5)
    await made().request(exchange)
    written = orjson.dumps(sent(exchange)).decode()
    (segment,) = [one for one in exchange.request.segments if one.changed]
    assert (
        written.replace(orjson.dumps(segment.text).decode(), orjson.dumps(ROWS).decode())
        == orjson.dumps(exchange.request.doc).decode()
    )
    assert wire.codec(dialect).read(orjson.dumps(sent(exchange)))  # type: ignore[arg-type]


def test_nothing_made_of_a_text_counts_for_nothing() -> None:
    assert Shrunk("a").saved == 0


async def test_what_the_model_said_is_made_shorter_when_it_is_first_sent_back() -> None:
    plugin, options = made(), CompressionOptions(assistant=True)
    history = [asks("One"), {"role": "assistant", "content": PRETTY}, asks("Two")]
    exchange = call(history, options)
    await plugin.request(exchange)
    before = sent(exchange)["messages"]
    assert len(before[1]["content"]) < len(PRETTY)
    again = call([*history, {"role": "assistant", "content": "Yes."}, asks("Three")], options)
    await plugin.request(again)
    assert sent(again)["messages"][:3] == before


async def test_a_user_is_forgotten() -> None:
    plugin = made()
    exchange = call([asks("Which order?"), calls("1"), gives("1", PRETTY)], CompressionOptions(max_context_tokens=256))
    exchange.caller = replace(exchange.caller, user="ann")
    await plugin.request(exchange)
    assert await plugin.forget("bob") == 0
    assert await plugin.forget("ann") == 1
    assert await plugin.forget("ann") == 0
    await plugin.request(call([asks("Which order?"), calls("1"), gives("1", PRETTY)]))


async def test_what_is_embedded_stays() -> None:
    codec = wire.codec("embeddings")
    exchange = call([asks("x")], CompressionOptions(user=True))
    exchange.request.dialect = codec.dialect
    exchange.request.segments[0].text = PRETTY
    await made().request(exchange)
    assert exchange.request.segments[0].text == PRETTY


def test_a_row_is_judged_by_its_role() -> None:
    plugin, options = made(), CompressionOptions()
    found = plugin.scan({"text": ROWS}, options)
    assert found["techniques"] == ["table"]
    assert found["tokens_after"] < found["tokens_before"]
    assert plugin.scan({"text": ROWS, "role": "tool"}, options) == found
    kept = plugin.scan({"text": ROWS, "role": "user"}, options)
    assert kept == {"text_out": ROWS, "tokens_before": found["tokens_before"], "tokens_after": found["tokens_before"],
                    "techniques": []}  # fmt: skip
    assert plugin.scan({"text": PRETTY, "role": "system"}, CompressionOptions(system=True))["techniques"] == ["json"]


def test_a_row_with_a_question_and_a_budget_is_cut_to_it() -> None:
    text = "\n\n".join(
        f"Passage {n} on {'pumps of the cellar' if n == 31 else 'something else'}, and so on." for n in range(60)
    )
    plugin, options = made(), CompressionOptions()
    found = plugin.scan({"text": text, "question": "What of the pumps?", "budget_tokens": 200}, options)
    assert found["techniques"][0] == "extract"
    assert found["tokens_after"] <= 200
    assert "Passage 31 on pumps" in found["text_out"]
    assert plugin.scan({"text": text, "budget_tokens": 200}, options)["text_out"] == text
    asked = {"text": text, "question": "What of the pumps?", "budget_tokens": 200, "role": "user"}
    assert plugin.scan(asked, options)["text_out"] == text


async def test_great_numbers_break_nothing() -> None:
    strange = " ".join(f"remark {n}." for n in range(300))
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"title": "T", "maximum": 10**30}}}]
    options = CompressionOptions(tool_schemas=True, max_context_tokens=500)
    history = [asks("Look"), calls("1"), gives("1", strange), calls("2"), gives("2", strange), asks("So?"), calls("3"),
               gives("3", PRETTY)]  # fmt: skip
    exchange = call(history, options, tools=tools)
    await made().request(exchange)
    assert sent(exchange)["messages"][-1]["role"] == "tool"
