"""What all codecs do alike: read with type checks, write by the least change, write answers back.

How to use it: derive from `DialectCodec`, set `dialect`, and give `check` (types of what Weir uses, naming the
parameter), `walk`, `answer`, `stream`, `compose`. Where plugins may insert texts, override `placed`; where a changed
text makes something else in an answer wrong (logprobs, offsets), override `settle`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

import orjson

from proxy.errors import MalformedBody
from proxy.exchange import Dialect, Insert, Request, Segment, Usage
from proxy.ports import Json
from proxy.wire import sliced
from proxy.wire.body import encode_with, parse, splice
from proxy.wire.codec import Answer, Stream
from proxy.wire.coding import as_object, compact, load, may_lose

_WORDS: dict[type, str] = {str: "a string", bool: "a boolean", int: "an integer", float: "a number", list: "an array",
                           dict: "an object", type(None): "null"}  # fmt: skip
DEPTH = 128


class DialectCodec(ABC):
    """The skeleton of a codec; see `wire.codec.Codec` for what is promised."""

    dialect: ClassVar[Dialect]

    def __init__(self, *, depth: int = DEPTH) -> None:
        self.depth = depth
        """The deepest nesting of a body that is taken."""

    def read(self, body: bytes) -> Json:
        doc = parse(body, depth=self.depth)
        self.check(doc)
        return doc

    def read_quickly(self, body: bytes) -> Json | None:
        """As `read`, for a long body that promises to be quick; None for any other."""
        doc = compact(body, self.depth)
        if doc is not None:
            self.check(as_object(doc))
        return doc

    def reading(self, body: bytes) -> sliced.Steps[Json]:
        """As `read`, for a long body: to be driven by `sliced.paced`."""
        doc = yield from sliced.reading(body, depth=self.depth)
        yield
        self.check(doc)
        return doc

    @abstractmethod
    def check(self, doc: dict[str, Json]) -> None:
        """Raises `MalformedBody` for what is no call of this dialect; what Weir does not use, the provider checks."""

    @abstractmethod
    def walk(self, doc: Json) -> tuple[list[Segment], list[str]]: ...

    def plain(self, doc: Json) -> bool:
        return False

    def write(self, request: Request) -> bytes:
        changed = [segment for segment in request.segments if segment.changed] if request.walked else []
        inserts = request.inserts
        if not changed and not inserts:
            return splice(request.body, request.edits, doc=request.doc) if request.edits else request.body
        shape = (lambda doc: self.placed(doc, inserts)) if inserts else None
        body = encode_with(request.doc, changed, shape=shape)
        return splice(body, request.edits) if request.edits else body

    def placed(self, doc: Json, inserts: Sequence[Insert]) -> Json:
        """The document with the inserted texts, sharing with `doc` whatever is unchanged."""
        return doc

    def opening(self, doc: Json) -> Json:
        return None

    def wants_usage(self, doc: Json) -> bool:
        return True

    def ask_usage(self, request: Request) -> None:
        return None  # most dialects send usage unasked

    def answer(self, body: bytes) -> Answer | None:
        try:
            doc = orjson.loads(body)
        except ValueError:
            return None
        return self.understood(body, doc)

    def answering(self, body: bytes) -> sliced.Steps[Answer | None]:
        """As `answer`, for a long one: to be driven by `sliced.paced`."""
        try:
            doc = yield from sliced.loading(body)
        except ValueError:
            return None
        yield
        return self.understood(body, doc)

    @abstractmethod
    def understood(self, body: bytes, doc: Json) -> Answer | None:
        """The answer of which `doc` is the parsed body; None where it is none of this dialect."""

    def write_answer(self, answer: Answer) -> bytes:
        answer = self.exact(answer)
        changed = [segment for segment in answer.segments if segment.changed]
        if not changed:
            return answer.raw
        return encode_with(answer.doc, changed, also=self.settle(answer, changed))

    def exact(self, answer: Answer) -> Answer:
        """The answer with integers that orjson would have made inexact: to be written, not to be read."""
        if not may_lose(answer.raw) or not any(segment.changed for segment in answer.segments):
            return answer
        again = self.understood(answer.raw, load(answer.raw))
        assert again is not None
        for segment, edited in zip(again.segments, answer.segments, strict=True):
            if edited.changed:
                segment.text = edited.text
        return again

    def settle(self, answer: Answer, changed: list[Segment]) -> list[tuple[Any, Any, Json]]:
        """What else must be set (container, key, value) because these texts changed."""
        return []

    @abstractmethod
    def stream(self, doc: Json) -> Stream: ...

    @abstractmethod
    def compose(self, text: str, *, model: str, id: str, stream: bool, finish: str, usage: Usage | None) -> bytes: ...


def expect(doc: dict[str, Json], name: str, *kinds: type, where: str = "", required: bool = False) -> None:
    """Raises `MalformedBody` where `doc[name]` is none of `kinds`. Absent and null pass unless `required`."""
    value = doc.get(name)
    if type(value) in kinds or (value is None and not required):
        return
    param = f"{where}.{name}" if where else name
    if name not in doc:
        raise MalformedBody(f"The parameter '{param}' is required.", param=param)
    wrong(param, value, *kinds)


def expect_objects(doc: dict[str, Json], name: str, *, required: bool = False) -> None:
    """Raises `MalformedBody` unless `doc[name]` is an array of objects."""
    expect(doc, name, list, required=required)
    items = doc.get(name) or ()
    if all([type(item) is dict for item in items]):  # noqa: C419  a list is faster here
        return
    for position, item in enumerate(items):
        if type(item) is not dict:
            wrong(f"{name}[{position}]", item, dict)


def wrong(param: str, value: Json, *kinds: type) -> NoReturn:
    wanted = " or ".join(_WORDS[kind] for kind in kinds)
    raise MalformedBody(
        f"The parameter '{param}' must be {wanted}, not {_WORDS.get(type(value), 'that')}.", param=param
    )


NAME_CHARS = 512
"""Longer names of models are cut: they are remembered and recorded."""


def named(doc: dict[str, Json]) -> str:
    """The model that a call or answer names."""
    model = doc.get("model")
    return model[:NAME_CHARS] if type(model) is str else ""


MOST = 10**12


def whole(value: Json) -> int:
    """A count as providers give it: 0 where it is absent or nonsense (no call has a million million tokens)."""
    return value if type(value) is int and 0 < value <= MOST else 0
