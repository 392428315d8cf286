from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import MalformedBody
from proxy.exchange import Request, Segment, Usage
from proxy.wire.responses import ABOVE, ResponsesCodec
from tests.clients import GOLDEN, openai_stream
from tests.streams import docs

TURNS = (GOLDEN / "responses" / "turns.request.json").read_bytes()
CODEC = ResponsesCodec()


def request(body: bytes | dict[str, Any]) -> Request:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    doc = CODEC.read(raw)
    return Request("responses", "POST", "/v1/responses", "", [], raw, doc=doc, model="m", walk=CODEC.walk)


def call(*items: Any, **more: Any) -> Request:
    return request({"model": "m", "input": list(items), **more})


def written(found: Request) -> Any:
    return json.loads(CODEC.write(found))


# --- calls -----------------------------------------------------------------------------------------------------------


def test_a_call_that_nothing_changed_is_its_own_bytes() -> None:
    found = request(TURNS)
    assert len(found.segments) == 10
    assert CODEC.write(found) is found.body


def test_a_body_without_segments_walked_is_spliced() -> None:
    found = request(TURNS)
    found.set("model", "other")
    raw = CODEC.write(found)
    assert not found.walked
    assert raw == TURNS.replace(b'"gpt-5.1"', b'"other"')


@given(st.data())
def test_an_edit_changes_that_text_only(data: st.DataObject) -> None:
    found = request(TURNS)
    free = [one for one in found.segments if not one.sealed]
    chosen = data.draw(st.sampled_from(free))
    chosen.text = data.draw(st.text(st.characters(codec="utf-8"), max_size=20))
    again = request(CODEC.write(found))
    pairs = (
        [(new.text, old.text) for new, old in zip(again.segments, found.segments, strict=True)] if chosen.text else []
    )
    assert all(new == old for new, old in pairs)
    assert CODEC.write(request(TURNS)) == TURNS


def test_two_turns_with_ciphered_reasoning_come_back_byte_equal() -> None:
    found = request(TURNS)
    for one in found.segments:
        if not one.sealed:
            one.text = one.text.replace("ann@example.com", "[EMAIL_2]")
    reasoning = found.doc["input"][1]
    raw = CODEC.write(found)
    assert orjson.dumps(reasoning) in raw
    assert b"ann@example.com" not in raw
    assert b"bob@example.com" in raw
    sealed = [one for one in found.segments if one.sealed]
    assert [one.kind for one in sealed] == ["reasoning"]
    with pytest.raises(ValueError, match="sealed"):
        sealed[0].text = "other"


def test_marks_of_a_changed_text_in_the_history_go_with_it() -> None:
    found = request(TURNS)
    answer = next(one for one in found.segments if one.text == "Done, ann@example.com.")
    answer.text = "Done."
    part = written(found)["input"][2]["content"][0]
    assert (part["logprobs"], part["annotations"]) == ([], [])
    assert found.doc["input"][2]["content"][0]["annotations"] != []


def test_arguments_are_read_by_their_leaves_and_stay_json() -> None:
    found = request(TURNS)
    leaves = [one for one in found.segments if one.kind == "tool_arguments"]
    assert [one.text for one in leaves] == ["ann@example.com", "aé"]
    leaves[0].text = 'a "b"\n'
    arguments = written(found)["input"][3]["arguments"]
    assert arguments == '{"to": "a \\"b\\"\\n", "n": 12345678901234567890, "body": "a\\u00e9"}'


def test_what_is_fresh_stands_after_the_last_turn() -> None:
    fresh = [one.text for one in request(TURNS).segments if one.fresh]
    assert fresh == ["sent to ann@example.com", "And now ann@example.com?"]
    user, assistant = {"role": "user", "content": "new"}, {"role": "assistant", "content": "Sure, "}
    assert [one.fresh for one in call(user, assistant, user, assistant).segments] == [False, False, True, True]
    assert [one.fresh for one in call(user, instructions="i").segments] == [True, True]


def test_a_plain_string_is_the_newest_user_text() -> None:
    found = request({"model": "m", "input": "hello", "instructions": "Be brief."})
    assert [(one.index, one.role, one.fresh, one.text) for one in found.segments] == [
        (ABOVE, "system", True, "Be brief."),
        (0, "user", True, "hello"),
    ]
    found.segments[1].text = "HELLO"
    assert written(found) == {"model": "m", "input": "HELLO", "instructions": "Be brief."}


