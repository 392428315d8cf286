"""What the simulated provider keeps between calls: stored responses, files, and how often a wish was granted."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

Json = Any
T = TypeVar("T")


class Shelf(Generic[T]):
    """A bounded dictionary: the oldest goes first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: OrderedDict[str, T] = OrderedDict()

    def put(self, key: str, value: T) -> None:
        self._held[key] = value
        self._held.move_to_end(key)
        if len(self._held) > self._limit:
            self._held.popitem(last=False)

    def get(self, key: str) -> T | None:
        return self._held.get(key)

    def drop(self, key: str) -> bool:
        return self._held.pop(key, None) is not None

    def all(self) -> list[T]:
        return list(self._held.values())


@dataclass(slots=True)
class Stored:
    response: dict[str, Json]
    items: list[Json]


@dataclass(slots=True)
class File:
    about: dict[str, Json]
    data: bytes


@dataclass(slots=True)
class Memory:
    responses: Shelf[Stored] = field(default_factory=lambda: Shelf(1000))
    files: Shelf[File] = field(default_factory=lambda: Shelf(16))
    granted: Shelf[int] = field(default_factory=lambda: Shelf(10_000))

    def again(self, key: str) -> int:
        """How often this was asked, this time included."""
        count = (self.granted.get(key) or 0) + 1
        self.granted.put(key, count)
        return count
