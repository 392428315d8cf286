"""How configuration speaks: dotted keys, the nearest right name, the finding of a validator as a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

Path = tuple[str, ...]

PLAIN = re.compile(r"[^.\"\s]+")
PART = re.compile(r'"([^"]*)"|([^."]+)')
NOUNS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text (write it in quotes)",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a section (name: value)",
    "mapping_type": "a section (name: value)",
    "model_type": "a section (name: value)",
    "model_attributes_type": "a section (name: value)",
    "dataclass_type": "a section (name: value)",
    "finite_number": "an ordinary number",
}
AS_SWITCH = "YAML reads a bare on, off, yes or no as true or false"
BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}


def dotted(path: Iterable[str]) -> str:
    """A path as the key that people write: `limits.depth`; a name with a dot stands in quotes."""
    return ".".join(part if PLAIN.fullmatch(part) else f'"{part}"' for part in path)


def parts(key: str) -> Path:
    """The path behind a key: what `dotted` undoes."""
    return tuple(quoted or plain for quoted, plain in PART.findall(key))


def nearest(word: str, known: Iterable[str]) -> str:
    """What was probably meant, as the end of a sentence; what there is, where nothing is near."""
    names = sorted(known)
    if not names:
        return ""
    found = get_close_matches(word, names, n=1, cutoff=0.6) or get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    if found:
        return f"; did you mean {found[0]}?"
    if len(names) > 16:
        return ""
    return f"; there are: {', '.join(names)}"


def sentence(error: Mapping[str, Any]) -> str:
    """A finding of pydantic in our words. Values are never quoted but where a fixed set names the right ones: they
    could be secrets."""
    kind = str(error["type"])
    context = error.get("ctx") or {}
    if kind in NOUNS:
        return f"must be {NOUNS[kind]}"
    if kind in BOUNDS:
        name, words = BOUNDS[kind]
        bound = context[name]
        return f"must be {words} {bound:g}" if isinstance(bound, float) else f"must be {words} {bound}"
    if kind in ("missing", "missing_argument"):
        return "is missing"
    if kind == "literal_error":
        choices = str(context["expected"]).replace(" or ", ", ")
        return f"must be one of {choices}{_bare(choices) if type(error.get('input')) is bool else ''}"
    if kind == "value_error":
        return str(context.get("error", error["msg"]))
    text = str(error["msg"])
    return text[:1].lower() + text[1:]


def _bare(choices: str) -> str:
    """Of a switch where one of these words should stand."""
    if any(f"'{word}'" in choices for word in ("on", "off", "yes", "no")):
        return f" (write it in quotes: {AS_SWITCH})"
    return f" ({AS_SWITCH}: write a word in quotes)"