def test_tools_schemas_and_prompt_variables_are_read() -> None:
    found = call(
        tools=[
            {
                "type": "function",
                "name": "f",
                "description": "d",
                "parameters": {"properties": {"a": {"description": "s"}}},
            },
            {"type": "mcp", "server_label": "l", "server_description": "m", "authorization": "secret"},
            {"type": "namespace", "name": "n", "description": "d2", "tools": [{"type": "custom", "description": "d3"}]},
        ],
        text={"format": {"type": "json_schema", "name": "n", "description": "d4", "schema": {"description": "d5"}}},
        prompt={
            "id": "p",
            "variables": {"v": "x", "w": {"type": "input_text", "text": "y"}, "i": {"type": "input_image"}},
        },
    )
    assert [(one.role, one.kind, one.text, one.index) for one in found.segments] == [
        ("user", "text", "x", ABOVE), ("user", "text", "y", ABOVE),
        ("system", "tool_description", "d", 0), ("system", "tool_description", "s", 0),
        ("system", "tool_description", "m", 1),
        ("system", "tool_description", "d2", 2), ("system", "tool_description", "d3", 2),
        ("system", "tool_description", "d4", ABOVE), ("system", "tool_description", "d5", ABOVE),
    ]  # fmt: skip
    assert found.uninspected == ["image"]


@pytest.mark.parametrize(("body", "param"), [
    ({"model": 5}, "model"),
    ({"input": 5}, "input"),
    ({"input": ["x"]}, "input[0]"),
    ({"input": [{"role": ["user"], "content": "x"}]}, "input[0].role"),
    ({"input": [{"role": "user", "content": 5}]}, "input[0].content"),
    ({"input": [{"role": "user", "content": ["x"]}]}, "input[0].content[0]"),
    ({"tools": {}}, "tools"),
    ({"tools": ["x"]}, "tools[0]"),
    ({"stream": "yes"}, "stream"),
    ({"instructions": 5}, "instructions"),
    ({"max_output_tokens": "9"}, "max_output_tokens"),
])  # fmt: skip
def test_wrong_types_are_refused_by_name(body: dict[str, Any], param: str) -> None:
    with pytest.raises(MalformedBody) as caught:
        CODEC.read(orjson.dumps(body))
    assert caught.value.param == param


@given(st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["type", "role", "content", "input", "text", "summary", "output", "action",
                                         "arguments", "tools", "prompt", "variables", "instructions", "queries"]),
                        inner | st.sampled_from(["message", "reasoning", "mcp_call", "shell_call", "user"]),
                        max_size=4), max_leaves=12))  # fmt: skip
def test_whatever_passes_the_reading_can_be_walked_and_answered(value: Any) -> None:
    raw = orjson.dumps({"input": value, **(value if isinstance(value, dict) else {})})
    CODEC.answer(orjson.dumps({"object": "response", "output": value}))
    CODEC.answer(orjson.dumps(value))
    try:
        found = request(raw)
    except MalformedBody:
        return
    assert CODEC.write(found) == raw or not found.changed
    CODEC.opening(found.doc)


def test_inserts_find_their_places() -> None:
    found = call({"role": "developer", "content": "d"}, {"role": "user", "content": "u"}, instructions="i")
    found.insert("system", "more", "few")
    found.insert("user", "example", "few")
    found.insert("assistant", "reply", "few")
    found.insert("user", "late", "few", index=2)
    found.insert("user", "later", "few", index=9)
    found.segments[0].text = "I"
    found.set("model", "other")
    doc = written(found)
    assert doc["instructions"] == "I\n\nmore"
    assert doc["model"] == "other"
    assert [one["content"] for one in doc["input"]] == ["d", "example", "reply", "u", "late", "later"]
    assert written(found) == doc
    assert found.doc["instructions"] == "i"
    string = request({"model": "m", "input": "u"})
    string.insert("system", "s", "few")
    string.insert("user", "example", "few")
    assert written(string) == {
        "model": "m",
        "input": [{"role": "user", "content": "example"}, {"role": "user", "content": "u"}],
        "instructions": "s",
    }


