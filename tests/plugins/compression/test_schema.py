"""Schemas of tools become shorter and take what they took before."""

from __future__ import annotations

from typing import Any

from plugins.compression.schema import inlined, is_tools, trimmed, trimmed_tools


def test_a_property_called_like_a_keyword_stays() -> None:
    schema = {
        "type": "object",
        "title": "T",
        "properties": {"title": {"type": "string", "title": "Title"}, "default": {}},
    }
    assert trimmed(schema) == {"type": "object", "properties": {"title": {"type": "string"}, "default": {}}}


def test_what_a_default_says_stays_where_it_says_something() -> None:
    schema = {"anyOf": [{"type": "integer", "title": "I"}, {"type": "null"}], "default": 10}
    assert trimmed(schema) == {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": 10}
    assert trimmed({"type": "string", "default": None}) == {"type": "string"}


def test_values_are_not_taken_for_schemas() -> None:
    schema = {"enum": [{"title": "a"}], "const": {"examples": 1}, "default": {"title": "x"}}
    assert trimmed(schema) == schema


def test_extra_properties_that_are_forbidden_stay_forbidden() -> None:
    assert trimmed({"additionalProperties": False}) == {"additionalProperties": False}
    assert trimmed({"additionalProperties": True}) == {}
    assert trimmed({"additionalProperties": {"title": "T", "type": "string"}}) == {
        "additionalProperties": {"type": "string"}
    }


def test_a_description_that_says_its_title_again_goes() -> None:
    assert trimmed({"title": "User Name", "description": "user name.", "type": "string"}) == {"type": "string"}


def test_a_definition_that_is_used_once_stands_where_it_is_meant() -> None:
    colour = {"enum": ["red"], "type": "string"}
    schema: dict[str, Any] = {
        "properties": {"c": {"$ref": "#/$defs/Colour", "description": "Which"}},
        "$defs": {"Colour": colour},
    }
    assert inlined(schema) == {"properties": {"c": {"enum": ["red"], "type": "string", "description": "Which"}}}


def test_definitions_that_are_used_twice_or_in_themselves_stay() -> None:
    twice = {"properties": {name: {"$ref": "#/$defs/A"} for name in "ab"}, "$defs": {"A": {"type": "string"}}}
    assert inlined(twice) == twice
    tree = {"$ref": "#/$defs/T", "$defs": {"T": {"properties": {"next": {"$ref": "#/$defs/T"}}}}}
    assert inlined(tree) == tree
    narrowed = {"properties": {"a": {"$ref": "#/$defs/A", "minLength": 1}}, "$defs": {"A": {"type": "string"}}}
    assert inlined(narrowed) == narrowed


def test_strict_tools_and_strange_ones_stay_the_same_object() -> None:
    tools: list[Any] = [{"type": "function", "function": {"name": "a", "strict": True, "parameters": {"title": "T"}}},
                        {"type": "web_search"}, "what", None]  # fmt: skip
    assert trimmed_tools(tools) is tools


def test_tools_of_every_dialect_are_trimmed() -> None:
    schema = {"title": "T", "type": "object"}
    for place in ("parameters", "input_schema"):
        assert trimmed_tools([{"name": "a", place: schema, "cache_control": {"type": "ephemeral"}}]) == [
            {"name": "a", place: {"type": "object"}, "cache_control": {"type": "ephemeral"}}
        ]


def test_what_is_a_list_of_tools() -> None:
    assert is_tools([{"type": "function", "function": {"name": "a", "parameters": {}}}])
    assert not is_tools([{"name": "a"}])
    assert not is_tools([])
    assert not is_tools({"name": "a", "parameters": {}})


def test_what_may_be_left_out_need_not_be_null() -> None:
    text: dict[str, Any] = {
        "anyOf": [{"type": "string", "minLength": 2}, {"type": "null"}],
        "default": None,
        "description": "D",
    }
    schema = {"type": "object", "properties": {"a": text, "b": {**text, "default": "x"}}, "required": []}
    assert trimmed(schema)["properties"] == {
        "a": {"type": "string", "minLength": 2, "description": "D"}, "b": {**text, "default": "x"}
    }  # fmt: skip
    assert trimmed({**schema, "required": ["a"]})["properties"]["a"]["anyOf"] == text["anyOf"]
