"""An instance of a JSON Schema: what a model that obeys would answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Any
_FORMATS = {
    "date-time": "2026-01-02T03:04:05Z",
    "date": "2026-01-02",
    "time": "03:04:05Z",
    "duration": "PT1H",
    "email": "someone@example.org",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "uri": "https://example.org/",
    "hostname": "example.org",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
}


def instance(schema: Json, text: str, root: Mapping[str, Json] | None = None, depth: int = 0) -> Json:
    """Every property is filled; free strings hold `text`, so that tests can see what went in."""
    if not isinstance(schema, Mapping) or depth > 12:
        return None
    root = schema if root is None else root
    if "$ref" in schema:
        return instance(_resolve(str(schema["$ref"]), root), text, root, depth + 1)
    for chosen in ("const", "default"):
        if chosen in schema:
            return schema[chosen]
    if schema.get("enum"):
        return schema["enum"][0]
    for union in ("anyOf", "oneOf"):
        if schema.get(union):
            options = [option for option in schema[union] if option.get("type") != "null"] or schema[union]
            return instance(options[0], text, root, depth + 1)
    if schema.get("allOf"):
        parts = [instance(part, text, root, depth + 1) for part in schema["allOf"]]
        return {key: value for part in parts if isinstance(part, dict) for key, value in part.items()} or parts[0]
    return _typed(schema, text, root, depth)


def _typed(schema: Mapping[str, Json], text: str, root: Mapping[str, Json], depth: int) -> Json:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if kind == "object":
        return {key: instance(value, text, root, depth + 1) for key, value in (schema.get("properties") or {}).items()}
    if kind == "array":
        count = max(int(schema.get("minItems", 1)), 1)
        return [instance(schema.get("items", {"type": "string"}), text, root, depth + 1) for _ in range(count)]
    if kind == "string":
        return _string(schema, text)
    if kind in ("integer", "number"):
        return _number(schema, kind)
    return True if kind == "boolean" else None


def _string(schema: Mapping[str, Json], text: str) -> str:
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    return text[: int(schema.get("maxLength", 200))].ljust(int(schema.get("minLength", 0)), ".")


def _number(schema: Mapping[str, Json], kind: str) -> int | float:
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    value = low + 1 if "exclusiveMinimum" in schema or low < 1 else low
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    value = high if high is not None and value > high else value
    return int(value) if kind == "integer" else value


def _resolve(reference: str, root: Mapping[str, Json]) -> Json:
    found: Json = root
    for step in reference.removeprefix("#").split("/"):
        if step:
            found = found.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, Mapping) else {}
    return found