def test_the_opening_stays_while_a_conversation_grows() -> None:
    first = {"role": "user", "content": "one"}
    later = [first, {"role": "assistant", "content": "a"}, {"role": "user", "content": "two"}]
    openings = [CODEC.opening({"instructions": "i", "input": value}) for value in ("one", [first], later)]
    assert openings[0] == openings[1] == openings[2]
    assert openings[0] != CODEC.opening({"instructions": "i", "input": "two"})


def test_usage_is_sent_unasked() -> None:
    assert CODEC.wants_usage({})


# --- answers ---------------------------------------------------------------------------------------------------------


def final(name: str) -> bytes:
    return orjson.dumps(docs((GOLDEN / "responses" / f"{name}.sse").read_bytes())[-1]["response"])


def test_an_answer_that_nothing_changed_is_its_own_bytes() -> None:
    raw = final("tools")
    answer = CODEC.answer(raw)
    assert answer is not None
    assert CODEC.write_answer(answer) is raw
    assert (answer.model, answer.finish) == ("gpt-5.1-2025-11-13", "completed")
    assert answer.usage == Usage(input=20, cache_read=100, output=40, reasoning=16)


def test_a_changed_answer_says_so_everywhere() -> None:
    doc = json.loads(final("search"))
    doc["output_text"] = doc["output"][1]["content"][0]["text"]
    answer = CODEC.answer(orjson.dumps(doc))
    assert answer is not None
    for one in answer.segments:
        one.text = one.text.replace("Paris", "[A LONG NAME]")
    out = json.loads(CODEC.write_answer(answer))
    assert "Paris" not in json.dumps(out)
    part = out["output"][1]["content"][0]
    assert out["output_text"] == part["text"]
    assert [part["text"][n["start_index"] : n["end_index"]] for n in part["annotations"]] == ["insee.fr", "lyon.fr"]


def test_an_incomplete_answer_tells_why() -> None:
    raw = orjson.dumps({"object": "response", "status": "incomplete", "output": [],
                        "incomplete_details": {"reason": "max_output_tokens"}})  # fmt: skip
    answer = CODEC.answer(raw)
    assert answer is not None
    assert (answer.finish, answer.usage, answer.segments) == ("max_output_tokens", None, [])


def test_stored_items_are_read_and_other_answers_are_not() -> None:
    listed = {
        "object": "list",
        "data": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "t"}]}],
    }
    answer = CODEC.answer(orjson.dumps(listed))
    assert answer is not None
    assert [(one.role, one.text) for one in answer.segments] == [("user", "t")]
    for other in (b"nothing", b"[]", b'{"id":"r","deleted":true}', b'{"object":"list","data":[1]}'):
        assert CODEC.answer(other) is None


@pytest.mark.parametrize("finish", ["stop", "content_filter"])
def test_an_answer_of_our_own_is_one_for_the_official_client(finish: str) -> None:
    usage = Usage(input=5, cache_read=2, output=3, reasoning=1)
    made = {"model": "m", "id": "resp_9", "finish": finish, "usage": usage}
    raw = CODEC.compose("Hello.", stream=False, **made)  # type: ignore[arg-type]
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(200, content=raw, headers={"content-type": "application/json"})
    )
    with openai.OpenAI(api_key="k", base_url="http://w/v1", http_client=httpx2.Client(transport=transport)) as client:
        whole = client.responses.create(model="m", input="x")
    assert (whole.id, whole.output_text, whole.model) == ("resp_9", "Hello.", "m")
    assert whole.usage is not None and whole.usage.total_tokens == 10
    again = CODEC.answer(raw)
    assert again is not None and again.usage == usage
    assert again.finish == ("completed" if finish == "stop" else "content_filter")
    streamed, seen = openai_stream(CODEC.compose("Hello.", stream=True, **made))  # type: ignore[arg-type]
    assert seen[-1].response.to_dict() == {
        **json.loads(raw),
        **({} if streamed is None else {"output": seen[-1].response.to_dict()["output"]}),
    }
    assert seen[-1].response.output_text == "Hello."
    assert (streamed is None) == (finish == "content_filter")


def test_segments_of_an_answer_are_told_apart_by_index_and_part() -> None:
    answer = CODEC.answer(final("tools"))
    assert answer is not None
    places = [(one.index, one.part) for one in answer.segments]
    assert len(set(places)) == len(places)
    assert all(isinstance(one, Segment) and not one.fresh for one in answer.segments)
