"""Options of the semantic cache that cannot be are told with what to write."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.cache.semantic.options import SemanticOptions, installed


def test_it_is_off_until_something_can_decide() -> None:
    assert not SemanticOptions().on
    assert SemanticOptions().mode == "shadow"
    assert SemanticOptions(typos=True).on
    assert SemanticOptions(embedder="openai/text-embedding-3-small").on


@pytest.mark.skipif(installed(), reason="the extra is installed")
def test_what_is_not_installed_is_told_before_it_is_in_effect() -> None:
    with pytest.raises(ValueError, match="weir-proxy\\[semantic\\]"):
        SemanticOptions(embedder="minilm")


@pytest.mark.parametrize(
    "wrong",
    [{"mode": "enforce"}, {"embedder": "something"},
     {"embedder": "/m"}, {"threshold": 0.2}, {"wrong_at_most": 0.0}, {"explore": 2.0},
     {"entries": 0}],
)  # fmt: skip
def test_what_cannot_be_is_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"between|embedder"):
        SemanticOptions(**wrong)
