"""Answers put together from their streams: the same as the provider gives to those who do not stream."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.simulated.call import Call, Received, read
from benchmarks.simulated.chat import chat, completions
from benchmarks.simulated.memory import Memory
from benchmarks.simulated.messages import messages
from benchmarks.simulated.plan import Answer, Stream
from benchmarks.simulated.responses import create
from proxy import wire
from proxy.exchange import Dialect
from proxy.wire.assemble import assembled, assembler
from proxy.wire.codec import Event
from proxy.wire.partial import completed
from proxy.wire.sse import Reader

GOLDEN = Path(__file__).parents[2] / "golden"
TOOL = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}
USER = {"role": "user", "content": "what about the weather?"}
BODIES: dict[Dialect, dict[str, Any]] = {
    "chat": {"messages": [USER], "stream_options": {"include_usage": True},
             "tools": [{"type": "function", "function": {"name": "weather", "parameters": TOOL}}]},
    "responses": {"input": "what about the weather?", "tools": [{"type": "function", "name": "weather",
                                                                 "parameters": TOOL}]},
    "messages": {"messages": [USER], "max_tokens": 900, "tools": [{"name": "weather", "input_schema": TOOL}]},
    "completions": {"prompt": "once", "stream_options": {"include_usage": True}},
}  # fmt: skip
WISHES = ["", "tools=1", "tools=3", "refusal=1", "reasoning=1", "finish=length", "cached=900 written=5", "chunks=1",
          "redacted=1 reasoning=1", 'text="\\u00e9\\ud83c\\udf0d \\"quoted\\" \\\\ and more"', "size=30000", "usage=0",
          "crlf=1", "comments=1"]  # fmt: skip


def events(raw: bytes) -> list[Event]:
    reader = Reader()
    return [*reader.feed(raw), *reader.close()]


def call(dialect: Dialect, wish: str, more: dict[str, Any]) -> Call:
    path = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}.get(dialect, f"/v1/{dialect}")
    body = orjson.dumps({"model": "sim", **BODIES[dialect], **more})
    return read(Received("POST", path, [(b"x-sim", wish.encode())], body, 0.0, 0, 0))


def pair(dialect: Dialect, wish: str, **more: Any) -> tuple[dict[str, Any], bytes]:
    """What the provider says to the same call, whole and as a stream."""
    both: list[Any] = []
    for stream in (False, True):
        made = call(dialect, wish, more)
        made.body = made.body | {"stream": stream}
        if dialect == "responses":
            both.append(create(made, Memory()))
        else:
            both.append({"chat": chat, "completions": completions, "messages": messages}[dialect](made))
    whole, stream_ = both
    assert isinstance(whole, Answer) and isinstance(stream_, Stream)
    return orjson.loads(whole.body), b"".join(stream_.frames) + stream_.done


def bare(value: Any) -> Any:
    """Without what is empty: some say it in one form only."""
    if isinstance(value, dict):
        return {name: inner for name, value_ in value.items() if (inner := bare(value_)) not in (None, [], {})}
    return [bare(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("dialect", BODIES)
def test_an_answer_is_what_it_would_have_been(dialect: Dialect, wish: str) -> None:
    whole, stream = pair(dialect, wish)
    made = assembled(dialect, events(stream))
    assert bare(made) == bare(whole)
    answer = wire.codec(dialect).answer(orjson.dumps(made))
    other = wire.codec(dialect).answer(orjson.dumps(whole))
    assert answer is not None and other is not None
    assert (answer.usage, answer.finish, answer.model) == (other.usage, other.finish, other.model)
    assert [(one.kind, one.text) for one in answer.segments] == [(one.kind, one.text) for one in other.segments]


@pytest.mark.parametrize("more", [{"n": 3}, {"logprobs": True, "top_logprobs": 2}, {"n": 2, "logprobs": True}])
def test_choices_and_logprobs_are_put_together(more: dict[str, Any]) -> None:
    whole, stream = pair("chat", "", **more)
    assert bare(assembled("chat", events(stream), more)) == bare(whole)


@given(
    dialect=st.sampled_from(list(BODIES)),
    text=st.text(st.characters(exclude_characters='[]"\\', exclude_categories=["Cs", "Cc"]), min_size=1, max_size=200),
    chunks=st.integers(1, 40),
)
def test_any_text_in_any_number_of_pieces_comes_out_whole(dialect: Dialect, text: str, chunks: int) -> None:
    whole, stream = pair(dialect, "", **_saying(dialect, text, chunks))
    assert bare(assembled(dialect, events(stream))) == bare(whole)


def _saying(dialect: Dialect, text: str, chunks: int) -> dict[str, Any]:
    said = f"[[sim chunks={chunks}]] {text}"
    if dialect == "responses":
        return {"input": said, "tools": []}
    if dialect == "completions":
        return {"prompt": said}
    return {"messages": [{"role": "user", "content": said}], "tools": []}


@pytest.mark.parametrize(
    "path", [*sorted((GOLDEN / "messages").glob("*.sse")), *sorted((GOLDEN / "responses").glob("*.sse"))],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)  # fmt: skip
def test_recorded_streams_are_answers_of_their_dialect(path: Path) -> None:
    dialect: Any = path.parent.name
    stream = wire.codec(dialect).stream({})
    came = events(path.read_bytes())
    for event in came:
        stream.glance(event)
    made = assembled(dialect, came)
    answer = wire.codec(dialect).answer(orjson.dumps(made))
    assert answer is not None
    assert (answer.usage, answer.model) == (stream.usage, stream.model)


@pytest.mark.parametrize("path", sorted((GOLDEN / "chat").glob("*.sse")), ids=lambda path: path.name)
def test_recorded_chats_say_what_their_pieces_say(path: Path) -> None:
    came = events(path.read_bytes())
    expected = json.loads(path.with_name(path.name.removesuffix("sse") + "expected.json").read_text())
    call = {"n": len({piece[2] for piece in expected.get("pieces", ())}) or 1} if "two" in path.name else {}
    made = assembled("chat", came, call)
    assert made is not None and made["object"] == "chat.completion"
    answer = wire.codec("chat").answer(orjson.dumps(made))
    stream = wire.codec("chat").stream(call)
    for event in came:
        stream.glance(event)
    assert answer is not None and answer.usage == stream.usage


@pytest.mark.parametrize("dialect", BODIES)
def test_a_stream_that_breaks_off_is_no_answer(dialect: Dialect) -> None:
    _, stream = pair(dialect, "")
    came = [event for event in events(stream) if event.data != b"[DONE]"]
    enders = {"chat": 2, "completions": 2}.get(dialect, 1)  # (the usage comes behind the end)
    for end in range(len(came) - enders):
        assert assembled(dialect, came[:end]) is None


@pytest.mark.parametrize(
    ("dialect", "error"),
    [
        ("chat", {"error": {"message": "overloaded", "type": "server_error"}}),
        ("messages", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        ("responses", {"type": "error", "code": "server_error", "message": "no", "param": None, "sequence_number": 3}),
        ("responses", {"type": "response.failed", "response": {"status": "failed", "error": {"code": "server_error"}}}),
    ],
)
def test_an_error_in_the_stream_is_told(dialect: Dialect, error: dict[str, Any]) -> None:
    made = assembler(dialect)
    for event in [*events(pair(dialect, "")[1])[:2], Event(b"", "", orjson.dumps(error))]:
        made.take(event)
    assert made.fault is not None
    assert "sequence_number" not in made.fault


def chunk(delta: dict[str, Any], **more: Any) -> Event:
    doc = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
           "choices": [{"index": 0, "delta": delta, "finish_reason": None} | more]}  # fmt: skip
    return Event(b"", "", orjson.dumps(doc))


END = chunk({}, finish_reason="tool_calls")


def calls_of(*chunks: Event) -> Any:
    made = assembled("chat", [*chunks, END])
    assert made is not None
    return made["choices"][0]["message"]["tool_calls"]


def test_calls_that_all_have_the_same_index_stay_apart_by_their_ids() -> None:
    one = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert calls_of(chunk({"tool_calls": [one]}), chunk({"tool_calls": [one | {"id": "b"}]})) == [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{}"}},
    ]


def test_names_that_are_said_again_are_not_doubled() -> None:
    one = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x"'}}
    two = one | {"function": {"name": "f", "arguments": ":1}"}}
    assert calls_of(chunk({"tool_calls": [one]}), chunk({"tool_calls": [two]})) == [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
    ]


def test_azures_first_chunk_without_choices_leaves_nothing_empty() -> None:
    first = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": [{"p": 1}]}
    made = assembled("chat", [Event(b"", "", orjson.dumps(first)), chunk({"content": "hi"}), END])
    assert made is not None
    assert (made["id"], made["created"], made["model"], made["object"]) == ("c", 1, "m", "chat.completion")
    assert made["prompt_filter_results"] == [{"p": 1}]


def test_numbers_stay_exact() -> None:
    arguments = '{"n": 123456789012345678901234567890}'
    raw = b'{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":%b}}'
    came = [
        {"type": "message_start", "message": {"type": "message", "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "input": {}}},
    ]
    made = assembled("messages", [
        *(Event(b"", "", orjson.dumps(one)) for one in came), Event(b"", "", raw % orjson.dumps(arguments)),
        Event(b"", "", b'{"type":"message_stop"}'),
    ])  # fmt: skip
    assert made is not None
    assert made["content"][0]["input"] == {"n": 123456789012345678901234567890}


def test_what_is_no_event_is_passed_over() -> None:
    for dialect in BODIES:
        made = assembler(dialect)
        for data in (b"", b"[DONE]", b"{", b"[1]", b'{"type": 7}', b'{"choices": 3}', b'{"choices": [3]}'):
            made.take(Event(b"", "", data))
        assert not made.complete
        assert made.fault is None


PLAIN = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=9)
NESTED = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


@given(NESTED, st.integers(0, 400))
def test_json_that_breaks_off_gives_what_came_whole(value: Any, cut: int) -> None:
    text = json.dumps({"it": value})
    assert completed(text) == {"it": value}
    partly = completed(text[:cut])
    assert isinstance(partly, dict)


@pytest.mark.parametrize(
    ("text", "value"),
    [('{"a": 1, "b": "tw', {"a": 1}), ('{"a": [1, 2', {"a": [1]}), ('{"a": {"b": "c"}, "d"', {"a": {"b": "c"}}),
     ('{"a": "x,{', {}), ("", {}), ("}", {}), ('{"a": "\\"q", "b":', {"a": '"q'})],
)  # fmt: skip
def test_json_that_breaks_off_is_cut_behind_the_last_whole_value(text: str, value: Any) -> None:
    assert completed(text) == value
