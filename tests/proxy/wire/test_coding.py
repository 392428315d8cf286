"""Bodies are parsed without loss, or refused with a sentence."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import MalformedBody
from proxy.wire.body import encode, load, parse

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=6)


def written(doc: object, style: int) -> bytes:
    """The same document as different clients write it."""
    if style == 0:
        return json.dumps(doc, separators=(",", ":"), ensure_ascii=False).encode()
    if style == 1:
        return json.dumps(doc).encode()
    return json.dumps(doc, indent=2, ensure_ascii=True).replace("\n", "\r\n").encode()


@given(OBJECTS, st.integers(0, 2))
def test_what_a_client_wrote_is_what_is_read(doc: dict[str, object], style: int) -> None:
    assert parse(written(doc, style)) == doc


@given(JSON)
def test_what_is_encoded_is_read_again(doc: object) -> None:
    assert json.loads(encode(doc)) == doc


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b"{", "not valid JSON: unexpected end of data at line 1 column 2"),
        (b'{"a":1}x', "not valid JSON"),
        (b'{"a":NaN}', "not valid JSON"),
        (b'{"a":Infinity}', "not valid JSON"),
        (b'{"a":1e999}', "infinity"),
        (b'{"a":"\x00"}', "not valid JSON"),
        (b'{"a":"\xff"}', "not valid UTF-8 (at byte 6)"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b"[]", "not an array"),
        (b"3", "not a number"),
        (b"null", "not null"),
        (b'"x"', "not a string"),
        (b'{"a":1,"b":2,"a":3}', 'the key "a" twice'),
        (b'{"x":[{"b":1,"\\u0062":2}]}', 'the key "b" twice'),
        (b'{"a":' * 129 + b"1" + b"}" * 129, "deeper than 128"),
        (b'{"a":' + b"[" * 500 + b"]" * 500 + b"}", "deeper than 128"),
        (b"[" * 5000 + b"]" * 5000, "deeper than 128"),
        (b'{"a":' * 100000, "deeper than 128"),
    ],
)
def test_what_is_no_call_is_refused_with_a_sentence(raw: bytes, sentence: str) -> None:
    with pytest.raises(MalformedBody) as caught:
        parse(raw)
    assert sentence in caught.value.message
    assert caught.value.status == 400


def test_the_deepest_body_that_is_allowed_passes() -> None:
    raw = b'{"a":' * 128 + b"1" + b"}" * 128
    assert encode(parse(raw)) == raw
    assert parse(b'{"a":[' + b"[]," * 5000 + b"[]]}")


def test_the_depth_is_the_callers_to_choose() -> None:
    assert parse(b'{"a":[1]}', depth=2)
    with pytest.raises(MalformedBody):
        parse(b'{"a":[1]}', depth=1)


def test_long_integers_stay_exact() -> None:
    raw = b'{"id":123456789012345678901234567890,"n":-18446744073709551616}'
    assert parse(raw)["id"] == 123456789012345678901234567890
    assert encode(parse(raw)) == raw
    assert load(b'{"id":123456789012345678901234567890}')["id"] == 123456789012345678901234567890


def test_a_doubled_key_of_equal_length_is_found_too() -> None:
    # The lost member is made up for by a number that is written longer than it came.
    raw = b'{"a":1,"a":1,"b":1E9}'
    with pytest.raises(MalformedBody):
        parse(raw)


def test_half_a_surrogate_pair_can_be_encoded() -> None:
    assert json.loads(encode({"a": "\ud800"})) == {"a": "\ud800"}


@given(st.binary(max_size=40))
def test_no_bytes_do_anything_but_parse_or_be_refused(raw: bytes) -> None:
    try:
        assert isinstance(parse(raw), dict)
    except MalformedBody as refused:
        assert refused.message.endswith(".")
