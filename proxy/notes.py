"""What plugins leave on a call for others: notes under typed names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar, cast

T = TypeVar("T")


class Key(Generic[T]):
    """A typed name under which one plugin leaves a note for others: `exchange.notes[KEY]`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Key({self.name})"


LESSONS: Key[dict[str, Any]] = Key("lessons")
"""What plugins will want to know of the call when somebody judges its answer (`Exchange.lesson`), by plugin."""


class Notes(dict[Key[Any], Any]):
    """Notes left on an exchange, by typed key."""

    def read(self, key: Key[T]) -> T | None:
        return cast("T | None", self.get(key))


class Mask(Protocol):
    """Takes personal data and secrets out of a text of a call or its answer that is to be kept. May be called in a
    thread, once the call is over; raises where it cannot say what a text has in it."""

    def __call__(self, text: str) -> str: ...

    def slow(self, texts: Sequence[str]) -> bool:
        """Whether masking these takes so long that it is better done in a thread."""
        ...
