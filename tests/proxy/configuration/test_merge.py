"""Layers on top of each other."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.configuration.merge import DEFAULT, Merge, Origin, shaped

FIRST, SECOND = Origin("file", "w.yaml", 3), Origin("env", "WEIR_X")
VALUES = st.fixed_dictionaries(
    {}, optional={"depth": st.integers(), "body_bytes": st.integers(), "header_bytes": st.just(None)}
)


def test_sections_merge_and_lists_are_replaced() -> None:
    merge = Merge()
    merge.put(("upstreams", "a"), {"url": "u", "models": ["x", "y"], "timeouts": {"idle_s": 1}}, FIRST)
    merge.put(("upstreams", "a"), {"models": ["z"], "timeouts": {"total_s": 2}}, SECOND)
    assert merge.values["upstreams"]["a"] == {"url": "u", "models": ["z"], "timeouts": {"idle_s": 1, "total_s": 2}}
    assert merge.leaf(("upstreams", "a", "models", "0")) == SECOND
    assert merge.leaf(("upstreams", "a", "timeouts", "idle_s")) == FIRST
    assert merge.leaf(("upstreams", "a", "verify")) == DEFAULT
    assert merge.place(("upstreams", "a", "verify")) == SECOND


def test_a_section_in_the_way_of_a_value_gives_way() -> None:
    merge = Merge()
    merge.put(("limits",), 5, FIRST)
    merge.put(("limits", "depth"), 9, SECOND)
    assert merge.values == {"limits": {"depth": 9}}
    merge.put(("limits",), 5, FIRST)
    assert (merge.values, list(merge.leaves)) == ({"limits": 5}, [("limits",)])


def test_an_empty_section_says_nothing_about_its_values() -> None:
    merge = Merge()
    merge.put(("limits",), None, FIRST)
    assert merge.values == {"limits": {}}
    assert merge.leaf(("limits", "depth")) == DEFAULT
    assert merge.place(("limits", "depth")) == FIRST


def test_a_section_that_only_its_values_mention_stands_where_they_do() -> None:
    merge = Merge()
    merge.put(("agents", "tax"), {"cache": True}, FIRST)
    merge.put(("agents", "tax", "plugins", "pii", "mode"), "shadow", SECOND)
    assert merge.place(("agents", "tax", "plugins", "pii")) == SECOND
    assert merge.place(("agents", "tax", "plugins", "cache")) == FIRST


def test_short_forms_take_their_long_shape_and_remember_where_they_stood() -> None:
    value: Any = {"plugins": ["audit", {"metering": None}], "aliases": {"a": "m"}, "agents": None}
    made, moved = shaped((), value)
    assert made == {"plugins": {"audit": {}, "metering": {}}, "aliases": {"a": {"model": "m"}}, "agents": {}}
    assert moved == {("plugins", "audit"): ("plugins", "0"), ("plugins", "metering"): ("plugins", "1", "metering")}


def test_a_plugins_own_options_keep_their_shape() -> None:
    value = {"pii": {"options": {"aliases": None, "plugins": ["x"]}}}
    assert shaped(("plugins",), value)[0] == value


@settings(deadline=None, max_examples=50)
@given(VALUES, VALUES)
def test_the_stronger_layer_wins_leaf_by_leaf(weak: dict[str, Any], strong: dict[str, Any]) -> None:
    merge = Merge()
    merge.put(("limits",), weak, FIRST)
    merge.put(("limits",), strong, SECOND)
    assert merge.values["limits"] == weak | strong
    for name in weak | strong:
        assert merge.leaf(("limits", name)) == (SECOND if name in strong else FIRST)


def test_what_is_dropped_leaves_no_trace() -> None:
    merge = Merge()
    merge.put(("limits", "depth"), 5, FIRST)
    merge.drop(("limits", "depth"))
    assert (merge.values, merge.leaves, merge.has(("limits", "depth"))) == ({"limits": {}}, {}, False)


def test_an_origin_says_what_people_say() -> None:
    assert [str(origin) for origin in (FIRST, SECOND, DEFAULT)] == ["w.yaml:3", "env WEIR_X", "default"]
