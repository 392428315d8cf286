"""Words of English that may stand for each other, by their stems, and irregular forms; taken from WordNet."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from types import MappingProxyType

PACKAGED = "meanings.txt"


@lru_cache(1)
def _lines() -> str:
    return "\n" + resources.files("plugins.compression").joinpath(PACKAGED).read_text("ascii")


@lru_cache(1)
def forms() -> Mapping[str, str]:
    """The stem that an irregular form belongs to, by its own: `paid`, `pay`."""
    head = _lines().partition("\n\n")[0].split("\n")
    return MappingProxyType({form: of for form, _, of in (line.partition("=") for line in head if line)})


def meant(stem: str) -> list[str]:
    """The stems of words that share a sense with words of this one. (A line of the file is looked for in a few tens of
    microseconds: as objects all of them would take megabytes in every worker.)"""
    if not stem.isascii() or not stem.isalpha():
        return []
    lines = _lines()
    at = lines.find(f"\n{stem}:")
    if at < 0:
        return []
    start = at + len(stem) + 2
    end = lines.find("\n", start)
    return lines[start : end if end >= 0 else len(lines)].split()
