"""JSON of which passages are left out stays JSON, says so, and changes nothing that it keeps."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plugins.compression.passages import passages
from plugins.compression.pieces import GAP, LEFT_OUT, Tree, nothing_of, rendered
from plugins.compression.table import read

LONG = "The pump is blue. It stands in Oslo and hums. " * 12
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30) | st.sampled_from([LONG, json.dumps([LONG, 1])]),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner, max_size=6),
    max_leaves=25,
)


@given(VALUES, st.data())
def test_what_is_left_of_json_is_json(value: Any, data: st.DataObject) -> None:
    tree = Tree(read(json.dumps(value)), 0)
    kept = data.draw(st.sets(st.sampled_from(range(len(tree.parts))), min_size=1)) if tree.parts else {0}
    if tree.parts:
        _held(json.loads(tree.told(kept)), value)


def _held(told: Any, value: Any) -> None:
    """What is told stands in the value, apart by marks; long texts may have gaps."""
    if isinstance(value, dict) and isinstance(told, dict):
        for key, inner in told.items():
            if key in value:
                _held(inner, value[key])
            else:
                assert key == LEFT_OUT
    elif isinstance(value, list) and isinstance(told, list):
        assert len(told) <= len(value) + 1
    elif isinstance(value, str) and told != value:
        assert GAP in told or LEFT_OUT in told or "left out" in told
    else:
        assert told == value


def test_all_of_it_is_the_value() -> None:
    value = {"page": 1, "rows": [{"id": n, "text": LONG} for n in range(3)], "more": {"a": {"b": [LONG] * 3}}}
    tree = Tree(read(json.dumps(value)), 0)
    assert json.loads(tree.told(range(len(tree.parts)))) == value


def test_json_in_a_string_is_cut_as_json() -> None:
    value = {"body": json.dumps({"items": [{"id": n, "told": "pump " * 30} for n in range(9)]})}
    tree = Tree(read(json.dumps(value)), 0)
    at = next(place for place, part in enumerate(tree.parts) if '"id":4' in part.text)
    inner = json.loads(json.loads(tree.told({at}))["body"])
    assert inner["items"][0]["id"] == 4
    assert LEFT_OUT in inner["items"][-1]


def test_gaps_are_marked_once_each_and_the_rest_stands_as_it_stood() -> None:
    parts = passages("One is here. Two is there as well. Three is far away now. Four is the last of them.")
    assert rendered(parts, {0, 3}) == "One is here. Two is there as well. [...] Four is the last of them." or (
        rendered(parts, {0, 2}).count(GAP) == 1
    )


def test_what_says_that_all_is_left_out_is_json_of_json() -> None:
    assert all(json.loads(one) is not None for one in nothing_of('{"a": 1}'))
    assert nothing_of("text") == (GAP, "…")
