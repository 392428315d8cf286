from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx2
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import MalformedBody
from proxy.exchange import Request, Usage
from proxy.wire.messages import ABOVE, MessagesCodec
from tests.clients import GOLDEN, anthropic_stream

TURNS = (GOLDEN / "messages" / "turns.request.json").read_bytes()
CODEC = MessagesCodec()


def request(body: bytes | dict[str, Any]) -> Request:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    doc = CODEC.read(raw)
    return Request("messages", "POST", "/v1/messages", "", [], raw, doc=doc, model="m", walk=CODEC.walk)


def call(*messages: Any, **more: Any) -> Request:
    return request({"model": "m", "max_tokens": 9, "messages": list(messages), **more})


def written(found: Request) -> Any:
    return json.loads(CODEC.write(found))


# --- calls -----------------------------------------------------------------------------------------------------------


def test_a_call_that_nothing_changed_is_its_own_bytes() -> None:
    found = request(TURNS)
    assert len(found.segments) == 10
    assert CODEC.write(found) is found.body
    assert found.uninspected == ["image"]


def test_an_alias_is_spliced_in() -> None:
    found = request(TURNS)
    found.set("model", "other")
    assert CODEC.write(found) == TURNS.replace(b'"claude-sonnet-5"', b'"other"')


@given(st.data())
def test_an_edit_changes_that_text_only(data: st.DataObject) -> None:
    found = request(TURNS)
    chosen = data.draw(st.sampled_from([one for one in found.segments if not one.sealed]))
    chosen.text = data.draw(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
    again = request(CODEC.write(found))
    assert [one.text for one in again.segments] == [one.text for one in found.segments]
    for one in again.segments:
        if one.text == chosen.text:
            one.slot.put(chosen.original)
    if chosen.original != chosen.text and [one.text for one in again.segments].count(chosen.text) == 1:
        assert again.doc == json.loads(TURNS)


def test_two_turns_with_signed_thinking_come_back_byte_equal() -> None:
    found = request(TURNS)
    for one in found.segments:
        if not one.sealed:
            one.text = one.text.replace("ann@example.com", "[EMAIL_2]")
    thinking = found.doc["messages"][1]["content"][0]
    raw = CODEC.write(found)
    assert orjson.dumps(thinking) in raw
    assert b"ann@example.com" not in raw and b"bob@example.com" in raw
    assert b"12345678901234567890" in raw
    sealed = [one for one in found.segments if one.sealed]
    assert [one.kind for one in sealed] == ["reasoning"]
    with pytest.raises(ValueError, match="sealed"):
        sealed[0].text = "other"


def test_what_is_fresh_stands_after_the_last_turn() -> None:
    fresh = [one.text for one in request(TURNS).segments if one.fresh]
    assert fresh == ["sent to ann@example.com", "And now ann@example.com?"]
    user, begun = {"role": "user", "content": "new"}, {"role": "assistant", "content": "{"}
    assert [one.fresh for one in call(user, begun).segments] == [True, True]
    assert [one.fresh for one in call(user, begun, user, begun, system="s").segments] == [
        False,
        False,
        False,
        True,
        True,
    ]


def test_the_system_prompt_tools_and_schemas_are_read() -> None:
    found = call(
        {"role": "user", "content": "u"},
        {"role": "system", "content": "late"},
        system=[{"type": "text", "text": "s"}],
        tools=[
            {"type": "web_search_20260318", "name": "web_search", "user_location": {"city": "Rome"}},
            {"name": "f", "description": "d", "input_examples": [{"a": "x"}],
             "input_schema": {"properties": {"description": {"type": "string", "description": "s2"}}}},
        ],
        output_config={"format": {"type": "json_schema", "schema": {"description": "o"}}},
        mcp_servers=[{"type": "url", "url": "https://x", "authorization_token": "secret"}],
        context_management={"edits": [{"type": "compact_20260112", "instructions": "keep names"}]},
    )  # fmt: skip
    assert [(one.role, one.kind, one.text, one.index) for one in found.segments] == [
        ("system", "text", "s", ABOVE), ("user", "text", "u", 0), ("system", "text", "late", 1),
        ("system", "tool_description", "d", 1), ("system", "tool_description", "s2", 1),
        ("system", "tool_description", "x", 1), ("system", "tool_description", "o", ABOVE),
        ("system", "text", "keep names", ABOVE),
    ]  # fmt: skip
    places = [(one.kind, one.index, one.part) for one in found.segments if one.index == ABOVE]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize(("body", "param"), [
    ({}, "messages"),
    ({"messages": None}, "messages"),
    ({"messages": {}}, "messages"),
    ({"messages": ["x"]}, "messages[0]"),
    ({"messages": [{"content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
    ({"messages": [], "system": 5}, "system"),
    ({"messages": [], "system": ["x"]}, "system[0]"),
    ({"messages": [], "model": 5}, "model"),
    ({"messages": [], "max_tokens": "9"}, "max_tokens"),
    ({"messages": [], "stream": 1}, "stream"),
    ({"messages": [], "tools": ["x"]}, "tools[0]"),
])  # fmt: skip
def test_wrong_types_are_refused_by_name(body: dict[str, Any], param: str) -> None:
    with pytest.raises(MalformedBody) as caught:
        CODEC.read(orjson.dumps(body))
    assert caught.value.param == param


@given(st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["type", "content", "input", "text", "thinking", "source", "data", "citations",
                                         "tools", "tool", "signature", "title", "tabs", "cited_text"]),
                        inner | st.sampled_from(["text", "thinking", "document", "tool_result", "tool_use", "content",
                                                 "web_fetch_tool_result", "compaction", "search_result"]),
                        max_size=4), max_leaves=12))  # fmt: skip
def test_whatever_passes_the_reading_can_be_walked_and_answered(value: Any) -> None:
    CODEC.answer(orjson.dumps({"type": "message", "content": value}))
    CODEC.answer(orjson.dumps(value))
    raw = orjson.dumps({"messages": [{"role": "user", "content": value}], "system": value, "tools": value})
    try:
        found = request(raw)
    except MalformedBody:
        raw = orjson.dumps({"messages": [{"role": "user", "content": [{"type": "tool_result", "content": value}]}]})
        found = request(raw)
    assert not found.segments or CODEC.write(found) is raw
    CODEC.opening(found.doc)


def test_inserts_find_their_places() -> None:
    user, reply = {"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}
    found = call(user, reply, user, system="i")
    found.insert("system", "more", "few")
    found.insert("user", "example", "few")
    found.insert("assistant", "reply", "few")
    found.insert("user", "late", "few", index=2)
    found.segments[0].text = "I"
    doc = written(found)
    assert doc["system"] == "I\n\nmore"
    assert [one["content"] for one in doc["messages"]] == ["example", "reply", "u", "a", "late", "u"]
    assert written(found) == doc
    assert (found.doc["system"], len(found.doc["messages"])) == ("i", 3)
    blocks = call(user, system=[{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}])
    blocks.insert("system", "more", "few")
    assert written(blocks)["system"][1] == {"type": "text", "text": "more"}
    none = call(user)
    none.insert("system", "more", "few")
    assert written(none)["system"] == "more"


def test_the_opening_stays_while_a_conversation_grows() -> None:
    first = {"role": "user", "content": [{"type": "text", "text": "one", "cache_control": {"type": "ephemeral"}}]}
    later = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "two"},
    ]
    openings = [CODEC.opening({"system": "i", "messages": value}) for value in ([first], later)]
    assert openings[0] == openings[1]
    assert openings[0] != CODEC.opening({"system": "i", "messages": later[2:]})


def test_usage_is_sent_unasked() -> None:
    found = call({"role": "user", "content": "u"})
    CODEC.ask_usage(found)
    assert CODEC.wants_usage(found.doc) and not found.edits


# --- answers ---------------------------------------------------------------------------------------------------------


def final(name: str) -> bytes:
    message, _ = anthropic_stream((GOLDEN / "messages" / f"{name}.sse").read_bytes())
    return orjson.dumps(message.to_dict())


def test_an_answer_that_nothing_changed_is_its_own_bytes() -> None:
    raw = final("search")
    answer = CODEC.answer(raw)
    assert answer is not None
    assert CODEC.write_answer(answer) is raw
    assert (answer.model, answer.finish) == ("claude-sonnet-5", "end_turn")
    assert answer.usage == Usage(input=20, cache_read=100, cache_write=5, output=42)


def test_a_changed_answer_keeps_what_is_sealed() -> None:
    answer = CODEC.answer(final("reasoning"))
    assert answer is not None
    for one in answer.segments:
        if not one.sealed:
            one.text = one.text.replace("Paris", "Rome")
    out = json.loads(CODEC.write_answer(answer))
    assert out["content"][0]["thinking"] == "The user lives in Paris."
    assert out["content"][2]["text"] == "You live in Rome."


def test_thinking_tokens_are_part_of_the_output() -> None:
    raw = orjson.dumps({"type": "message", "content": [], "model": "m", "stop_reason": "max_tokens",
                        "usage": {"input_tokens": 1, "output_tokens": 9, "cache_read_input_tokens": None,
                                  "output_tokens_details": {"thinking_tokens": 4}}})  # fmt: skip
    answer = CODEC.answer(raw)
    assert answer is not None
    assert (answer.usage, answer.finish) == (Usage(input=1, output=9, reasoning=4), "max_tokens")


def test_other_answers_are_not_read() -> None:
    for other in (b"nothing", b"[]", b'{"type":"error","error":{}}', b'{"input_tokens":5}'):
        assert CODEC.answer(other) is None


@pytest.mark.parametrize("finish", ["stop", "content_filter"])
def test_an_answer_of_our_own_is_one_for_the_official_client(finish: str) -> None:
    usage = Usage(input=5, cache_read=2, cache_write=1, output=3)
    raw = CODEC.compose("Hello.", model="m", id="msg_9", stream=False, finish=finish, usage=usage)
    headers = {"content-type": "application/json"}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=raw, headers=headers))
    with anthropic.Anthropic(
        api_key="k", base_url="http://w", http_client=httpx2.Client(transport=transport)
    ) as client:
        whole = client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}])
    assert (whole.id, whole.model, whole.usage.output_tokens) == ("msg_9", "m", 3)
    assert whole.stop_reason == ("end_turn" if finish == "stop" else "refusal")
    again = CODEC.answer(raw)
    assert again is not None and again.usage == usage
    streamed, _ = anthropic_stream(
        CODEC.compose("Hello.", model="m", id="msg_9", stream=True, finish=finish, usage=usage)
    )
    seen = streamed.to_dict()
    assert seen == {**whole.to_dict(), "content": seen["content"], "stop_details": None}
    assert streamed.content[0].text == "Hello."
