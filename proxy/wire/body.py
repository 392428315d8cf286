"""A call's body: parsed without loss, encoded, edited by byte splice, and the slots through which texts are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypedDict, Unpack

import orjson

from proxy.exchange import Kind, Role, Segment
from proxy.ports import Json
from proxy.wire.coding import encode, load, parse
from proxy.wire.leaves import Part, Scanner
from proxy.wire.splice import Span, spans, splice

__all__ = ["Embedded", "Leaf", "Place", "Slot", "Span", "argument_segments", "descriptions", "encode", "encode_with",
           "load", "parse", "spans", "splice", "string_leaves", "write_segments"]  # fmt: skip


class Slot(Protocol):
    """Where a segment's text stands. `put` may be called again and again; the last one counts."""

    def put(self, text: str) -> None: ...

    def flush(self) -> None:
        """After all texts have been put."""
        ...


class Place:
    """A text that is a value of the document itself: `container[key]`."""

    __slots__ = ("container", "key")

    def __init__(self, container: Any, key: str | int) -> None:
        self.container = container
        self.key = key

    def put(self, text: str) -> None:
        self.container[self.key] = text

    def flush(self) -> None:
        """Nothing is left to do."""


class Embedded:
    """A string of the document that holds JSON. `parts` is that JSON cut into structure and string leaves."""

    __slots__ = ("_texts", "parts", "place")

    def __init__(self, place: Place, parts: list[Part]) -> None:
        self.place = place
        self.parts = parts
        self._texts = [part.raw for part in parts]

    def put(self, index: int, text: str) -> None:
        self._texts[index] = self.parts[index].written(text)

    def flush(self) -> None:
        self.place.put("".join(self._texts))


class Leaf:
    """A string value inside an `Embedded` JSON."""

    __slots__ = ("document", "index")

    def __init__(self, document: Embedded, index: int) -> None:
        self.document = document
        self.index = index

    def put(self, text: str) -> None:
        self.document.put(self.index, text)

    def flush(self) -> None:
        self.document.flush()


def write_segments(segments: Iterable[Segment], *, original: bool = False) -> None:
    """Puts every changed text where it stands (`original`: what stood there before). Unchanged ones are not touched."""
    slots: list[Slot] = []
    for segment in segments:
        slot = segment.slot
        if slot is not None and segment.changed:
            slot.put(segment.original if original else segment.text)
            slots.append(slot)
    for slot in slots:
        slot.flush()


def encode_with(
    doc: Json,
    segments: Iterable[Segment],
    *,
    also: Iterable[tuple[Any, Any, Json]] = (),
    shape: Callable[[Json], Json] | None = None,
) -> bytes:
    """The document with the changed texts in it. `also` are further values to set (container, key, value) and `shape`
    a last change of outline (inserted messages) that must copy what it changes. The document itself is afterwards as
    it was before, so that a second writing (a retry, a shadow view, another target) starts from the caller's words."""
    changed = [segment for segment in segments if segment.changed]
    undo = []
    try:
        write_segments(changed)
        for container, key, value in also:
            undo.append((container, key, container[key]))
            container[key] = value
        return encode(shape(doc) if shape else doc)
    finally:
        for container, key, value in reversed(undo):
            container[key] = value
        write_segments(changed, original=True)


class Where(TypedDict, total=False):
    """What a segment is told of its place."""

    index: int
    fresh: bool
    sealed: bool


def argument_segments(
    place: Place, text: str, role: Role = "assistant", *, part: int = 0, **where: Unpack[Where]
) -> list[Segment]:
    """One segment for each string leaf of a string that holds JSON, numbered from `part`; where it holds none after
    all, the whole string is one. Keys are not segments; unchanged arguments stay the same string."""
    kind: Kind = "tool_arguments"
    parts = _leaves(text)
    if parts is None:
        return [Segment(role, kind, text, place, part=part, **where)] if text else []
    document = Embedded(place, parts)
    leaves = [(position, piece) for position, piece in enumerate(parts) if piece.leaf >= 0 and piece.text]
    return [
        Segment(role, kind, piece.text, Leaf(document, position), part=part + number, **where)
        for number, (position, piece) in enumerate(leaves)
    ]


def _leaves(text: str) -> list[Part] | None:
    try:
        orjson.loads(text)
    except ValueError:
        return None
    return Scanner().feed(text)


def string_leaves(container: Any, key: str | int) -> Iterator[tuple[Place, str]]:
    """Every non-empty string value at and under `container[key]`, in order, with its place. Keys are not among them."""
    value = container[key]
    if type(value) is str:
        if value:
            yield Place(container, key), value
    elif type(value) is dict:
        for name in value:
            yield from string_leaves(value, name)
    elif type(value) is list:
        for position in range(len(value)):
            yield from string_leaves(value, position)


SAID = frozenset({"description", "title", "default", "const"})
"""What a tool or a schema says in one string ..."""
LISTED = frozenset({"enum", "examples", "default", "const"})
"""... and in several."""
LEAST_CHARS = 6
WORD_CHARS = 24


def descriptions(container: Any, key: str | int) -> Iterator[tuple[Place, str]]:
    """Every string at and under `container[key]` by which a tool or schema tells the model something: `description`,
    `title`, `default`, `const`, `enum` and `examples`. Single words (`celsius`) and what is shorter than an address can
    be are no texts, but in a description."""
    value = container[key]
    if type(value) is list:
        for position, one in enumerate(value):
            if type(one) is dict or type(one) is list:
                yield from descriptions(value, position)
    elif type(value) is dict:
        for name, inner in value.items():
            kind = type(inner)
            if kind is str:
                if name == "description":
                    if inner:
                        yield Place(value, name), inner
                elif name in SAID and _tells(inner):
                    yield Place(value, name), inner
            elif kind is list and name in LISTED:
                yield from _listed(inner)
            elif kind is dict:
                if name == "default" or name == "const":
                    yield from (one for one in string_leaves(value, name) if _tells(one[1]) and one[0].key not in SAID)
                yield from descriptions(value, name)
            elif kind is list:
                yield from descriptions(value, name)


def _listed(values: list[Any]) -> Iterator[tuple[Place, str]]:
    for position, one in enumerate(values):
        if type(one) is str:
            if _tells(one):
                yield Place(values, position), one
        elif type(one) is dict or type(one) is list:
            yield from (found for found in string_leaves(values, position) if _tells(found[1]))


def _tells(text: str) -> bool:
    """More than a word of a list."""
    return len(text) >= LEAST_CHARS and not (len(text) <= WORD_CHARS and text.isalpha())
