"""Vectors as they are kept and as they are told: floats or base64, each turned into the other without loss."""

from __future__ import annotations

import base64
import sys
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

ENTRY_BYTES: Final = 450
"""What an entry takes beside its vector: measured, rounded up."""
_FIGURES: Final = frozenset({float, int})


@dataclass(slots=True)
class Vector:
    """One input's. `wide`: its figures are doubles, for they were written with what single precision does not hold."""

    raw: bytes
    wide: bool
    made_s: float
    model: str
    """As the answer named it."""
    tokens: int = 0
    """What the input was charged as, as far as that is known."""
    person: bytes = b""

    @property
    def size_bytes(self) -> int:
        return ENTRY_BYTES + len(self.raw)

    def told(self, form: str) -> bytes:
        """As JSON: a list of numbers, or little-endian single precision in base64."""
        figures = array("d" if self.wide else "f", self.raw)
        if form == "base64":
            return b'"' + base64.b64encode(self.raw if not self.wide else _little(array("f", figures))) + b'"'
        return orjson.dumps(figures.tolist())


def vector(value: Any, made_s: float, model: str) -> Vector:
    """Of what an answer has under `embedding`. ValueError where that is no vector."""
    if isinstance(value, str):
        raw = base64.b64decode(value, validate=True)
        if not raw or len(raw) % 4:
            raise ValueError("no vector in single precision")
        figures = array("f", raw)
        if sys.byteorder == "big":
            figures.byteswap()
        return Vector(figures.tobytes(), False, made_s, model)
    if not isinstance(value, list) or not value or not set(map(type, value)) <= _FIGURES:
        raise ValueError("no vector")
    try:
        single = array("f", value)
        if single.tolist() == value:
            return Vector(single.tobytes(), False, made_s, model)
        return Vector(array("d", value).tobytes(), True, made_s, model)
    except OverflowError as error:
        raise ValueError("a figure too large") from error


def _little(figures: array[float]) -> bytes:
    if sys.byteorder == "big":
        figures.byteswap()
    return figures.tobytes()


def body(vectors: Sequence[Vector], form: str, tokens: int) -> bytes:
    """A whole answer, in the order of the inputs. `tokens`: what was charged for it."""
    data = b",".join(
        b'{"object":"embedding","index":%d,"embedding":%b}' % (index, each.told(form))
        for index, each in enumerate(vectors)
    )
    model = orjson.dumps(vectors[0].model)
    return b'{"object":"list","data":[%b],"model":%b,"usage":{"prompt_tokens":%d,"total_tokens":%d}}' % (
        data, model, tokens, tokens,
    )  # fmt: skip


def read(raw: bytes, of: int, made_s: float) -> tuple[list[Vector], int]:
    """An answer's vectors, in the order of the inputs, and the tokens charged. ValueError where these are not all."""
    doc = orjson.loads(raw)
    data = doc.get("data") if isinstance(doc, dict) else None
    if not isinstance(data, list) or len(data) != of:
        raise ValueError("not as many vectors as inputs")
    found: list[Vector | None] = [None] * of
    model = doc.get("model") if isinstance(doc.get("model"), str) else ""
    for place, each in enumerate(data):
        if not isinstance(each, dict):
            raise ValueError("no vector")
        index = each.get("index", place)
        if type(index) is not int or not 0 <= index < of or found[index] is not None:
            raise ValueError("vectors without an order")
        found[index] = vector(each.get("embedding"), made_s, model)
    usage = doc.get("usage")
    tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else 0
    return [each for each in found if each is not None], tokens if type(tokens) is int and tokens > 0 else 0


class Vectors:
    """What is kept: bounded in bytes, what was not used for longest goes first."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.used_bytes = 0
        self._kept: OrderedDict[bytes, Vector] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: bytes, since_s: float) -> Vector | None:
        """None where there is none made since then."""
        found = self._kept.get(key)
        if found is None:
            return None
        if found.made_s <= since_s:
            self.drop(key)
            return None
        self._kept.move_to_end(key)
        return found

    def keep(self, key: bytes, vector: Vector) -> None:
        self.drop(key)
        self._kept[key] = vector
        self.used_bytes += vector.size_bytes
        self.fit(self.most_bytes)

    def fit(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        while self.used_bytes > most_bytes and self._kept:
            self.drop(next(iter(self._kept)))

    def drop(self, key: bytes) -> None:
        gone = self._kept.pop(key, None)
        if gone is not None:
            self.used_bytes -= gone.size_bytes

    def forget(self, person: bytes) -> int:
        """Those that were made for this person's calls."""
        gone = [key for key, vector in self._kept.items() if vector.person == person]
        for key in gone:
            self.drop(key)
        return len(gone)

    def of(self, person: bytes) -> int:
        return sum(vector.person == person for vector in self._kept.values())
