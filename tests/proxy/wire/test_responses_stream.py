from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import openai
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Refused, StreamCut
from proxy.wire.responses import ResponsesCodec
from proxy.wire.responses_stream import ResponsesStream
from tests.clients import BY, GOLDEN, events, forbid, openai_stream, swap, through
from tests.streams import Hold, Make, Swap, docs, drive

NAMES = sorted(path.stem for path in (GOLDEN / "responses").glob("*.sse"))
golden = pytest.mark.parametrize("name", NAMES)


def load(name: str) -> bytes:
    return Path(GOLDEN / "responses" / f"{name}.sse").read_bytes()


def make() -> ResponsesStream:
    return ResponsesCodec().stream({"model": "m", "stream": True})


def output(raw: bytes) -> list[Any]:
    return list(docs(raw)[-1]["response"]["output"])


def replaced(value: Any, nested: bool = False) -> Any:
    """What the answer's items must say where every text has been through the filter."""
    if isinstance(value, dict):
        if value.get("encrypted_content"):
            return value
        return {key: replaced(inner, key == "arguments") for key, inner in value.items()}
    if isinstance(value, list):
        return [replaced(inner) for inner in value]
    if not isinstance(value, str):
        return value
    return value.replace("Paris", json.dumps(BY)[1:-1] if nested else BY)


def gathered(raw: bytes) -> dict[tuple[Any, ...], str]:
    """The deltas put together, by event type and place."""
    found: dict[tuple[Any, ...], str] = defaultdict(str)
    for doc in docs(raw):
        if doc["type"].endswith(".delta"):
            place = [doc.get(n) for n in ("output_index", "content_index", "summary_index", "command_index")]
            delta = doc["delta"] if isinstance(doc["delta"], str) else "".join(doc["delta"].values())
            found[(doc["type"].removesuffix(".delta"), *place)] += delta
    return found


def dones(raw: bytes) -> dict[tuple[Any, ...], str]:
    found: dict[tuple[Any, ...], str] = {}
    for doc in docs(raw):
        stem, _, verb = doc["type"].rpartition(".")
        if verb != "done" or stem in (
            "response.output_item",
            "response.content_part",
            "response.reasoning_summary_part",
        ):
            continue
        place = [doc.get(n) for n in ("output_index", "content_index", "summary_index", "command_index")]
        text = next((doc[f] for f in ("text", "arguments", "input", "code", "command", "refusal") if f in doc), None)
        found[(stem, *place)] = doc["output"][0]["stdout"] if text is None else text
    return found


@golden
def test_a_stream_that_no_filter_changes_comes_out_byte_for_byte(name: str) -> None:
    raw = load(name)
    stream = make()
    out = through(stream, raw)
    if name == "tools":  # an escape that the provider cut in two goes out whole
        assert gathered(out) == gathered(raw)
        assert len(docs(out)) == len(docs(raw))
    else:
        assert out == raw
    assert (stream.complete, stream.failed, stream.started) == (True, False, True)


@golden
def test_a_glanced_stream_comes_out_byte_for_byte_and_tells_the_same(name: str) -> None:
    raw = load(name)
    read, glanced = make(), make()
    through(read, raw)
    assert b"".join(glanced.glance(event) for event in events(raw)) == raw
    for field in ("usage", "model", "finish", "complete", "failed", "started"):
        assert getattr(read, field) == getattr(glanced, field), field
    assert glanced.usage is not None
    assert (glanced.usage.input, glanced.usage.cache_read, glanced.usage.output) == (20, 100, 40)
    assert glanced.usage.reasoning == 16
    assert glanced.model == "gpt-5.1-2025-11-13"
    assert glanced.finish == "completed"


def test_events_without_names_tell_the_same() -> None:
    raw = b"".join(b"data: " + event.data + b"\n\n" for event in events(load("plain")))
    stream = make()
    assert b"".join(stream.glance(event) for event in events(raw)) == raw
    assert stream.complete and stream.usage is not None
    assert through(make(), raw, swap).count(b"event:") == raw.count(b"event:") + 0


@golden
@pytest.mark.parametrize("filter_", [lambda _: Hold(), lambda _: Hold(1000), swap],
                         ids=["hold", "hold-all", "replace"])  # fmt: skip
def test_every_copy_says_what_was_delivered(name: str, filter_: Make) -> None:
    raw = load(name)
    out = through(make(), raw, filter_)
    is_replace = filter_ is swap
    wanted = output(raw)
    if is_replace:
        wanted = replaced(wanted)
    got = output(out)
    assert [_parsed(_bare(item)) for item in got] == [_parsed(_bare(item)) for item in wanted]
    assert gathered(out) == dones(out)
    items = [doc["item"] for doc in docs(out) if doc["type"] == "response.output_item.done"]
    assert sorted(map(str, map(_bare, items))) == sorted(map(str, got))
    numbers = [doc["sequence_number"] for doc in docs(out)]
    assert numbers == list(range(len(numbers)))


def _bare(item: Any) -> Any:
    for part in item.get("content") or ():
        part.pop("logprobs", None)
        part.pop("annotations", None)
    return item


