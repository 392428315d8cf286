"""Tool schemas without what only documents them: titles, examples, defaults that say nothing, marks of the format."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

Json = Any
ANNOTATIONS = frozenset(
    {"title", "$schema", "$id", "$comment", "examples", "example", "markdownDescription", "readOnly", "deprecated"}
)
"""Keywords that forbid and allow nothing."""
_SCHEMAS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Under these stand schemas by name, so that a name is no keyword."""
_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_ONE = frozenset({"items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"})
_REF = "#/$defs/"
_SAYING = frozenset({"description", "default", "title", "examples"})
"""What beside a reference changes nothing of what it takes."""
_NULL = MappingProxyType({"type": "null"})
_PLACES = ("parameters", "input_schema", "inputSchema")


def trimmed_tools(tools: Json) -> Json:
    """The tools with shorter schemas: what was given where none can be made shorter. Strict ones stay as they are."""
    if type(tools) is not list:
        return tools
    made = [_tool(tool) for tool in tools]
    return made if any(new is not old for new, old in zip(made, tools, strict=True)) else tools


def is_tools(value: Json) -> bool:
    """Whether this is a list of tools as calls have it."""
    return type(value) is list and bool(value) and all(_described(tool) for tool in value)


def _described(tool: Json) -> bool:
    if type(tool) is not dict:
        return False
    inner = tool.get("function", tool)
    return type(inner) is dict and type(inner.get("name")) is str and any(place in inner for place in _PLACES)


def _tool(tool: Json) -> Json:
    if type(tool) is not dict:
        return tool
    inner = tool.get("function")
    if type(inner) is dict:
        made = _schemas(inner)
        return tool if made is inner else {**tool, "function": made}
    return _schemas(tool)


def _schemas(holder: dict[str, Json]) -> dict[str, Json]:
    if holder.get("strict") is True:
        return holder
    found = {place: holder[place] for place in _PLACES if type(holder.get(place)) is dict}
    made = {place: trimmed(inlined(schema)) for place, schema in found.items()}
    text = holder.get("description")
    if type(text) is str and (shorter := _unwrapped(text)) != text:
        made["description"] = shorter
    return {**holder, **made} if any(holder[name] != new for name, new in made.items()) else holder


def trimmed(schema: Json) -> Json:
    """One schema: whatever it takes, it took before. What may be left out need not be allowed to be null as well."""
    if type(schema) is not dict:
        return schema
    made: dict[str, Json] = {}
    for name, value in schema.items():
        if name in ANNOTATIONS or (name == "default" and value in (None, "", [], {})):
            continue
        if name == "required" and value == []:
            continue
        if name == "description" and type(value) is str:
            value = _unwrapped(value)
            if not value or _said(value, schema.get("title")):
                continue
        elif name in _SCHEMAS and type(value) is dict:
            may_lack = schema if name == "properties" else {"required": list(value)}
            value = {key: trimmed(_set(key, inner, may_lack)) for key, inner in value.items()}
        elif name in _LISTS and type(value) is list:
            value = [trimmed(inner) for inner in value]
        elif name in _ONE:
            if name == "additionalProperties" and value is True:
                continue
            value = [trimmed(inner) for inner in value] if type(value) is list else trimmed(value)
        made[name] = value
    return made


def _set(name: str, schema: Json, within: dict[str, Json]) -> Json:
    """A property that may be left out, without the null that stands for leaving it out."""
    required = within.get("required", ())
    if type(schema) is not dict or schema.get("default") is not None or name in required:
        return schema
    choices = schema.get("anyOf")
    if type(choices) is not list or len(choices) != 2 or _NULL not in choices:
        return schema
    other = choices[1] if choices[0] == _NULL else choices[0]
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    if type(other) is not dict or not (rest.keys() & other.keys()) <= _SAYING:
        return schema
    return {**other, **rest}


def inlined(schema: dict[str, Json]) -> dict[str, Json]:
    """The schema with definitions that are referred to once, and from outside the definitions, where they are meant."""
    defined = schema.get("$defs")
    if type(defined) is not dict:
        return schema
    uses: dict[str, int] = {}
    _count(schema, uses)
    inner: dict[str, int] = {}
    _count(defined, inner)
    once = {name: one for name, one in defined.items()
            if uses.get(_REF + name) == 1 and _REF + name not in inner and type(one) is dict}  # fmt: skip
    if not once:
        return schema
    outside = {name: _placed(value, once) for name, value in schema.items() if name != "$defs"}
    left = {name: one for name, one in defined.items() if name not in once}
    made = {**outside, "$defs": left} if left else outside
    uses.clear()
    _count(made, uses)
    return schema if any(_REF + name in uses for name in once) else made


def _count(value: Json, uses: dict[str, int]) -> None:
    if type(value) is dict:
        reference = value.get("$ref")
        if isinstance(reference, str):
            uses[reference] = uses.get(reference, 0) + 1
        for one in value.values():
            _count(one, uses)
    elif type(value) is list:
        for one in value:
            _count(one, uses)


def _placed(value: Json, once: dict[str, Json]) -> Json:
    if type(value) is list:
        return [_placed(one, once) for one in value]
    if type(value) is not dict:
        return value
    reference = value.get("$ref")
    if isinstance(reference, str) and reference.startswith(_REF):
        meant = once.get(reference[len(_REF) :])
        rest = {name: one for name, one in value.items() if name != "$ref"}
        if meant is not None and rest.keys() <= _SAYING:
            return {**{name: one for name, one in meant.items() if name not in rest}, **rest}
    return {name: _placed(one, once) for name, one in value.items()}


def _said(description: str, title: Json) -> bool:
    """It says its title once more."""
    return type(title) is str and description.strip(" .").lower() == title.lower()


def _unwrapped(text: str) -> str:
    """Prose over several indented lines on as few as it needs; lists and code keep theirs."""
    if "\n" not in text and "  " not in text:
        return text.strip()
    if "```" in text or "`" in text:
        return text.strip()
    blocks = ["\n".join(line.strip() for line in block.splitlines()) for block in text.strip().split("\n\n")]
    return "\n\n".join(block for block in blocks if block.strip())
