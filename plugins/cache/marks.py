"""What was invalidated: an answer that was made up to then, and is found or kept only afterwards, is none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import orjson

from plugins.cache.entry import Entry, Filter

MOST: Final = 256
"""Beyond it the oldest ones become one, which covers all that was made up to the last of them."""


class Marks:
    """A bounded list. It never forgets to cover what it has covered once."""

    def __init__(self) -> None:
        self.all: tuple[Filter, ...] = ()

    def add(self, marks: Iterable[Filter]) -> tuple[Filter, ...]:
        """Gives those that are new."""
        fresh = tuple(mark for mark in dict.fromkeys(marks) if mark not in self.all)
        if fresh:
            self.all = bounded(self.all + fresh)
        return fresh

    def cover(self, entry: Entry) -> bool:
        return bool(self.all) and any(entry.matches(mark) for mark in self.all)


def bounded(marks: tuple[Filter, ...]) -> tuple[Filter, ...]:
    if len(marks) <= MOST:
        return marks
    kept = sorted(marks, key=lambda mark: mark.before_s)
    many = len(kept) - MOST // 2
    return (Filter(before_s=kept[many - 1].before_s), *kept[many:])


def written(marks: Iterable[Filter]) -> bytes:
    return orjson.dumps(
        [[mark.tenant, mark.agent, mark.model, mark.id, mark.person.hex(), mark.before_s] for mark in marks]
    )


def read(raw: bytes | None) -> list[Filter]:
    """What can be read of it; nothing of what nobody here has written."""
    try:
        rows: Any = orjson.loads(raw) if raw else []
        return [
            Filter(str(tenant), str(agent), str(model), str(named), bytes.fromhex(person), float(before_s))
            for tenant, agent, model, named, person, before_s in rows
        ]
    except (ValueError, TypeError):
        return []
