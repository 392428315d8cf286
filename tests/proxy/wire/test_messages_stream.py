from __future__ import annotations

import json
from typing import Any

import anthropic
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Limited, Refused, StreamCut
from proxy.wire.messages import MessagesCodec
from proxy.wire.messages_stream import MessagesStream
from tests.clients import BY, GOLDEN, anthropic_stream, events, forbid, glanced, swap, through
from tests.streams import Hold, Make, docs, drive

NAMES = sorted(path.stem for path in (GOLDEN / "messages").glob("*.sse"))
golden = pytest.mark.parametrize("name", NAMES)


def load(name: str) -> bytes:
    return (GOLDEN / "messages" / f"{name}.sse").read_bytes()


def make() -> MessagesStream:
    return MessagesCodec().stream({"model": "m", "stream": True})


def replaced(value: Any) -> Any:
    """What the answer's blocks must say where every text that is not sealed has been through the filter."""
    if isinstance(value, dict):
        sealed = value.get("type") in ("thinking", "web_search_tool_result", "web_search_result_location")
        return value if sealed else {key: replaced(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [replaced(inner) for inner in value]
    return value.replace("Paris", BY) if isinstance(value, str) else value


def blocks(raw: bytes) -> list[Any]:
    return [block.to_dict() for block in anthropic_stream(raw)[0].content]


@golden
def test_a_stream_that_no_filter_changes_comes_out_as_it_came(name: str) -> None:
    raw = load(name)
    stream = make()
    out = through(stream, raw)
    assert blocks(out) == blocks(raw)
    if name != "tools":  # there an escape that the provider cut in two goes out whole
        assert out == raw
    assert (stream.complete, stream.failed, stream.started) == (True, False, True)


@golden
def test_a_glanced_stream_comes_out_byte_for_byte_and_tells_the_same(name: str) -> None:
    raw = load(name)
    read, seen = make(), make()
    through(read, raw)
    assert glanced(seen, events(raw)) == raw
    for field in ("usage", "model", "finish", "complete", "failed", "started"):
        assert getattr(read, field) == getattr(seen, field), field
    assert seen.usage is not None
    assert (seen.usage.input, seen.usage.cache_write, seen.usage.cache_read) == (20, 5, 100)
    assert seen.usage.output == 42
    assert seen.model == "claude-sonnet-5"
    assert seen.finish in ("end_turn", "tool_use", "refusal")


def test_events_without_names_tell_the_same() -> None:
    raw = b"".join(b"data: " + event.data + b"\n\n" for event in events(load("plain")))
    stream = make()
    assert glanced(stream, events(raw)) == raw
    assert stream.complete and stream.usage is not None and stream.usage.output == 42


@golden
@pytest.mark.parametrize("filter_", [lambda _: Hold(), lambda _: Hold(1000), swap], ids=["hold", "hold-all", "replace"])
def test_the_official_client_accumulates_what_was_delivered(name: str, filter_: Make) -> None:
    raw = load(name)
    wanted = blocks(raw)
    assert blocks(through(make(), raw, filter_)) == (replaced(wanted) if filter_ is swap else wanted)


@golden
@given(size=st.integers(1, 400))
def test_the_result_does_not_depend_on_how_the_bytes_were_cut(name: str, size: int) -> None:
    raw = load(name)
    assert through(make(), raw, swap, size) == through(make(), raw, swap)


@golden
def test_plugins_see_every_text_once_and_as_it_was(name: str) -> None:
    raw = load(name)
    _, told = drive(make(), [raw], swap)
    final = {"type": "message", "content": blocks(raw)}
    whole = MessagesCodec().answer(orjson.dumps(final))
    assert whole is not None
    assert sorted(told.given.values()) == sorted(segment.original for segment in whole.segments)
    assert sorted((s.role, s.kind, s.index, s.sealed) for s in told.segments) == sorted(
        (s.role, s.kind, s.index, s.sealed) for s in whole.segments
    )


@golden
def test_a_refused_stream_ends_properly(name: str) -> None:
    out = through(make(), load(name), forbid)
    message, seen = anthropic_stream(out)
    assert message.stop_reason == "refusal"
    assert message.stop_details.explanation == "a word that must not be said"
    assert seen[-1].type == "message_stop"
    starts = [event.index for event in seen if event.type == "content_block_start"]
    assert starts == [event.index for event in seen if event.type == "content_block_stop"]
    assert "Paris" not in "".join(block.text for block in message.content if block.type == "text")


def test_a_stream_refused_before_anything_came_is_whole_all_the_same() -> None:
    message, _ = anthropic_stream(make().refuse(Refused("guard", "No.")))
    assert (message.stop_reason, message.content) == ("refusal", [])


def test_a_refused_stream_that_was_only_glanced_at_closes_its_block() -> None:
    stream = make()
    out = glanced(stream, events(load("tools"))[:9]) + stream.refuse(Refused("guard", "No."))
    message, seen = anthropic_stream(out)
    assert message.stop_reason == "refusal"
    assert [e.index for e in seen if e.type == "content_block_stop"] == [0, 1]


def test_a_fault_is_raised_by_the_official_client() -> None:
    stream = make()
    out = glanced(stream, events(load("plain"))[:4]) + stream.fault(StreamCut("It broke off."))
    with pytest.raises(anthropic.APIStatusError, match="It broke off"):
        anthropic_stream(out)
    assert not stream.complete and stream.failed
    assert docs(make().fault(Limited("Slow down.")))[0]["error"]["type"] == "rate_limit_error"


def test_what_is_held_when_the_provider_breaks_off_still_goes_out() -> None:
    raw = b"".join(event.raw for event in events(load("plain"))[:5])
    out = through(make(), raw, lambda _: Hold())
    told = ["".join(d["delta"]["text"] for d in docs(one) if d["type"] == "content_block_delta") for one in (raw, out)]
    assert told[0] == told[1] != ""


def test_thinking_streams_untouched_and_is_seen() -> None:
    raw = load("reasoning")
    out, told = drive(make(), [raw], swap)
    assert [s.sealed for s in told.segments] == [True, False]
    thinking = [event.raw for event in events(raw) if b"thinking" in event.data or b"signature" in event.data]
    assert all(event in out for event in thinking)
    assert b"The user lives in Paris" in orjson.dumps(blocks(out)[0])


def test_tool_input_stays_json_whatever_is_put_in() -> None:
    out = through(make(), load("tools"), lambda _: swap(_))
    joined: dict[int, str] = {}
    for doc in docs(out):
        if doc.get("delta", {}).get("type") == "input_json_delta":
            joined[doc["index"]] = joined.get(doc["index"], "") + doc["delta"]["partial_json"]
    assert json.loads(joined[1])["notes"] == [f"café near {BY}", "a\\b"]
    assert json.loads(joined[2]) == {"query": f"trains to {BY}", "limit": 5}


def test_opening_events_leave_room_for_another_provider() -> None:
    stream = make()
    started = []
    for event in events(load("plain"))[:4]:
        stream.glance(event)
        started.append(stream.started)
    assert started == [False, False, True, True]
    failing = make()
    failing.glance(
        events(b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"x"}}\n\n')[0]
    )
    assert (failing.failed, failing.started, failing.complete) == (True, False, False)


def test_unknown_events_pings_and_comments_pass_as_they_are() -> None:
    raw = b': heartbeat\n\nevent: ping\ndata: {"type": "ping"}\n\nevent: brand_new\ndata: {"type": "new", "x":1}\n\n'
    assert through(make(), raw, swap) == raw


def test_later_usage_keeps_what_it_does_not_state() -> None:
    stream = make()
    glanced(stream, events(load("refusal")))
    assert stream.usage is not None
    assert (stream.usage.input, stream.usage.cache_read, stream.usage.output) == (20, 100, 42)


_TYPES = st.sampled_from(
    ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
     "message_stop", "error", "ping", "text", "text_delta", "input_json_delta", "thinking_delta", "citations_delta",
     "tool_use", "compaction_delta", "web_search_tool_result"]
)  # fmt: skip
_KEYS = st.sampled_from(
    ["message", "content_block", "delta", "text", "partial_json", "content", "index", "type", "citation",
     "usage", "input_tokens", "cited_text", "input", "thinking", "citations"]
)  # fmt: skip
_VALUES = st.recursive(
    st.none() | st.integers(-1, 3) | st.text('Paris"\\{}', max_size=9) | _TYPES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=10,
)
_DOCS = st.dictionaries(_KEYS, _VALUES, max_size=6).flatmap(
    lambda doc: st.fixed_dictionaries({"type": _TYPES}).map(lambda named: {**doc, **named})
)


@given(st.lists(_DOCS, max_size=8))
def test_events_of_any_shape_pass(sent: list[dict[str, Any]]) -> None:
    raw = b"".join(b"data: " + orjson.dumps(doc) + b"\n\n" for doc in sent)
    assert len(docs(through(make(), raw))) >= len(docs(raw)) - sum("annotation" in doc["type"] for doc in sent)
    through(make(), raw, swap)
    stream = make()
    assert b"".join(stream.glance(event) for event in events(raw)) == raw
    stream.refuse(Refused("guard", "No."))
