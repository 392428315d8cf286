"""A plugin's own options: judged against its `Options` dataclass, and described from the docstrings under its fields.

Control only (pydantic); workers build the options with plain constructors from what `validate` gave.
"""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from proxy.configuration.example import hint, shape
from proxy.configuration.wording import Path, dotted, nearest, sentence
from proxy.errors import ConfigError

Json = Any
Row = tuple[str, str, Json, str]


def validate(options: type[Any], given: Mapping[str, Json], where: str = "options") -> dict[str, Json]:
    """The given options as plain, checked values; what was not given stays out, so that an agent's may be laid over
    the chain's. Raises ConfigError for the first that is wrong; `where` is the key of the section."""
    for path, words in faults(options, given):
        raise ConfigError(words, key=".".join(part for part in (where, dotted(path)) if part))
    made = _adapter(options).validate_json(json.dumps(given), strict=True)  # type: ignore[arg-type]
    hints = get_type_hints(options, include_extras=True)
    return {name: TypeAdapter(hints[name]).dump_python(getattr(made, name), mode="json") for name in given}


def faults(options: type[Any], given: Mapping[str, Json]) -> list[tuple[Path, str]]:
    """Everything that is wrong with options, by path below them."""
    found = list(_unknown(options, given, ()))
    known = {name: value for name, value in given.items() if name in {item.name for item in fields(options)}}
    try:
        _adapter(options).validate_json(json.dumps(known), strict=True)  # type: ignore[arg-type]
    except ValidationError as error:
        told = {path for path, _ in found}
        said: dict[Path, list[str]] = {}
        for item in error.errors(include_url=False):
            path = _written(options, tuple(str(part) for part in item["loc"]))
            words = shape(item["type"], options, path, given) or sentence(item)
            said.setdefault(path, []).append(words)
        found += [(path, _either(words)) for path, words in said.items() if path not in told]
    return found


@lru_cache(64)
def _adapter(options: type[Any]) -> TypeAdapter[Any]:
    """Milliseconds each, and hundreds of agents may have options of one class."""
    return TypeAdapter(options)


def _written(options: type[Any], loc: Path) -> Path:
    """As it is written: where a value may be of several kinds, pydantic adds which one it tried."""
    while loc and hint(options, loc) is None:
        loc = loc[:-1]
    return loc


def _either(words: list[str]) -> str:
    """One sentence for a value that is none of the kinds it may be."""
    must = "must be "
    if len(words) == 1 or not all(one.startswith(must) for one in words):
        return words[0]
    return must + " or ".join(dict.fromkeys(one.removeprefix(must).partition(" (")[0] for one in words))


def _unknown(kind: Any, value: Json, path: Path) -> Iterator[tuple[Path, str]]:
    """Names that no dataclass has, at any depth: a dataclass by itself would ignore them."""
    if isinstance(kind, type) and is_dataclass(kind) and isinstance(value, Mapping):
        hints = get_type_hints(kind)
        names = [item.name for item in fields(kind) if item.init]
        for name, inner in value.items():
            if name not in names:
                yield (*path, name), f"there is no such option{nearest(name, names)}"
            else:
                yield from _unknown(hints[name], inner, (*path, name))
        return
    inner_hints = [inner for inner in get_args(kind) if inner is not Ellipsis]
    if not inner_hints:
        return
    if isinstance(value, list):
        for place, item in enumerate(value):
            yield from _unknown(inner_hints[0], item, (*path, str(place)))
    elif isinstance(value, Mapping) and isinstance(get_origin(kind), type) and issubclass(get_origin(kind), Mapping):
        for name, item in value.items():
            yield from _unknown(inner_hints[-1], item, (*path, str(name)))
    elif isinstance(value, Mapping) and get_origin(kind) is not tuple:  # (a list is told to be one)
        for inner in inner_hints:
            if is_dataclass(inner):
                yield from _unknown(inner, value, path)
                return


def reference(options: type[Any]) -> list[Row]:
    """(name, type, default, help) of every option, in the order of the class."""
    words = {name: text for cls in reversed(options.__mro__) if is_dataclass(cls) for name, text in _docs(cls).items()}
    return [(item.name, _type(item), _default(item), words.get(item.name, "")) for item in fields(options)]


def _type(item: Field[Any]) -> str:
    return item.type if isinstance(item.type, str) else getattr(item.type, "__name__", str(item.type))


def _default(item: Field[Any]) -> Json:
    if item.default is not MISSING:
        return item.default
    return item.default_factory() if item.default_factory is not MISSING else None


def _docs(cls: type[Any]) -> dict[str, str]:
    """The docstring under each field of a class, on one line; empty where the source is not at hand."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return {}
    body = tree.body[0].body if tree.body and isinstance(tree.body[0], ast.ClassDef) else []
    found: dict[str, str] = {}
    for node, under in pairwise(body):
        named = isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        if named and isinstance(under, ast.Expr) and isinstance(under.value, ast.Constant):
            assert isinstance(node, ast.AnnAssign)
            assert isinstance(node.target, ast.Name)
            found[node.target.id] = " ".join(str(under.value.value).split())
    return found
