"""JSON in a string that arrives in pieces: structure passes, string leaves are seen, what comes out is JSON."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.leaves import Part, Scanner, escape, unescape

TEXT = st.text(max_size=10).filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text))
ODD = st.sampled_from(['"', "\\", '\\"', "\\u0041", "😀", "é", "\n", "a\\", "{", "]", "ud83d", "\\ud83d"])
DOCS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT | ODD,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT | ODD, inner, max_size=4),
    max_leaves=15,
)
CUTS = st.lists(st.integers(1, 7), max_size=80)


def leaves(doc: Any) -> list[str]:
    if isinstance(doc, str):
        return [doc]
    inner = doc.values() if isinstance(doc, dict) else doc if isinstance(doc, list) else ()
    return [leaf for one in inner for leaf in leaves(one)]


def scan(text: str, sizes: list[int]) -> list[Part]:
    scanner, parts, at = Scanner(), [], 0
    for size in [*sizes, len(text)]:
        parts += scanner.feed(text[at : at + size])
        at += size
    return parts + scanner.close()


def told(parts: list[Part]) -> list[str]:
    found: dict[int, str] = {}
    for part in parts:
        if part.leaf >= 0:
            found[part.leaf] = found.get(part.leaf, "") + part.text
    return [found[leaf] for leaf in sorted(found)]


@given(DOCS, CUTS, st.booleans(), st.sampled_from([None, 1]))
def test_the_leaves_are_the_string_values_however_it_was_cut(
    doc: Any, sizes: list[int], ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(doc, ensure_ascii=ascii_only, indent=indent)
    parts = scan(text, sizes)
    assert "".join(part.raw for part in parts) == text
    assert told(parts) == leaves(doc)
    finals = [part.leaf for part in parts if part.final]
    assert finals == list(range(len(leaves(doc))))


@given(DOCS, CUTS)
def test_new_texts_in_the_leaves_give_valid_json(doc: Any, sizes: list[int]) -> None:
    parts = scan(json.dumps(doc), sizes)
    out = "".join(part.raw if part.leaf < 0 else part.written(part.text + '"\\😀\n') for part in parts)
    changed = [part for part in parts if part.leaf >= 0]
    assert sum(leaf.count('"\\😀\n') for leaf in leaves(json.loads(out))) >= len(changed)


@given(st.text(max_size=60), CUTS)
def test_any_text_passes_unchanged_and_whatever_is_no_json_is_seen(text: str, sizes: list[int]) -> None:
    parts = scan(text, sizes)
    assert "".join(part.raw for part in parts) == text
    for part in parts:
        if part.leaf < 0:
            assert all(mark in '{}[],:" \t\r\n-+.0123456789eEtrufalsn\\' or '"' in text for mark in part.raw)


def test_text_that_is_no_json_is_one_leaf_unescaped() -> None:
    parts = scan("run rm -rf / now", [3, 4])
    assert told(parts) == ["run rm -rf / now"]
    assert not any(part.escaped for part in parts)


def test_text_after_the_document_is_seen_too() -> None:
    assert told(scan('{"a":"x"} and more', [])) == ["x", "and more"]
    assert told(scan('{"a":"x"}}', [])) == ["x", "}"]


def test_a_surrogate_pair_cut_in_two_comes_as_one_character() -> None:
    scanner = Scanner()
    texts = [
        part.text for size in ('{"a":"x\\ud83', "d\\", "ude00", 'y"}') for part in scanner.feed(size) if part.leaf >= 0
    ]
    assert texts == ["x", "😀", "y"]


def test_an_escaped_backslash_before_u_is_no_escape() -> None:
    assert told(scan('["a\\\\ud83d"]', [9])) == ["a\\ud83d"]


def test_what_was_kept_of_a_cut_escape_is_given_at_the_end() -> None:
    scanner = Scanner()
    assert [part.raw for part in scanner.feed('["a\\u00')] == ['["', "a"]
    assert scanner.open == 0
    assert [part.raw for part in scanner.close()] == ["\\u00"]


def test_keys_are_not_leaves_even_when_cut_inside_an_escape() -> None:
    assert told(scan('{"k\\"ey":"v","k2":["w"]}', [4, 1])) == ["v", "w"]


def test_doubled_keys_are_all_seen() -> None:
    assert told(scan('{"a":"x","a":"y"}', [])) == ["x", "y"]


@given(st.text(max_size=20))
def test_escaping_is_undone_by_unescaping(text: str) -> None:
    assert unescape(escape(text)) == text


def test_half_a_pair_is_shown_as_the_replacement_character() -> None:
    assert unescape("\\ud83d!") == "\ufffd!"
    assert unescape("\\q") == "\\q"
