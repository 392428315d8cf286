"""Parts of a text that an extract is made of: Told (prose, logs, tables) and Tree (JSON)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Protocol

from plugins.compression import table
from plugins.compression.minify import valid
from plugins.compression.passages import Passage, passages

GAP = "[...]"
LEFT_OUT = "_left_out"
MEMBER_CHARS = 500
"""Longer members and elements are taken apart."""
STRING_CHARS = 300
"""Longer strings are cut by their passages."""
DEEP = 12
INSIDE = -1
"""In a path: the JSON that a string holds."""
Json = Any
Path = tuple[str | int, ...]


def nothing_of(text: str) -> tuple[str, ...]:
    """What says that all of a text is left out, the shortest last; JSON of JSON."""
    opens = text.lstrip()[:1] if valid(text) else ""
    if opens in ("{", "["):
        return table.written({LEFT_OUT: "all"}), "{}" if opens == "{" else "[]"
    return GAP, "…"


class Piece(Protocol):
    """A part of a text with its passages."""

    parts: list[Passage]

    def told(self, kept: Collection[int]) -> str:
        """What is left of it: those of its passages (by their places in `parts`), and marks for the others."""
        ...


class Told:
    """A text that is no JSON."""

    def __init__(self, text: str, before: int) -> None:
        """`before`: so many passages stand before its first."""
        self.parts = passages(text)
        _move(self.parts, before)

    def told(self, kept: Collection[int]) -> str:
        return rendered(self.parts, kept)


def rendered(parts: Sequence[Passage], kept: Collection[int]) -> str:
    """What is kept, as it stood; one mark for each gap, between empty lines where paragraphs are (and tokens fewer)."""
    out: list[str] = []
    gap = False
    for at, part in enumerate(parts):
        if at not in kept:
            gap = True
            continue
        if gap:
            out.append(_gap(out, parts[at - 1], part))
            gap = False
        out.append(part.text)
    if gap and out:
        out[-1] = f"{out[-1].rstrip()}\n{GAP}"
    return "".join(out)


def _gap(out: list[str], left: Passage, part: Passage) -> str:
    """The mark behind what is out and before this passage; `left`: the last one that is left out."""
    if not out:
        return f"{GAP}\n"
    before, inside = out[-1], left.block == part.block
    out[-1] = before.rstrip()
    if inside and not before.endswith("\n"):
        return f" {GAP} "
    return f"\n\n{GAP}\n\n" if before.endswith(("\n\n", "\r\n\r\n")) else f"\n{GAP}\n"


class Tree:
    """A JSON value: its members and elements, as deep as they are long; of long strings their passages."""

    def __init__(self, value: Json, before: int) -> None:
        self._value = value
        self.parts: list[Passage] = []
        self._paths: list[Path] = []
        self._strings: dict[Path, tuple[int, int]] = {}
        """Where the passages of a string begin and end."""
        blocks: dict[Path, int] = {}
        """Members of one object stand together; elements of an array do not."""
        for path, inner in _members(value, ()):
            names = [str(key) for key in path if type(key) is str]
            lead = " ".join(names[-2:])
            if type(inner) is str and len(inner) > STRING_CHARS and len(found := passages(inner)) > 1:
                start = len(self.parts)
                _move(found, start + before)
                for part in found:
                    part.lead = part.lead or lead
                self.parts += found
                self._paths += [path] * len(found)
                self._strings[path] = (start, len(self.parts))
                continue
            key = f"{table.written(path[-1])}:" if path and type(path[-1]) is str else ""
            together = path[:-1] if key else path
            block = blocks.setdefault(together, before + len(self.parts))
            self.parts.append(Passage(key + table.written(inner), block, (), lead))
            self._paths.append(path)

    def told(self, kept: Collection[int]) -> str:
        chosen = {self._paths[at] for at in kept}
        above = {path[:depth] for path in chosen for depth in range(len(path))}
        strings = {path: rendered(self.parts[start:end], {at - start for at in kept if start <= at < end})
                   for path, (start, end) in self._strings.items() if path in chosen}  # fmt: skip
        return table.written(_pruned(self._value, (), chosen, above, strings))


def _move(parts: Sequence[Passage], by: int) -> None:
    for part in parts:
        part.title = tuple([at + by for at in part.title])
        part.header += by if part.header >= 0 else 0
        part.block += by


def _members(value: Json, path: Path) -> Iterator[tuple[Path, Json]]:
    inside = _inside(value)
    if inside is not None:
        yield from _members(inside, (*path, INSIDE))
        return
    kind = type(value)
    whole = (kind is not dict and kind is not list) or not value or len(path) >= DEEP
    if whole or (path and len(table.written(value)) <= MEMBER_CHARS):
        yield path, value
    else:
        for key, inner in value.items() if kind is dict else enumerate(value):
            yield from _members(inner, (*path, key))


def _inside(value: Json) -> Json:
    """The value of a long string that is JSON; None of others."""
    if type(value) is str and len(value) > MEMBER_CHARS and value.lstrip()[:1] in ("{", "["):
        return table.value_of(value)
    return None


def _pruned(
    value: Json, path: Path, chosen: Collection[Path], above: Collection[Path], strings: dict[Path, str]
) -> Json:
    """What is chosen of a value, and what leads there."""
    if path in strings:
        return strings[path]
    if path in chosen:
        return value
    if type(value) is str:
        inside = table.value_of(value)
        told = _pruned(inside, (*path, INSIDE), chosen, above, strings)
        return value if told == inside else table.written(told)
    keys = list(value) if type(value) is dict else range(len(value))
    kept = [key for key in keys if (*path, key) in chosen or (*path, key) in above]
    made = [_pruned(value[key], (*path, key), chosen, above, strings) for key in kept]
    gone = len(value) - len(kept)
    if type(value) is dict:
        inner = dict(zip(kept, made, strict=True))
        return {**inner, LEFT_OUT: f"{gone} of {len(value)} members"} if gone else inner
    if gone:
        note = f"{gone} of {len(value)} items"
        made.append({LEFT_OUT: note} if all(type(item) is dict for item in value) else f"[{note} left out]")
    return made
