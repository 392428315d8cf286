"""The chat codec: where texts stand, what is written back, and streams however they are cut and filtered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import MalformedBody, ProtocolViolation, Refused, StreamCut
from proxy.exchange import Request, Usage
from proxy.wire import sse
from proxy.wire.chat import ChatCodec
from proxy.wire.codec import Event
from tests.streams import Forbid, Hold, Swap, cut, docs, drive

GOLDEN = Path(__file__).parents[2] / "golden" / "chat"
CODEC = ChatCodec()
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
ARGUMENTS = st.dictionaries(TEXT, st.recursive(TEXT | st.integers(), lambda i: st.lists(i, max_size=3)), max_size=3)


def request(doc: dict[str, Any] | bytes) -> Request:
    raw = doc if isinstance(doc, bytes) else orjson.dumps(doc)
    read = CODEC.read(raw)
    return Request("chat", "POST", "/v1/chat/completions", "", [], raw, doc=read, walk=CODEC.walk, stream=True)


def chunk(*choices: dict[str, Any], **more: Any) -> bytes:
    return sse.write(
        "", {"id": "c", "object": "chat.completion.chunk", "created": 5, "model": "m-1", "choices": choices, **more}
    )


def said(delta: dict[str, Any], index: int = 0, finish: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}


def event(raw: bytes) -> Event:
    return sse.Reader().feed(raw)[0]


# --- requests


@pytest.mark.parametrize(
    ("doc", "param"),
    [
        ({"model": "m"}, "messages"),
        ({"model": 1, "messages": []}, "model"),
        ({"model": None, "messages": []}, "model"),
        ({"model": "m", "messages": "hi"}, "messages"),
        ({"model": "m", "messages": ["hi"]}, "messages[0]"),
        ({"model": "m", "messages": [{"role": 1}]}, "messages[0].role"),
        ({"model": "m", "messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"model": "m", "messages": [], "stream": "yes"}, "stream"),
        ({"model": "m", "messages": [], "stream": 1}, "stream"),
        ({"model": "m", "messages": [], "n": "2"}, "n"),
        ({"model": "m", "messages": [], "n": True}, "n"),
        ({"model": "m", "messages": [], "stream_options": []}, "stream_options"),
        ({"model": "m", "messages": [], "tools": {}}, "tools"),
        ({"model": "m", "messages": [], "max_tokens": 1.5}, "max_tokens"),
    ],
)
def test_a_wrong_type_is_refused_naming_the_parameter(doc: dict[str, Any], param: str) -> None:
    with pytest.raises(MalformedBody) as caught:
        CODEC.read(orjson.dumps(doc))
    assert caught.value.param == param
    assert f"'{param}'" in caught.value.message


def test_what_weir_does_not_use_is_left_to_the_provider() -> None:
    CODEC.read(b'{"messages":[{"role":"alien"},{}],"temperature":"hot","stop":{},"tool_choice":7,"n":null}')


def test_odd_shapes_are_walked_without_complaint() -> None:
    doc = {
        "messages": [
            {"role": "user", "content": ["plain", 5, {"type": 7}, {"type": "text", "text": 3}, {}]},
            {"role": "assistant", "tool_calls": [1, {"function": None}, {"function": {"arguments": {"a": 1}}}]},
            {"role": "assistant", "function_call": "x", "audio": {"id": "a"}, "reasoning_details": ["x"]},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]},
        ],
        "tools": [1, None, {"function": "x"}],
        "functions": {"description": "d"},
        "response_format": "x",
        "prediction": "x",
    }
    segments, uninspected = CODEC.walk(CODEC.read(orjson.dumps(doc)))
    assert [segment.original for segment in segments] == ["plain", "hm", "d"]
    assert uninspected == ["unknown", "audio"]


def test_what_strangers_to_the_format_say_is_read_and_written_all_the_same() -> None:
    arguments = {"to": "ann", "of": [{"x": "bob"}, 1, "eve"]}
    doc = {
        "messages": [
            {"role": "user", "content": [{"text": "no type"}, {"type": "novel", "text": "new type"}]},
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]},
        ],
        "documents": ["one", {"data": {"text": "two"}}],
    }
    call = request(orjson.dumps(doc))
    assert [segment.text for segment in call.segments] == ["no type", "new type", "ann", "bob", "eve", "one", "two"]
    for segment in call.segments:
        segment.text = segment.text.upper()
    written = orjson.loads(CODEC.write(call))
    assert [part["text"] for part in written["messages"][0]["content"]] == ["NO TYPE", "NEW TYPE"]
    said = written["messages"][1]["tool_calls"][0]["function"]["arguments"]
    assert said == {"to": "ANN", "of": [{"x": "BOB"}, 1, "EVE"]}
    assert written["documents"] == ["ONE", {"data": {"text": "TWO"}}]


@given(st.lists(TEXT, min_size=1, max_size=4), ARGUMENTS, st.integers(0, 2), st.data())
def test_an_edit_changes_that_text_only(texts: list[str], arguments: dict[str, Any], style: int, data: Any) -> None:
    messages: list[Any] = [{"role": "user", "content": text} for text in texts]
    messages.append({"role": "assistant", "tool_calls": [{"function": {"arguments": json.dumps(arguments)}}]})
    doc = {"model": "m", "messages": messages, "other": [1.5, {"kept": None}]}
    raw = [orjson.dumps(doc), json.dumps(doc).encode(), json.dumps(doc, indent=2).encode()][style]
    call = request(raw)
    assert CODEC.write(call) is raw
    if not call.segments:
        return
    position = data.draw(st.integers(0, len(call.segments) - 1))
    new = data.draw(TEXT)
    call.segments[position].text = new
    again = request(CODEC.write(call))
    kept = [segment.original for segment in call.segments]
    kept[position] = new
    assert [segment.original for segment in again.segments] == [text for text in kept if text]
    call.segments[position].text = call.segments[position].original
    assert CODEC.write(call) is raw


def test_parameters_alone_are_spliced() -> None:
    raw = b'{ "messages": [ {"role":"user","content":"\\u00e9"} ],  "model":"a" }'
    call = request(raw)
    call.set("model", "b")
    CODEC.ask_usage(call)
    assert CODEC.write(call) == raw.replace(b'"a" ', b'"b" ,"stream_options":{"include_usage":true}')


def test_a_second_writing_after_another_edit_starts_from_the_callers_words() -> None:
    call = request({"model": "m", "messages": [{"role": "user", "content": "one"}]})
    call.segments[0].text = "two"
    call.set("model", "x")
    assert orjson.loads(CODEC.write(call)) == {"model": "x", "messages": [{"role": "user", "content": "two"}]}
    call.segments[0].text = "one"
    call.edits.clear()
    assert CODEC.write(call) == call.body


def test_inserts_stand_where_they_were_asked_for() -> None:
    call = request(
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "S"},
                {"role": "developer", "content": [{"type": "text", "text": "D"}]},
                {"role": "user", "content": "U"},
                {"role": "assistant", "content": "A"},
            ],
        }
    )
    call.insert("user", "example", "fewshot")
    call.insert("assistant", "reply", "fewshot")
    call.insert("system", "be kind", "variants")
    call.insert("user", "last", "x", index=99)
    call.insert("user", "before A", "x", index=3)
    call.segments[0].text = "S!"
    written = orjson.loads(CODEC.write(call))["messages"]
    assert [message["role"] for message in written] == [
        "system", "developer", "user", "assistant", "user", "user", "assistant", "user",
    ]  # fmt: skip
    assert written[0]["content"] == "S!"
    assert written[1]["content"] == [{"type": "text", "text": "D"}, {"type": "text", "text": "be kind"}]
    assert [message["content"] for message in written[2:]] == ["example", "reply", "U", "before A", "A", "last"]
    assert orjson.dumps(call.doc) == call.body


@pytest.mark.parametrize(
    ("messages", "after"),
    [
        ([{"role": "user", "content": "U"}], {"role": "system", "content": "new"}),
        ([{"role": "system", "content": "S"}], {"role": "system", "content": "S\n\nnew"}),
        ([{"role": "developer", "content": ""}], {"role": "developer", "content": "new"}),
        ([], {"role": "system", "content": "new"}),
    ],
)
def test_an_addition_to_the_system_prompt_finds_it_or_makes_it(messages: list[Any], after: dict[str, Any]) -> None:
    call = request({"model": "m", "messages": messages})
    call.insert("system", "new", "variants")
    assert orjson.loads(CODEC.write(call))["messages"][0] == after


def test_the_opening_ends_with_the_first_user_message() -> None:
    messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}, {"role": "assistant"}]
    assert CODEC.opening({"messages": messages}) == messages[:2]
    assert CODEC.opening({"messages": messages[:1]}) == messages[:1]


def test_the_wish_for_usage_is_read_from_the_call() -> None:
    assert CODEC.wants_usage({"stream_options": {"include_usage": True}})
    assert not CODEC.wants_usage({"stream_options": {"include_usage": False}})
    assert not CODEC.wants_usage({"stream_options": None})


# --- answers


@pytest.mark.parametrize("body", [b"", b"[]", b'{"error":{}}', b'{"choices":7}', b'{"choices":[1]}', b"<html>"])
def test_what_is_no_answer_of_the_dialect_is_left_alone(body: bytes) -> None:
    assert CODEC.answer(body) is None


def test_an_answer_is_written_again_and_again() -> None:
    raw = (GOLDEN / "plain.answer.json").read_bytes()
    answer = CODEC.answer(raw)
    assert answer is not None
    answer.segments[0].text = "short"
    first = CODEC.write_answer(answer)
    assert CODEC.write_answer(answer) == first
    assert orjson.loads(first)["choices"][0]["message"]["annotations"] == []
    answer.segments[0].text = answer.segments[0].original
    assert CODEC.write_answer(answer) is raw
    assert answer.doc == orjson.loads(raw)


# --- streams


def stream_of(choices: list[tuple[str, dict[str, Any]]], sizes: list[int]) -> bytes:
    """Answers with content and the arguments of one call each, in fragments of these sizes, in turns."""
    rows: list[list[bytes]] = []
    for index, (content, arguments) in enumerate(choices):
        row = [chunk(said({"role": "assistant", "content": ""}, index))]
        row += [chunk(said({"content": piece}, index)) for piece in pieces(content, sizes)]
        function = {"name": "f", "arguments": ""}
        row.append(
            chunk(said({"tool_calls": [{"index": 0, "id": "x", "type": "function", "function": function}]}, index))
        )
        for piece in pieces(json.dumps(arguments), sizes):
            row.append(chunk(said({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}, index)))
        rows.append([*row, chunk(said({}, index, "tool_calls"))])
    turns = [row[at] for at in range(max(map(len, rows))) for row in rows if at < len(row)]
    return b"".join(turns) + chunk(usage={"prompt_tokens": 3, "completion_tokens": 2}) + sse.DONE


def pieces(text: str, sizes: list[int]) -> list[str]:
    found, at = [], 0
    for size in sizes:
        found.append(text[at : at + size])
        at += size
    return [piece for piece in [*found, text[at:]] if piece]


def gathered(out: bytes) -> dict[int, tuple[str, str]]:
    """Content and arguments of every choice, as a client adds them up; nothing may follow a finish reason."""
    content: dict[int, str] = {}
    arguments: dict[int, str] = {}
    ended = set()
    for doc in docs(out):
        for choice in doc["choices"]:
            index, delta = choice["index"], choice["delta"]
            assert index not in ended
            content[index] = content.get(index, "") + (delta.get("content") or "")
            for call in delta.get("tool_calls") or ():
                arguments[index] = arguments.get(index, "") + call["function"]["arguments"]
            if choice["finish_reason"]:
                ended.add(index)
    return {index: (content[index], arguments[index]) for index in content}


CHOICES = st.lists(st.tuples(TEXT, ARGUMENTS), min_size=1, max_size=2)
SIZES = st.lists(st.integers(1, 5), max_size=30)


@given(CHOICES, SIZES, st.lists(st.integers(1, 200), max_size=20))
@settings(max_examples=40)
def test_a_stream_that_no_filter_touches_says_the_same(choices: list[Any], sizes: list[int], cuts: list[int]) -> None:
    raw = stream_of(choices, sizes)
    out, told = drive(CODEC.stream({"n": len(choices)}), cut(raw, cuts), lambda _: None)
    assert gathered(out) == gathered(raw)
    assert all(row[5] == row[6] and row[7] == 1 for row in told.rows())
    if all("\\" not in json.dumps(arguments) for _, arguments in choices):
        assert out == raw


@given(CHOICES, SIZES, st.integers(0, 9))
@settings(max_examples=40)
def test_held_text_arrives_before_the_end_of_its_choice(choices: list[Any], sizes: list[int], chars: int) -> None:
    raw = stream_of(choices, sizes)
    out, _ = drive(CODEC.stream({"n": len(choices)}), [raw], lambda _: Hold(chars))
    for index, (content, arguments) in gathered(out).items():
        assert content == choices[index][0]
        assert json.loads(arguments) == choices[index][1]


def swapped(value: Any, old: str, new: str) -> Any:
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, list):
        return [swapped(item, old, new) for item in value]
    return {key: swapped(item, old, new) for key, item in value.items()} if isinstance(value, dict) else value


WORDS = st.text('abé"😀', max_size=12)


@given(
    st.lists(st.tuples(WORDS, st.dictionaries(st.text("ab"), WORDS, max_size=3)), min_size=1, max_size=2),
    SIZES,
    st.sampled_from(['"', "", "abc\\", "😀\n"]),
)
@settings(max_examples=40)
def test_replaced_text_is_replaced_in_every_leaf_however_it_was_cut(
    choices: list[Any], sizes: list[int], new: str
) -> None:
    raw = stream_of(choices, sizes)
    out, _ = drive(CODEC.stream({"n": len(choices)}), [raw], lambda _: Swap("ab", new))
    for index, (content, arguments) in gathered(out).items():
        assert content == swapped(choices[index][0], "ab", new)
        assert json.loads(arguments) == {key: swapped(value, "ab", new) for key, value in choices[index][1].items()}


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.stream.sse")), ids=lambda path: path.name)
def test_a_glance_notes_what_reading_notes_and_returns_the_bytes(path: Path) -> None:
    raw = path.read_bytes()
    read, glanced = CODEC.stream({"n": 2}), CODEC.stream({"n": 2})
    drive(read, [raw], lambda _: None)
    out = []
    for each in sse.Reader().feed(raw):
        out.append(glanced.glance(each))
    assert b"".join(out) == raw
    for name in ("usage", "model", "finish", "complete", "failed", "started"):
        assert getattr(glanced, name) == getattr(read, name), name


@pytest.mark.parametrize("way", ["event", "glance"])
def test_the_usage_event_is_withheld_from_who_did_not_ask(way: str) -> None:
    raw = (GOLDEN / "plain.stream.sse").read_bytes()
    stream = CODEC.stream({})
    stream.withhold_usage = True
    if way == "event":
        out, _ = drive(stream, [raw], lambda _: None)
    else:
        out = b"".join(stream.glance(each) for each in sse.Reader().feed(raw))
    usage_event = next(each.raw for each in sse.Reader().feed(raw) if b'"choices":[]' in each.data)
    assert out == raw.replace(usage_event, b"")
    assert stream.usage == Usage(input=20, cache_read=10, output=12, reasoning=4)
    assert stream.complete


def test_a_stream_starts_with_its_first_content() -> None:
    for way in ("event", "glance"):
        stream = CODEC.stream({})

        def pass_on(raw: bytes, way: str = way, stream: Any = stream) -> None:
            if way == "glance":
                stream.glance(event(raw))
            else:
                steps = stream.event(event(raw))
                try:
                    piece = next(steps)
                    while True:
                        piece = steps.send(piece.text)
                except StopIteration:
                    pass

        pass_on(chunk(said({"role": "assistant", "content": ""})))
        assert not stream.started
        assert stream.model == "m-1"
        pass_on(chunk(said({"content": "x"})))
        assert stream.started


def test_a_broken_stream_gives_what_was_held() -> None:
    raw = chunk(said({"content": "one ann@exa"})) + chunk(
        said({"tool_calls": [{"index": 2, "id": "c", "function": {"name": "f", "arguments": '{"a":"b\\u00'}}]})
    )
    stream = CODEC.stream({})
    out, told = drive(stream, [raw], lambda _: Hold(4))
    tail = docs(out)[2:]
    assert [doc["choices"][0]["delta"] for doc in tail] == [
        {"content": "@exa"},
        {"tool_calls": [{"index": 2, "function": {"arguments": "b\\\\u00"}}]},
    ]
    assert all(doc["id"] == "c" and doc["created"] == 5 and doc["model"] == "m-1" for doc in tail)
    assert not stream.complete
    assert [row[-1] for row in told.rows()] == [1, 1]


def test_a_refusal_ends_every_open_choice_and_the_stream() -> None:
    raw = (GOLDEN / "two.stream.sse").read_bytes()
    stream = CODEC.stream({"n": 2})
    out, _ = drive(stream, [raw], lambda segment: Forbid("bob@") if segment.index == 1 else None)
    assert out.endswith(sse.DONE)
    ends = [choice for doc in docs(out) for choice in doc["choices"] if choice["finish_reason"]]
    assert [(end["index"], end["finish_reason"]) for end in ends] == [(0, "content_filter"), (1, "content_filter")]
    second = [choice["delta"].get("content") for doc in docs(out) for choice in doc["choices"] if choice["index"]]
    assert second == ["", "two bob", None]
    assert stream.finish == "content_filter"
    assert not stream.complete


def test_a_refusal_before_anything_was_said_is_an_answer_all_the_same() -> None:
    out = CODEC.stream({"n": 2, "model": "m"}).refuse(Refused("x", "no"))
    assert [choice["delta"] for doc in docs(out) for choice in doc["choices"]] == [{"role": "assistant"}] * 2
    assert {doc["model"] for doc in docs(out)} == {"m"}


def test_a_finished_choice_is_not_ended_twice() -> None:
    stream = CODEC.stream({"n": 2})
    drive(stream, [chunk(said({}, 0, "stop"))], lambda _: None)
    assert [c["index"] for doc in docs(stream.refuse(Refused("x", "no"))) for c in doc["choices"]] == [1]


def test_an_error_event_fails_the_stream_and_it_is_never_complete() -> None:
    raw = b'data: {"error":{"message":"overloaded"}}\n\n' + sse.DONE
    stream = CODEC.stream({})
    out, _ = drive(stream, [raw], lambda _: None)
    assert out == raw
    assert stream.failed
    assert not stream.complete


def test_a_fault_is_an_error_with_a_code_and_no_end() -> None:
    out = CODEC.stream({}).fault(StreamCut("The answer broke off."))
    assert docs(out) == [
        {
            "error": {
                "message": "The answer broke off.",
                "type": "server_error",
                "param": None,
                "code": "upstream_stream_cut",
            }
        }
    ]
    assert b"[DONE]" not in out


def test_an_event_that_is_no_json_is_the_providers_fault_where_filters_read() -> None:
    with pytest.raises(ProtocolViolation):
        drive(CODEC.stream({}), [b"data: {oops\n\n"], lambda _: None)
    assert CODEC.stream({}).glance(event(b"data: {oops\n\n")) == b"data: {oops\n\n"


def test_citations_of_changed_text_are_moved_or_dropped() -> None:
    def cite(start: int, end: int) -> dict[str, Any]:
        return {"type": "url_citation", "url_citation": {"start_index": start, "end_index": end, "url": "u"}}

    raw = chunk(said({"content": "ask ann@example.com or example.org"})) + chunk(
        said({"content": ".", "annotations": [cite(4, 19), cite(23, 34)]}, 0, "stop")
    )
    out, _ = drive(CODEC.stream({}), [raw], lambda _: Swap("ann@example.com", "[E]"))
    assert [doc["choices"][0]["delta"].get("annotations") for doc in docs(out)] == [None, [cite(11, 22)]]
    same, _ = drive(CODEC.stream({}), [raw], lambda _: None)
    assert same == raw


def test_signed_calls_pass_unchanged_whatever_a_filter_says() -> None:
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a":"ab"}'}}
    call["extra_content"] = {"google": {"thought_signature": "s"}}
    raw = chunk(said({"tool_calls": [call]}, 0, "stop")) + sse.DONE
    out, told = drive(CODEC.stream({}), [raw], lambda _: Swap("ab", "x"))
    assert out == raw
    assert [row[4] for row in told.rows()] == [True]


def test_content_in_parts_is_filtered_as_text_and_thinking() -> None:
    think = {"type": "thinking", "thinking": [{"type": "text", "text": "ab"}]}
    raw = chunk(said({"content": [think]})) + chunk(said({"content": [{"type": "text", "text": "ab"}]}, 0, "stop"))
    out, told = drive(CODEC.stream({}), [raw], lambda _: Swap("ab", "x"))
    assert [row[1] for row in told.rows()] == ["reasoning", "text"]
    assert b'"ab"' not in out
    held, _ = drive(CODEC.stream({}), [raw], lambda _: Hold(9))
    assert docs(held)[-1]["choices"][0]["delta"] == {"content": [{"type": "text", "text": "ab"}]}


# --- composed answers


@given(TEXT, st.sampled_from(["stop", "content_filter"]))
def test_a_composed_answer_reads_as_an_answer(text: str, finish: str) -> None:
    usage = Usage(input=3, cache_read=2, cache_write=1, output=4, reasoning=1)
    answer = CODEC.answer(CODEC.compose(text, model="m", id="i", stream=False, finish=finish, usage=usage))
    assert answer is not None
    assert (answer.model, answer.finish) == ("m", finish)
    assert [segment.text for segment in answer.segments] == ([text] if text else [])
    assert answer.usage == usage
    stream = CODEC.stream({})
    raw = CODEC.compose(text, model="m", id="i", stream=True, finish=finish, usage=usage)
    out, told = drive(stream, [raw], lambda _: None)
    assert out == raw
    assert [row[5] for row in told.rows()] == ([text] if text else [])
    assert (stream.complete, stream.finish, stream.usage) == (True, finish, answer.usage)


def test_a_composed_stream_has_usage_only_where_asked() -> None:
    assert b"usage" not in CODEC.compose("x", model="m", id="i", stream=True, finish="stop", usage=None)


# --- whatever comes

NAMES = st.sampled_from(
    [
        "messages",
        "choices",
        "delta",
        "message",
        "content",
        "role",
        "type",
        "text",
        "tool_calls",
        "function",
        "arguments",
        "index",
        "finish_reason",
        "usage",
        "error",
        "refusal",
        "reasoning",
        "reasoning_details",
        "thinking",
        "custom",
        "input",
        "audio",
        "transcript",
        "annotations",
        "url_citation",
        "tools",
        "description",
        "function_call",
        "model",
        "logprobs",
        "x_groq",
        "prompt_tokens",
        "extra_content",
        "google",
        "prediction",
        "response_format",
        "timings",
        "signature",
    ]
)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.sampled_from(["", "text", "assistant", "ab", '{"a":"ab"}', "{"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=25,
)
OBJECTS = st.dictionaries(NAMES, ANYTHING, max_size=6)


@given(OBJECTS)
@settings(max_examples=300)
def test_any_call_is_read_and_edited_or_refused(doc: dict[str, Any]) -> None:
    try:
        call = request(doc)
    except MalformedBody:
        return
    for segment in call.segments:
        segment.text = segment.text if segment.sealed else "<" + segment.text
    assert isinstance(json.loads(CODEC.write(call)), dict)
    assert call.doc == doc


@given(OBJECTS)
@settings(max_examples=300)
def test_any_answer_is_read_or_left_alone(doc: dict[str, Any]) -> None:
    answer = CODEC.answer(orjson.dumps(doc))
    if answer is not None:
        for segment in answer.segments:
            segment.text = segment.text if segment.sealed else "<" + segment.text
        assert isinstance(json.loads(CODEC.write_answer(answer)), dict)
        assert answer.doc == doc


@given(
    st.lists(st.dictionaries(NAMES, ANYTHING, max_size=4) | st.builds(lambda c: {"choices": [c]}, OBJECTS), max_size=4)
)
@settings(max_examples=300)
def test_any_events_pass_or_are_the_providers_fault(events: list[dict[str, Any]]) -> None:
    raw = b"".join(sse.write("", doc) for doc in events)
    try:
        out, told = drive(CODEC.stream({}), [raw], lambda _: None)
    except ProtocolViolation:
        return
    assert out == raw
    assert all(row[7] == 1 for row in told.rows())
    drive(CODEC.stream({}), [raw], lambda _: Hold(2))
    glanced = CODEC.stream({})
    assert b"".join(glanced.glance(each) for each in sse.Reader().feed(raw)) == raw


def test_a_long_stream_keeps_nothing_of_its_text() -> None:
    stream = CODEC.stream({})
    raw = chunk(said({"content": "x" * 10_000}))
    out, _ = drive(stream, [raw] * 20, lambda _: Swap("x" * 3, "y"))
    assert b"xxx" not in out
    note = {"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 4}}
    out, _ = drive(stream, [chunk(said({"content": "x", "annotations": [note]}))], lambda _: Swap("x", "y"))
    assert docs(out)[0]["choices"][0]["delta"]["annotations"] == []
