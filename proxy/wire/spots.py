"""Where texts stand in typed items and blocks: a small language of paths, and segments made of what it finds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from proxy.exchange import Kind, Role, Segment
from proxy.ports import Json
from proxy.wire.body import Place, argument_segments, descriptions, string_leaves

Path = tuple[str | int, ...]
How = Literal["text", "json", "leaves", "descriptions"]


class Found(NamedTuple):
    """A text: `container[key]`, and `path`, its place inside the item (the same in every copy of that item)."""

    path: Path
    container: Any
    key: Any
    kind: Kind
    role: Role
    sealed: bool = False
    nested: bool = False
    """The text is JSON: its string values are what plugins see."""
    coded: tuple[Place, str] | None = None
    """The text stands in a form of its own: its place, and what it says."""

    @property
    def text(self) -> str:
        found: str = self.container[self.key] if self.coded is None else self.coded[1]
        return found


@dataclass(frozen=True, slots=True)
class Spot:
    """One place where an item of some type may have a text. `*` stands for every element or member; `how`: the string
    itself, a string that holds JSON, every string at and under it, or the descriptions of a tool or schema."""

    path: str
    kind: Kind = "tool_arguments"
    role: Role = "assistant"
    how: How = "text"
    sealed: bool = False
    steps: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.path.split(".")))


def search(item: Json, spots: Iterable[Spot], prefix: Path = ()) -> Iterator[Found]:
    """The texts of `item` at these spots, the empty ones left out."""
    for spot in spots:
        for path, container, key in _reach(item, spot.steps, prefix):
            yield from _take(spot, path, container, key)


_MUTE = re.compile(
    r"type|role|status|object|model|id|.*_ids?|.*signature|encrypted_.*|data|.*_data|.*url|.*uri|.*_type|format|detail",
)
"""What says nothing to a model, must stay as it is, or is no text."""


def strange(
    container: Any, key: str | int, kind: Kind, role: Role, path: Path = (), *, sealed: bool = False
) -> Iterator[Found]:
    """The texts at and under `container[key]`, of a kind that no codec knows: whatever it is, what it says is read.
    What may be covered by a signature is sealed."""
    value = container[key]
    if type(value) is str:
        if value:
            yield Found(path, container, key, kind, role, sealed)
    elif type(value) is dict:
        sealed = sealed or any("signature" in name or name.startswith("encrypted") for name in value)
        for name in value:
            if _MUTE.fullmatch(name) is None:
                yield from strange(value, name, kind, role, (*path, name), sealed=sealed)
    elif type(value) is list:
        for place in range(len(value)):
            yield from strange(value, place, kind, role, (*path, place), sealed=sealed)


def _take(spot: Spot, path: Path, container: Any, key: str | int) -> Iterator[Found]:
    value = container[key]
    if spot.how in ("text", "json"):
        if type(value) is str and value:
            yield Found(path, container, key, spot.kind, spot.role, spot.sealed, spot.how == "json")
        return
    inner = string_leaves(container, key) if spot.how == "leaves" else descriptions(container, key)
    for number, (place, _) in enumerate(inner):
        yield Found((*path, number), place.container, place.key, spot.kind, spot.role, spot.sealed)


def _reach(item: Json, names: tuple[str, ...], path: Path) -> Iterator[tuple[Path, Any, Any]]:
    name, rest = names[0], names[1:]
    keys: Iterable[Any]
    if name != "*":
        keys = (name,) if type(item) is dict and name in item else ()
    elif type(item) is dict:
        keys = tuple(item)
    else:
        keys = range(len(item)) if type(item) is list else ()
    for key in keys:
        if rest:
            yield from _reach(item[key], rest, (*path, key))
        else:
            yield (*path, key), item, key


def segments(found: Iterable[Found], *, index: int, fresh: bool = False, part: int = 0) -> list[Segment]:
    """A segment for each text found, numbered from `part`; JSON inside a string gives one for each of its leaves."""
    made: list[Segment] = []
    for one in found:
        place, number = one.coded[0] if one.coded else Place(one.container, one.key), part + len(made)
        if one.nested:
            made += argument_segments(
                place, one.text, one.role, index=index, part=number, fresh=fresh, sealed=one.sealed
            )
        else:
            made.append(
                Segment(one.role, one.kind, one.text, place, index=index, part=number, fresh=fresh, sealed=one.sealed)
            )
    return made


def of_tools(doc: dict[str, Json], spots: Iterable[Spot], *, fresh: bool) -> list[Segment]:
    """What the call's tools say of themselves; the index is that of the tool."""
    tools = doc.get("tools")
    made: list[Segment] = []
    for index, tool in enumerate(tools if type(tools) is list else ()):
        made += segments(search([tool], spots), index=index, fresh=fresh)
    return made