def _without_parsed(item: Any) -> Any:
    item.pop("parsed_arguments", None)
    for part in item.get("content") or ():
        part.pop("parsed", None)
    return item


def _parsed(item: Any) -> Any:
    """Arguments compared as what they say: what was held back is escaped anew, and shorter."""
    return {**item, "arguments": json.loads(item["arguments"])} if "arguments" in item else item


@golden
def test_the_official_client_accumulates_what_was_delivered(name: str) -> None:
    raw = load(name)
    plain, _ = openai_stream(raw)
    held, _ = openai_stream(through(make(), raw, lambda _: Hold()))
    changed, seen = openai_stream(through(make(), raw, swap))
    made = [_without_parsed(item.to_dict()) for item in changed.output]
    assert made == output(through(make(), raw, swap))
    assert held.output_text == plain.output_text
    assert changed.output_text == plain.output_text.replace("Paris", BY)
    deltas = "".join(event.delta for event in seen if event.type == "response.output_text.delta")
    assert deltas == changed.output_text
    for item in changed.output:
        if item.type == "function_call":
            json.loads(item.arguments)


@golden
@given(size=st.integers(1, 400))
def test_the_result_does_not_depend_on_how_the_bytes_were_cut(name: str, size: int) -> None:
    raw = load(name)
    assert through(make(), raw, swap, size) == through(make(), raw, swap)


@golden
def test_plugins_see_every_text_once_and_as_it_was(name: str) -> None:
    raw = load(name)
    _, told = drive(make(), [raw], swap)
    seen = sorted(told.given.values())
    whole = ResponsesCodec().answer(orjson.dumps(docs(raw)[-1]["response"]))
    assert whole is not None
    assert seen == sorted(segment.original for segment in whole.segments)
    assert sorted((s.role, s.kind, s.index, s.part, s.sealed) for s in told.segments) == sorted(
        (s.role, s.kind, s.index, s.part, s.sealed) for s in whole.segments
    )


