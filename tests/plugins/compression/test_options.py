"""Wrong options are told with a sentence; those that stand by default are safe."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.compression.options import CompressionOptions, Summarise
from plugins.compression.plan import plan_of


@pytest.mark.parametrize(
    "wrong",
    [{"min_tokens": -1}, {"extract_to_tokens": 10}, {"extract_above_tokens": 100, "extract_to_tokens": 200},
     {"max_context_tokens": 10}, {"extract_above_tokens": -5}],
)  # fmt: skip
def test_wrong_options_are_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        CompressionOptions(**wrong)


@pytest.mark.parametrize("wrong", [{"target": "gpt"}, {"answer_tokens": 1}, {"timeout_s": 0}])
def test_whoever_sums_up_is_an_upstream_and_a_model(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        Summarise(**wrong)


def test_people_and_operators_keep_their_words_by_default() -> None:
    rules = plan_of(CompressionOptions()).rules
    assert ("tool_result", "tool") in rules
    assert ("document", "user") in rules
    assert not [place for place in rules if place[0] == "text"]
    assert not any(one.schemas for one in rules.values())
    careful = plan_of(CompressionOptions(user=True)).rules["text", "user"]
    assert not (careful.tables or careful.logs or careful.repeats or careful.boilerplate)


def test_options_that_differ_are_remembered_apart() -> None:
    assert plan_of(CompressionOptions()).name != plan_of(CompressionOptions(logs=False)).name
    assert plan_of(CompressionOptions()).name == plan_of(CompressionOptions()).name
