"""Streams of the Responses dialect that no provider should send, and some do."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Refused
from proxy.wire.responses_stream import ResponsesStream
from tests.clients import events, swap, through
from tests.streams import docs


def make() -> ResponsesStream:
    return ResponsesStream({})


def _send(*sent: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + orjson.dumps({**doc, "sequence_number": n}) + b"\n\n" for n, doc in enumerate(sent))


_ITEM = {"type": "message", "id": "m1", "role": "assistant", "status": "completed"}
_PART = {"type": "output_text", "annotations": []}

_TYPES = st.sampled_from(
    ["response.created", "response.completed", "response.output_item.added", "response.output_item.done",
     "response.content_part.added", "response.content_part.done", "response.output_text.delta",
     "response.output_text.done", "response.function_call_arguments.delta", "response.function_call_arguments.done",
     "response.reasoning_summary_text.delta", "response.output_text.annotation.added", "error",
     "response.shell_call_output_content.delta", "response.shell_call_output_content.done", "response.failed",
     "response.audio.transcript.delta", "response.audio.transcript.done", "message", "output_text", "function_call"]
)  # fmt: skip
_KEYS = st.sampled_from(
    ["item", "part", "response", "delta", "text", "arguments", "output", "content", "output_index", "content_index",
     "type", "annotation", "sequence_number", "id", "stdout", "logprobs", "annotations"]
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


_WORDS = st.sampled_from(["Par", "is", "Paris", "in Paris, ", ""])
_PLACE = {"item_id": "m1", "output_index": 0, "content_index": 0}


def _message(text: str) -> dict[str, Any]:
    return {**_ITEM, "content": [{**_PART, "text": text}]}


_TELLING = st.one_of(
    _WORDS.map(lambda text: {"type": "response.output_text.delta", **_PLACE, "delta": text}),
    _WORDS.map(lambda text: {"type": "response.output_text.done", **_PLACE, "text": text}),
    _WORDS.map(lambda text: {"type": "response.content_part.added", **_PLACE, "part": {**_PART, "text": text}}),
    _WORDS.map(lambda text: {"type": "response.content_part.done", **_PLACE, "part": {**_PART, "text": text}}),
    _WORDS.map(lambda text: {"type": "response.output_item.added", "output_index": 0, "item": _message(text)}),
    _WORDS.map(lambda text: {"type": "response.output_item.done", "output_index": 0, "item": _message(text)}),
    _WORDS.map(lambda text: {"type": "response.in_progress", "response": {"output": [_message(text)]}}),
    _WORDS.map(lambda text: {"type": "response.completed", "response": {"output": [_message(text)]}}),
)


@given(st.lists(_TELLING, max_size=12))
def test_in_whatever_order_copies_come_none_slips_by_the_filter(sent: list[dict[str, Any]]) -> None:
    out = through(make(), _send(*sent), swap)
    assert b"Paris" not in out
    numbers = [doc["sequence_number"] for doc in docs(out)]
    assert numbers == list(range(len(numbers)))
