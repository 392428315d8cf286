"""What plugins leave on a call for others: notes under typed names."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


class Key(Generic[T]):
    """A typed name under which one plugin leaves a note for others: `exchange.notes[KEY]`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Key({self.name})"


class Notes(dict[Key[Any], Any]):
    """Notes left on an exchange, by typed key."""

    def read(self, key: Key[T]) -> T | None:
        return cast("T | None", self.get(key))
