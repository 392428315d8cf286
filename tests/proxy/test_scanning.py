"""A plugin's judgement over lines: order kept, bad lines told."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.scanning import BadRow, read, scan
from tests import kit
from tests.plugins_for_tests import Edits, Refuses, WordOptions

ROWS = st.lists(
    st.fixed_dictionaries(
        {"text": st.text(alphabet=st.characters(exclude_categories=["Cs"]))},
        optional={"role": st.sampled_from(["user", "tool", "system"]), "label": st.integers(-9, 9)},
    ),
    max_size=8,
)


def judged(lines: list[bytes], plugin: Any = Refuses, **options: Any) -> list[Any]:
    return [orjson.loads(line) for line in scan(plugin(kit.kit()), WordOptions(**options), lines)]


@given(ROWS)
def test_the_same_rows_come_out_in_the_same_order_with_the_judgement_added(rows: list[dict[str, Any]]) -> None:
    out = judged([orjson.dumps(row) for row in rows])
    assert [{key: row[key] for key in given_} for row, given_ in zip(out, rows, strict=True)] == rows
    assert [row["refused"] for row in out] == ["say" in row["text"] for row in rows]
    assert [row["role_seen"] for row in out] == [row.get("role", "user") for row in rows]


def test_empty_lines_are_passed_over_and_options_are_those_given() -> None:
    assert [row["refused"] for row in judged([b"\n", b'{"text":"x"}\n', b"  \n"], word="x")] == [True]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{", "line 3 is not JSON"), (b"5", "line 3 is not an object"), (b'{"txt":""}', "line 3 has no `text`"),
        (b'{"text":5}', "line 3 has no `text`"), (b'{"text":"","role":"boss"}', "role is 'boss'; it may be user, tool"),
        (b'{"text":"\xff"}', "line 3 is not JSON"), (b'{"text":"","role":[]}', "role is "),
    ],
)  # fmt: skip
def test_a_line_that_is_no_row_is_named_and_what_came_before_is_out(line: bytes, words: str) -> None:
    rows = scan(Refuses(kit.kit()), WordOptions(), [b'{"text":"a"}', b"", line])
    assert orjson.loads(next(rows))["text"] == "a"
    with pytest.raises(BadRow, match=words):
        next(rows)


def test_a_plugin_without_a_judgement_says_so() -> None:
    with pytest.raises(BadRow, match="'edits' judges no texts"):
        judged([b'{"text":"a"}'], Edits)


def test_a_plugin_that_breaks_on_a_line_names_it() -> None:
    class Broken(Refuses):
        def scan(self, row: dict[str, Any], options: WordOptions) -> dict[str, Any]:
            return {"odd": object()} if row["text"] == "b" else {"bad": row["nothing"]}

    with pytest.raises(BadRow, match=r"line 1: the plugin failed on it \(KeyError"):
        judged([b'{"text":"a"}'], Broken)
    with pytest.raises(BadRow, match="line 1: the plugin failed on it"):
        judged([b'{"text":"b"}'], Broken)


def test_a_row_keeps_all_it_had() -> None:
    assert read(1, b'{"text":"a","label":1,"deep":{"x":[null]}}') == {"text": "a", "label": 1, "deep": {"x": [None]}}
