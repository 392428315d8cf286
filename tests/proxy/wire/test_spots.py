from __future__ import annotations

from typing import Any

from proxy.wire.spots import Spot, of_tools, search, segments


def paths(item: Any, *spots: Spot) -> list[tuple[Any, str]]:
    return [(found.path, found.text) for found in search(item, spots)]


def test_a_star_stands_for_every_element_and_member() -> None:
    item = {"a": [{"b": "x"}, {"b": ""}, {"c": "n"}, "n", {"b": "y"}], "d": {"k": "z", "l": 5}}
    assert paths(item, Spot("a.*.b"), Spot("d.*")) == [(("a", 0, "b"), "x"), (("a", 4, "b"), "y"), (("d", "k"), "z")]


def test_what_is_of_another_shape_is_passed_over() -> None:
    items: list[Any] = [None, 5, "x", [], {"a": None}, {"a": 5}, {"a": [[]]}]
    for item in items:
        assert paths(item, Spot("a.b"), Spot("a.*.b"), Spot("a", how="json")) == []


def test_leaves_and_descriptions_are_numbered_under_their_place() -> None:
    item = {"in": {"a": "x", "b": ["y", {"c": "z"}]}, "tool": {"description": "d", "p": {"description": "e"}}}
    found = paths(item, Spot("in", how="leaves"), Spot("tool", how="descriptions"))
    assert [text for _, text in found] == ["x", "y", "z", "d", "e"]
    assert len({path for path, _ in found}) == 5


def test_segments_are_numbered_through_the_leaves_of_json() -> None:
    item = {"a": "x", "args": '{"k":"y","l":["z"]}'}
    made = segments(search(item, (Spot("a"), Spot("args", how="json", sealed=True))), index=3, fresh=True, part=2)
    assert [(one.part, one.text, one.sealed) for one in made] == [(2, "x", False), (3, "y", True), (4, "z", True)]
    assert all(one.index == 3 and one.fresh for one in made)


def test_tools_are_told_apart_by_their_index() -> None:
    doc = {"tools": [{"name": "n"}, {"description": "d"}]}
    made = of_tools(doc, (Spot("*", "tool_description", "system", "descriptions"),), fresh=False)
    assert [(one.index, one.text) for one in made] == [(1, "d")]
    assert of_tools({}, (), fresh=False) == []
