"""The words for the places of texts."""

from __future__ import annotations

import pytest

from proxy import wire
from proxy.exchange import Segment
from proxy.wire.positions import ANSWER, REQUEST, UNINSPECTED, place_of


def test_every_surface_has_its_places() -> None:
    assert tuple(REQUEST) == tuple(ANSWER)
    assert set(REQUEST) == set(wire.DIALECTS)
    assert {side for side, _ in UNINSPECTED.values()} == {"request", "answer"}


@pytest.mark.parametrize(
    ("role", "kind", "fresh", "place"),
    [
        ("system", "text", False, "system"), ("user", "text", True, "user"), ("user", "text", False, "history"),
        ("assistant", "text", False, "history"), ("assistant", "reasoning", False, "history"),
        ("tool", "text", True, "tool_result"), ("user", "tool_result", True, "tool_result"),
        ("user", "document", True, "tool_result"), ("system", "tool_description", False, "tool_description"),
        ("assistant", "tool_arguments", False, "tool_arguments"), ("assistant", "refusal", False, "history"),
    ],
)  # fmt: skip
def test_where_a_text_of_a_call_stands(role: str, kind: str, fresh: bool, place: str) -> None:
    assert place_of(Segment(role, kind, "x", fresh=fresh), answer=False) == place  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["text", "tool_arguments", "reasoning", "refusal"])
def test_where_a_text_of_an_answer_stands(kind: str) -> None:
    assert place_of(Segment("assistant", kind, "x"), answer=True) == kind  # type: ignore[arg-type]
