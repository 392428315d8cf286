"""Byte splice: what is edited is edited, everything else stays byte for byte."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.body import parse, spans, splice

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
ODD = st.sampled_from(['"', "\\", '\\"', "{", "}", "[", "]", ",", ":", '{"model":"x"}', '"model":', "\\\\", "é", "\n"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99) | TEXT | ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT | ODD, inner, max_size=3),
    max_leaves=12,
)
KEYS = st.sampled_from(["model", "stream", "stream_options", "messages", "n", "a"]) | TEXT | ODD
KEYS = KEYS.filter(lambda key: "." not in key)
BODIES = st.dictionaries(KEYS, VALUES, max_size=6)
EDITS = st.dictionaries(st.sampled_from(["model", "stream", "n", "new", "stream_options"]), VALUES, max_size=4)


def written(doc: Any, style: int) -> bytes:
    if style == 0:
        return orjson.dumps(doc)
    if style == 1:
        return json.dumps(doc).encode()
    if style == 2:
        return b" " + json.dumps(doc, indent=3).replace("\n", "\r\n\t").encode() + b"\n\n"
    return json.dumps(doc).replace("model", "mod\\u0065l").encode()


def expected(doc: dict[str, Any], edits: dict[str, Any]) -> dict[str, Any]:
    result = dict(doc)
    for name, value in edits.items():
        key, dot, rest = name.partition(".")
        if dot:
            inner = result.get(key)
            inner = expected(inner if isinstance(inner, dict) else {}, {rest: value})
            if inner or isinstance(result.get(key), dict):
                result[key] = inner
        elif value is None:
            result.pop(name, None)
        else:
            result[name] = value
    return result


@given(BODIES, EDITS, st.integers(0, 3))
def test_the_document_is_the_edited_one(doc: dict[str, Any], edits: dict[str, Any], style: int) -> None:
    raw = written(doc, style)
    doc = json.loads(raw)
    after = splice(raw, edits)
    assert json.loads(after) == expected(doc, edits)
    assert splice(raw, edits, doc=doc) == after
    assert parse(after) == expected(doc, edits)


@given(BODIES, EDITS, st.integers(0, 3))
def test_everything_outside_the_spans_stays_byte_for_byte(
    doc: dict[str, Any], edits: dict[str, Any], style: int
) -> None:
    raw = written(doc, style)
    found = spans(raw, edits)
    rest, at = splice(raw, edits), 0
    for span in found:
        kept = raw[at : span.start]
        assert rest.startswith(kept + span.text)
        rest = rest[len(kept) + len(span.text) :]
        at = span.end
    assert rest == raw[at:]
    assert [(span.start, span.end) for span in found] == sorted((span.start, span.end) for span in found)


@given(BODIES, st.booleans() | st.none(), st.integers(0, 3))
def test_a_dotted_name_reaches_into_an_object(doc: dict[str, Any], value: Any, style: int) -> None:
    raw = written(doc, style)
    edits = {"model": "m", "stream_options.include_usage": value}
    assert json.loads(splice(raw, edits)) == expected(json.loads(raw), edits)


@pytest.mark.parametrize(
    ("raw", "edits", "after"),
    [
        (b"{}", {"a": 1}, b'{"a":1}'),
        (b" { } ", {"a": 1}, b' { "a":1} '),
        (b'{"a": 1}', {"b": 2, "c": "x"}, b'{"a": 1,"b":2,"c":"x"}'),
        (b'{"a":1,"b":2,"c":3}', {"b": None}, b'{"a":1,"c":3}'),
        (b'{"a":1,"b":2,"c":3}', {"a": None, "b": None}, b'{"c":3}'),
        (b'{"a":1,"b":2,"c":3}', {"a": None, "b": None, "c": None}, b"{}"),
        (b'{"a":1}', {"a": None, "b": 2}, b'{"b":2}'),
        (b'{"a":1}', {"x": None}, b'{"a":1}'),
        (b'{"a":"\\u001f"}', {"a": None, "x": None, "n": 1}, b'{"n":1}'),
        (b'{"model": "a",\n "b": 1}', {"model": "zz"}, b'{"model": "zz",\n "b": 1}'),
        (b'{"b": "\\"model\\":1", "model": "a" }', {"model": "zz"}, b'{"b": "\\"model\\":1", "model": "zz" }'),
        (b'{"s":{"x":1}}', {"s.y": True}, b'{"s":{"x":1,"y":true}}'),
        (b'{"s":null}', {"s.y": True}, b'{"s":{"y":true}}'),
        (b'{"a":1}', {"s.y": True}, b'{"a":1,"s":{"y":true}}'),
        (b'{"a":1}', {"s.y": None}, b'{"a":1}'),
        (b'{"a":1}', {"s": {"x": 1}, "s.y": 2}, b'{"a":1,"s":{"x":1,"y":2}}'),
    ],
)
def test_the_edit_is_the_least_one(raw: bytes, edits: dict[str, Any], after: bytes) -> None:
    assert splice(raw, edits) == after


def test_a_key_nested_deeper_is_not_taken_for_the_top_one() -> None:
    raw = (
        b'{"messages":[{"model":"in","x":{"model":"deeper"}}],"deep":'
        + b"[" * 40
        + b'"model"'
        + b"]" * 40
        + b',"model":"out"}'
    )
    assert splice(raw, {"model": "new"}) == raw.replace(b'"model":"out"', b'"model":"new"')


def test_a_large_body_is_spliced_in_little_time() -> None:
    raw = b'{"messages": ["' + b'x\\"{' * 500_000 + b'"], "model": "a"}'
    assert splice(raw, {"model": "b"}).endswith(b'"], "model": "b"}')