@golden
def test_a_refused_stream_ends_properly_and_never_names_the_word(name: str) -> None:
    out = through(make(), load(name), forbid)
    kept = b"".join(
        event.raw for event in events(out) if b"SealedBy" not in event.data and b"summary" not in event.data
    )
    assert b"Paris" not in kept
    last = docs(out)[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["status"] == "incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "content_filter"}
    final, seen = openai_stream(out)
    assert final is None
    assert seen[-1].response.incomplete_details.reason == "content_filter"
    text = "".join(event.delta for event in seen if event.type == "response.output_text.delta")
    assert seen[-1].response.output_text == text
    assert not [
        item for item in seen[-1].response.output if item.type == "function_call" and item.status != "completed"
    ]
    numbers = [doc["sequence_number"] for doc in docs(out)]
    assert numbers == list(range(len(numbers)))


def test_a_stream_refused_before_anything_came_is_whole_all_the_same() -> None:
    final, seen = openai_stream(make().refuse(Refused("guard", "No.")))
    assert final is None
    assert [event.type for event in seen] == ["response.created", "response.incomplete"]


def test_a_fault_is_raised_by_the_official_client() -> None:
    stream = make()
    out = b"".join(stream.glance(event) for event in events(load("plain"))[:6]) + stream.fault(
        StreamCut("It broke off.")
    )
    with pytest.raises(openai.APIError, match="It broke off") as caught:
        openai_stream(out)
    assert caught.value.code == "upstream_stream_cut"
    last = docs(out)[-1]
    assert (last["type"], last["message"], last["sequence_number"]) == ("error", "It broke off.", 6)
    assert not stream.complete and stream.failed


def test_what_is_held_when_the_provider_breaks_off_still_goes_out() -> None:
    raw = b"".join(event.raw for event in events(load("plain"))[:8])
    out = through(make(), raw, lambda _: Hold())
    assert gathered(out) == gathered(raw)
    numbers = [doc["sequence_number"] for doc in docs(out)]
    assert numbers == list(range(len(numbers)))


def test_logprobs_of_a_changed_text_are_emptied_in_every_copy() -> None:
    out = through(make(), load("plain"), swap)
    for doc in docs(out):
        if doc["type"] == "response.output_text.done":
            assert doc["logprobs"] == []
        if doc["type"] == "response.content_part.done":
            assert doc["part"]["logprobs"] == []
    assert output(out)[0]["content"][0]["logprobs"] == []
    assert output(through(make(), load("plain"), lambda _: Hold()))[0]["content"][0]["logprobs"] != []


def test_annotations_move_with_their_text() -> None:
    out = through(make(), load("search"), swap)
    part = output(out)[1]["content"][0]
    assert [part["text"][n["start_index"] : n["end_index"]] for n in part["annotations"]] == ["insee.fr", "lyon.fr"]
    added = [doc for doc in docs(out) if doc["type"] == "response.output_text.annotation.added"]
    assert [doc["annotation"] for doc in added] == part["annotations"]
    assert [doc["annotation_index"] for doc in added] == [0, 1]


def test_annotations_of_what_is_gone_are_dropped_in_every_copy() -> None:
    out = through(make(), load("search"), lambda _: Swap("insee.fr", "[SITE]"))
    part = output(out)[1]["content"][0]
    assert [part["text"][n["start_index"] : n["end_index"]] for n in part["annotations"]] == ["lyon.fr"]
    added = [doc for doc in docs(out) if doc["type"] == "response.output_text.annotation.added"]
    assert [doc["annotation"] for doc in added] == part["annotations"]
    assert [doc["annotation_index"] for doc in added] == [0]
    numbers = [doc["sequence_number"] for doc in docs(out)]
    assert numbers == list(range(len(numbers)))
    assert b'insee.fr"' not in b"".join(e.raw for e in events(out) if b"output_text.delta" in e.raw)


def test_sealed_reasoning_streams_untouched_and_is_seen() -> None:
    raw = load("reasoning")
    out, told = drive(make(), [raw], swap)
    assert [s.sealed for s in told.segments] == [True, False]
    assert output(out)[0] == output(raw)[0]
    kept = [doc["delta"] for doc in docs(out) if "reasoning_summary_text.delta" in doc["type"]]
    assert "".join(kept) == output(raw)[0]["summary"][0]["text"]


def test_a_cipher_that_comes_only_at_the_end_was_announced_by_the_call() -> None:
    lines = load("reasoning").replace(
        b'"summary":[],"encrypted_content":"gAAAAABpSealedByTheProvider=="', b'"summary":[]'
    )
    asked = ResponsesCodec().stream({"include": ["reasoning.encrypted_content"]})
    out = through(asked, lines, swap)
    assert b"Weighing" in out and output(out)[0] == output(lines)[0]
    deltas = "".join(doc["delta"] for doc in docs(out) if "reasoning_summary_text.delta" in doc["type"])
    assert deltas == output(lines)[0]["summary"][0]["text"]


def _send(*sent: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: " + doc["type"].encode() + b"\ndata: " + orjson.dumps({**doc, "sequence_number": n}) + b"\n\n"
        for n, doc in enumerate(sent)
    )


_ITEM = {"type": "message", "id": "m1", "role": "assistant", "status": "completed"}
_PART = {"type": "output_text", "text": "In Paris.", "annotations": []}
_END = {"type": "response.completed", "response": {"id": "r", "status": "completed",
        "output": [{**_ITEM, "content": [_PART]}], "output_text": "In Paris."}}  # fmt: skip


def test_a_text_that_comes_only_at_the_end_is_filtered_there() -> None:
    done = {
        "type": "response.output_text.done",
        "item_id": "m1",
        "output_index": 0,
        "content_index": 0,
        "text": "In Paris.",
    }
    for sent in ([done, _END], [_END], [{"type": "response.output_item.done", "output_index": 0,
                                        "item": {**_ITEM, "content": [_PART]}}, _END]):  # fmt: skip
        out, told = drive(make(), [_send(*sent)], swap)
        assert b"Paris" not in out
        assert list(told.given.values()) == ["In Paris."]
        assert docs(out)[-1]["response"]["output_text"] == f"In {BY}."


def test_a_copy_that_says_something_else_is_filtered_too() -> None:
    delta = {
        "type": "response.output_text.delta",
        "item_id": "m1",
        "output_index": 0,
        "content_index": 0,
        "delta": "Hello.",
    }
    out, told = drive(make(), [_send(delta, _END)], swap)
    assert b"Paris" not in out
    assert sorted(told.given.values()) == ["Hello.", "In Paris."]


def test_a_text_that_begins_with_its_item_or_part_goes_on_in_deltas() -> None:
    place = {"item_id": "m1", "output_index": 0, "content_index": 0}
    out = through(make(), _send(
        {"type": "response.output_item.added", "output_index": 0, "item": {**_ITEM, "content": []}},
        {"type": "response.content_part.added", **place, "part": {**_PART, "text": "In Pa"}},
        {"type": "response.output_text.delta", **place, "delta": "ris."},
        {"type": "response.content_part.done", **place, "part": _PART},
        _END,
    ), swap)  # fmt: skip
    assert b"Paris" not in out
    found = docs(out)
    assert found[1]["part"]["text"] + found[2]["delta"] == f"In {BY}." == found[-1]["response"]["output_text"]


def test_unknown_events_and_comments_pass_as_they_are() -> None:
    raw = b': heartbeat\n\nevent: response.brand.new\ndata: {"type": "response.brand.new", "x":1}\n\ndata: [DONE]\n\n'
    stream = make()
    assert through(stream, raw, swap) == raw


def test_opening_events_leave_room_for_another_provider() -> None:
    stream = make()
    started = []
    for event in events(load("plain"))[:5]:
        stream.glance(event)
        started.append(stream.started)
    assert started == [False, False, False, False, True]


def test_a_failed_response_is_no_proper_end() -> None:
    stream = make()
    failed = {
        "type": "response.failed",
        "response": {"id": "r", "status": "failed", "output": [], "error": {"code": "x"}},
    }
    through(stream, _send(failed))
    assert (stream.failed, stream.complete, stream.finish, stream.started) == (True, False, "failed", False)
