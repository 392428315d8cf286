"""The configuration file as it is read."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.configuration.document import Document, plain, read


def load(text: str, environ: Mapping[str, str] | None = None) -> Document:
    return read(text, "w.yaml", environ or {})


def errors(text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    return [str(error) for error in load(text, environ).errors]


def test_every_key_has_its_line() -> None:
    document = load("port: 1\n\nlimits:\n  depth: 9\n  body_bytes: 4096\n")
    assert document.values == {"port": 1, "limits": {"depth": 9, "body_bytes": 4096}}
    assert document.line(("limits", "body_bytes")) == 5
    assert document.line(("limits", "body_bytes", "deeper")) == 5
    assert document.line(("nowhere",)) is None


def test_a_duplicate_key_is_told_with_both_lines() -> None:
    assert errors("port: 1\nhost: a\nport: 2\n") == ["w.yaml:3: port: stands here twice (first in line 1); remove one"]


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "\ta: 1", "- 1\n", "text", "a: 1\n---\nb: 2\n", "? [1]\n: 2\n"])
def test_what_is_no_configuration_is_told_and_never_raised(text: str) -> None:
    assert errors(text)


@pytest.mark.parametrize(("text", "words"), [("- a: 1", "it is a list"), ("text", "it is only a text")])
def test_a_file_of_another_kind_is_told_what_it_is(text: str, words: str) -> None:
    assert words in errors(text)[0]


def test_an_empty_file_is_an_empty_configuration() -> None:
    assert load("").values == {}
    assert load("# only words\n").errors == []


@pytest.mark.parametrize(
    ("text", "value"),
    [("8080", 8080), ("1_000", 1000), ("007", "007"), ("0x1f", "0x1f"), ("12:30:45", "12:30:45"), ("on", True),
     ("No", False), ("nO", "nO"), ("~", None), ("2024-10-21", "2024-10-21"), ("1e3", 1000.0), (".5", 0.5),
     ("-2.5", -2.5), ("4.1", 4.1), ("gpt-4.1", "gpt-4.1"), ("", None)],
)  # fmt: skip
def test_words_mean_what_people_mean(text: str, value: object) -> None:
    assert plain(text) == value
    assert type(plain(text)) is type(value)


def test_names_stay_text_whatever_yaml_thinks_of_them() -> None:
    assert load("agents: {no: {}, on: {}, 123: {}, 2026-01-01: {}}").values == {
        "agents": {"no": {}, "on": {}, "123": {}, "2026-01-01": {}}
    }


def test_variables_are_substituted_and_typed_afterwards() -> None:
    text = 'port: ${PORT:-8080}\nhost: "${HOST}"\nname: a-${X:-b}-c\nnumber: "${PORT:-1}"\nescaped: $${X}\n'
    document = load(text, {"HOST": "h"})
    assert document.errors == []
    assert document.values == {"port": 8080, "host": "h", "name": "a-b-c", "number": "1", "escaped": "${X}"}


def test_a_variable_cannot_add_structure() -> None:
    assert load("host: ${X}\n", {"X": "a\nport: 1"}).values == {"host": "a\nport: 1"}
    assert load("host: ${X}\n", {"X": "{a: 1}"}).values == {"host": "{a: 1}"}


def test_a_missing_variable_is_told_with_its_line() -> None:
    assert errors("a: 1\nhost: ${NOPE}\n") == [
        "w.yaml:2: host: the environment has no NOPE; set it or write ${NOPE:-default}"
    ]


@pytest.mark.parametrize("text", ["host: ${", "host: ${}", "host: ${1A}", "host: ${A", "host: ${A-b}"])
def test_a_broken_variable_is_told(text: str) -> None:
    assert "must be followed by" in errors(text)[0]


def test_a_secret_stays_a_reference() -> None:
    document = load("upstreams:\n  a:\n    key: ${KEY}\n    headers: {x-token: '${TOKEN}'}\n", {"KEY": "sk-canary"})
    assert document.values["upstreams"]["a"] == {"key": "env:KEY", "headers": {"x-token": "env:TOKEN"}}
    assert document.errors == []


def test_anchors_and_merge_keys_work_and_their_place_is_dropped() -> None:
    document = load("x-a: &a {cache: off, content: none}\nagents:\n  one: *a\n  two:\n    <<: *a\n    cache: on\n")
    assert document.values == {
        "agents": {"one": {"cache": False, "content": "none"}, "two": {"cache": True, "content": "none"}}
    }
    assert document.line(("agents", "two", "cache")) == 6
    assert document.line(("agents", "two", "content")) == 1


@pytest.mark.parametrize("text", ["a: !!python/object:os.system x", "a: !secret x", "a: !!binary aGk="])
def test_tags_are_refused(text: str) -> None:
    assert "tags such as" in errors(text)[0]


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]\n",
        "a: &a {b: *a}\n",
        "a: &a\n  <<: *a\n",
        "a: &a\n  <<: [*a, *a]\n",
        "a: " + "[" * 999 + "]" * 999,
    ],
)
def test_a_file_that_contains_itself_or_is_too_deep_ends(text: str) -> None:
    found = errors(text)
    assert len(found) == 1
    assert "deep" in found[0]


def test_aliases_of_aliases_do_not_explode() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    found = errors("\n".join(lines))
    assert len(found) == 1


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=200))
def test_no_text_makes_reading_raise(text: str) -> None:
    load(text)
