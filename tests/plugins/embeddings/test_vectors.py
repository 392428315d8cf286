"""Vectors: told as they came, in both forms, within a bound."""

from __future__ import annotations

import base64
import struct
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.embeddings.vectors import Vectors, body, read, vector

FIGURES = st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=40)
SINGLE = st.lists(st.floats(-1e6, 1e6, allow_nan=False, width=32), min_size=1, max_size=40)


@given(FIGURES)
def test_figures_are_told_as_they_came(figures: list[float]) -> None:
    assert orjson.loads(vector(figures, 0.0, "m").told("float")) == figures


@given(SINGLE)
def test_base64_is_told_as_it_came_and_as_floats(figures: list[float]) -> None:
    coded = base64.b64encode(struct.pack(f"<{len(figures)}f", *figures)).decode()
    found = vector(coded, 0.0, "m")
    assert orjson.loads(found.told("base64")) == coded
    assert orjson.loads(found.told("float")) == figures
    assert orjson.loads(vector(figures, 0.0, "m").told("base64")) == coded


@pytest.mark.parametrize("wrong", ["", "AAA=", "not base64", [], [1, "2"], [True], None, {}, [1e300, 1e400]])
def test_what_is_no_vector_is_told(wrong: Any) -> None:
    if wrong == [1e300, 1e400]:
        wrong = [10**400]
    with pytest.raises(ValueError, match=r".+"):
        vector(wrong, 0.0, "m")


def test_an_answer_is_read_in_the_order_of_its_indexes_and_written_again() -> None:
    data = [{"index": 1, "embedding": [0.5]}, {"index": 0, "embedding": [0.25]}]
    found, tokens = read(orjson.dumps({"data": data, "model": "m", "usage": {"prompt_tokens": 7}}), 2, 3.0)
    assert (tokens, [each.told("float") for each in found]) == (7, [b"[0.25]", b"[0.5]"])
    assert orjson.loads(body(found, "float", 7)) == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.25]},
            {"object": "embedding", "index": 1, "embedding": [0.5]},
        ],
        "model": "m",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }


@pytest.mark.parametrize(
    "data",
    [[], [{"index": 0, "embedding": [1.0]}] * 2, [{"index": 5, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}],
     ["x", "y"], None],
)  # fmt: skip
def test_an_answer_that_is_not_whole_is_told(data: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read(orjson.dumps({"data": data}), 2, 0.0)


def test_what_was_not_used_for_longest_goes_first_and_what_is_old_goes_when_seen() -> None:
    kept = Vectors(10_000)
    one = vector([0.5] * 100, 10.0, "m")
    for number in range(100):
        kept.keep(number.to_bytes(2, "big"), vector([0.5] * 100, 10.0, "m"))
        kept.get((0).to_bytes(2, "big"), 0.0)
    assert kept.used_bytes <= 10_000
    assert len(kept) == 10_000 // one.size_bytes
    assert kept.get((0).to_bytes(2, "big"), 9.0) is not None
    assert kept.get((0).to_bytes(2, "big"), 10.0) is None
    kept.fit(0)
    assert (len(kept), kept.used_bytes) == (0, 0)
