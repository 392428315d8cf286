"""What stands where a section or a list belongs, in words, and an example of the right form from its type.

A class of options may say it best itself, in a class variable `example`: flow YAML, such as `{target: openai/gpt-4o}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from proxy.configuration.wording import Path

Json = Any
SECTIONS = frozenset({"dict_type", "mapping_type", "model_type", "model_attributes_type", "dataclass_type"})
LISTS = frozenset({"tuple_type", "list_type"})
DEPTH = 4
WORDS: Mapping[str, str] = MappingProxyType({
    "url": "https://api.openai.com/v1", "model": "gpt-4o-mini", "models": "gpt-4o-mini", "asked": "gpt-4o",
    "target": "openai/gpt-4o-mini", "fallbacks": "openai/gpt-4o", "agents": "billing", "trusted_peers": "10.0.0.0/8",
    "rules": "rules.toml", "languages": "de", "must_contain": "WORD", "must_not_contain": "WORD",
})  # fmt: skip
"""Texts for an example, by the name of the option."""


def shape(kind: str, top: Any, path: Path, values: Json) -> str | None:
    """The sentence where a section or a list is wanted; None for every other finding of pydantic (`kind`). `top`: the
    class of the options, `values`: what was written for it."""
    if kind not in SECTIONS | LISTS:
        return None
    noun = "a section (name: value)" if kind in SECTIONS else "a list"
    found, value = hint(top, path), _at(values, path)
    right = _sample(found, DEPTH, path[-1] if path else "")
    if isinstance(value, bool) and kind in SECTIONS and hint(found, ("enabled",)) is bool:
        right = f"{{enabled: {named(value)}}}"
    line = f"- {right}" if path and path[-1].isdigit() else f"{path[-1]}: {right}" if path else right
    return f"must be {noun}, not {named(value)}: write `{line}`"


def named(value: Json) -> str:
    """What kind of value this is; never the value, which may be a secret."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    kinds = ((str, "a text"), (int | float, "a number"), (Mapping, "a section"), (list | tuple, "a list"))
    return next((words for known, words in kinds if isinstance(value, known)), "this")


def hint(top: Any, path: Path) -> Any:
    """The type at a path; None where there is none."""
    found = _bare(top)
    for part in path:
        args = [one for one in get_args(found) if one is not Ellipsis]
        if get_origin(found) in (Union, UnionType):
            found = next((one for one in map(_bare, args) if hint(one, (part,)) is not None), None)
        if isinstance(found, type) and issubclass(found, BaseModel):
            found = found.model_fields[part].annotation if part in found.model_fields else None
        elif is_dataclass(found):
            found = get_type_hints(found, include_extras=True).get(part)
        else:
            args = [one for one in get_args(found) if one is not Ellipsis]
            found = args[-1] if args and get_origin(found) is not Literal else None
        found = _bare(found)
    return found


def _bare(found: Any) -> Any:
    """Without `Annotated` and without `None`."""
    while True:
        if get_origin(found) is Annotated:
            found = get_args(found)[0]
        elif get_origin(found) in (Union, UnionType):
            kept = [one for one in get_args(found) if one is not NoneType]
            if len(kept) > 1:
                return found
            found = kept[0]
        else:
            return found


def _sample(found: Any, depth: int, name: str) -> str:
    """A right value for an option of that name, as flow YAML."""
    found = _bare(found)
    told = getattr(found, "example", None)
    if isinstance(told, str):
        return told
    origin, args = get_origin(found), [one for one in get_args(found) if one is not Ellipsis]
    if origin is Literal:
        return str(args[0])
    if not depth:
        return "..."
    if origin in (Union, UnionType):
        return _sample(args[0], depth, name)
    if origin in (tuple, list, frozenset):
        return f"[{_sample(args[0], depth - 1, name)}]"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"{{NAME: {_sample(args[-1], depth - 1, '')}}}"
    if is_dataclass(found) or (isinstance(found, type) and issubclass(found, BaseModel)):
        return f"{{{', '.join(f'{field}: {_sample(kind, depth - 1, field)}' for field, kind in _needed(found))}}}"
    words = {bool: "true", int: "1", float: "1.0", str: WORDS.get(name, "TEXT")}
    return words.get(found, "VALUE")


def _needed(found: Any) -> list[tuple[str, Any]]:
    """The fields that must be given; where there is none, the first."""
    if is_dataclass(found):
        hints = get_type_hints(found, include_extras=True)
        given = [(one.name, one.default is MISSING and one.default_factory is MISSING) for one in fields(found)]
        rows = [(name, hints[name], must) for name, must in given]
    else:
        rows = [(name, info.annotation, info.is_required()) for name, info in found.model_fields.items()]
    return [(name, kind) for name, kind, must in rows if must] or [(name, kind) for name, kind, _ in rows[:1]]


def _at(values: Json, path: Path) -> Json:
    """What stands at a path, through sections and lists."""
    for part in path:
        if isinstance(values, Mapping):
            values = values.get(part)
        elif isinstance(values, list) and part.isdigit() and int(part) < len(values):
            values = values[int(part)]
        else:
            return None
    return values
