"""Slots: texts written where they stood, and taken back again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.exchange import Segment
from proxy.wire.body import (
    Place,
    argument_segments,
    descriptions,
    encode_with,
    string_leaves,
    write_segments,
)


def call(arguments: str) -> tuple[dict[str, Any], list[Segment]]:
    doc = {"arguments": arguments}
    return doc, argument_segments(Place(doc, "arguments"), arguments, index=3, part=5)


def test_each_string_leaf_of_arguments_is_a_segment() -> None:
    _, segments = call('{"to": "ann", "cc": ["bob", 1, null], "deep": {"x": "\\u00e9"}}')
    assert [segment.original for segment in segments] == ["ann", "bob", "é"]
    assert [(s.kind, s.index, s.part) for s in segments] == [("tool_arguments", 3, 5 + n) for n in range(3)]


def test_only_the_changed_leaf_is_written_anew() -> None:
    doc, segments = call('{"id": 12345678901234567890123, "to" : "\\u00e9", "cc": "bob"}')
    segments[1].text = 'x"\n'
    written = json.loads(encode_with(doc, segments))["arguments"]
    assert written == '{"id": 12345678901234567890123, "to" : "\\u00e9", "cc": "x\\"\\n"}'


def test_arguments_that_are_no_json_are_one_plain_segment() -> None:
    doc, segments = call("just do it")
    assert [segment.original for segment in segments] == ["just do it"]
    segments[0].text = 'say "no"'
    assert json.loads(encode_with(doc, segments)) == {"arguments": 'say "no"'}


@pytest.mark.parametrize("arguments", ["", "{}", "[]", "1", '{"a": ""}', '{"key": 1}'])
def test_arguments_without_text_have_no_segments(arguments: str) -> None:
    assert call(arguments)[1] == []


def test_a_document_is_afterwards_as_it_was_before() -> None:
    doc = {"content": "one", "arguments": '{"a": "x"}', "also": 1}
    segments = [
        Segment("user", "text", "one", Place(doc, "content")),
        *argument_segments(Place(doc, "arguments"), '{"a": "x"}', index=0),
    ]
    for segment in segments:
        segment.text = segment.text + "!"
    first = encode_with(doc, segments, also=[(doc, "also", 2)], shape=lambda doc: {**doc, "new": True})
    assert doc == {"content": "one", "arguments": '{"a": "x"}', "also": 1}
    assert encode_with(doc, segments, also=[(doc, "also", 2)], shape=lambda doc: {**doc, "new": True}) == first
    assert json.loads(first) == {"content": "one!", "arguments": '{"a": "x!"}', "also": 2, "new": True}


def test_a_document_is_restored_where_encoding_fails() -> None:
    doc = {"content": "one", "also": 1}
    segment = Segment("user", "text", "one", Place(doc, "content"))
    segment.text = "two"
    with pytest.raises(TypeError):
        encode_with(doc, [segment], also=[(doc, "also", object())])
    assert doc == {"content": "one", "also": 1}


def test_a_twin_is_written_without_touching_the_call() -> None:
    doc = {"content": "one"}
    segment = Segment("user", "text", "one", Place(doc, "content"))
    twin = segment.copy()
    twin.text = "shadow"
    assert json.loads(encode_with(doc, [twin])) == {"content": "shadow"}
    assert json.loads(encode_with(doc, [segment])) == {"content": "one"}


def test_writing_segments_again_writes_their_newest_text() -> None:
    doc, segments = call('{"a": "x", "b": "y"}')
    segments[0].text = "1"
    write_segments(segments)
    segments[0].text = "2"
    write_segments(segments)
    assert doc["arguments"] == '{"a": "2", "b": "y"}'
    write_segments(segments, original=True)
    assert doc["arguments"] == '{"a": "x", "b": "y"}'


def test_descriptions_are_found_at_any_depth() -> None:
    tool = {
        "function": {
            "description": "one",
            "parameters": {
                "description": "two",
                "properties": {"description": {"type": "string", "description": "three"}, "b": {"description": ""}},
                "anyOf": [{"description": "four"}],
            },
        }
    }
    found = list(descriptions([tool], 0))
    assert [text for _, text in found] == ["one", "two", "three", "four"]
    found[2][0].put("changed")
    assert tool["function"]["parameters"]["properties"]["description"]["description"] == "changed"  # type: ignore[index]


def test_what_a_schema_says_otherwise_is_found_once_and_single_words_are_none() -> None:
    schema = {
        "title": "The unit", "enum": ["celsius", "42", "as you like it", ["of", "no use at all"]], "const": "so be it",
        "default": {"description": "a value", "place": "over there", "unit": "celsius", "n": 1},
        "examples": [{"q": "what is it?"}, "why so?"], "required": ["as you like it"], "type": "of no interest",
        "properties": {"default": {"type": "string", "description": "a property"}, "title": {"const": "another one"}},
    }  # fmt: skip
    assert sorted(text for _, text in descriptions([schema], 0)) == [
        "The unit", "a property", "a value", "another one", "as you like it", "no use at all", "over there", "so be it",
        "what is it?", "why so?",
    ]  # fmt: skip


def test_string_leaves_of_real_json_have_their_places() -> None:
    doc: dict[str, Any] = {"input": {"a": "x", "b": [1, "y", {"c": "z", "d": ""}]}}
    found = list(string_leaves(doc, "input"))
    assert [text for _, text in found] == ["x", "y", "z"]
    for place, text in found:
        place.put(text.upper())
    assert doc == {"input": {"a": "X", "b": [1, "Y", {"c": "Z", "d": ""}]}}
