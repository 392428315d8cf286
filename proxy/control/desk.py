"""What the admin port may ask and order: one object of plain capabilities, so that it can be tested with fakes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Json = Any
Query = Mapping[str, str]


class Executions(Protocol):
    """The records of calls. Both raise `BadRequest` for a parameter that is none."""

    async def page(self, query: Query) -> Json: ...

    async def one(self, id: str) -> Json | None: ...

    async def counts(self, query: Query) -> Json: ...


class Events(Protocol):
    """What guards found. Raises `BadRequest` for a parameter that is none."""

    async def page(self, query: Query) -> Json: ...


class Money(Protocol):
    """What was saved and spent. All raise `BadRequest` for a parameter that is none."""

    async def savings(self, query: Query) -> Json: ...

    async def usage(self, query: Query) -> Json: ...

    async def unstreamed(self, query: Query) -> Json: ...


class Caches(Protocol):
    """What is kept of answers. Raises `BadRequest` for a wish that is none, `UnknownPath` where nothing is kept."""

    async def invalidate(self, wish: Mapping[str, Json], who: str) -> Json: ...

    async def stats(self) -> Json: ...


class Vectors(Protocol):
    """What is kept for embeddings. Raises `UnknownPath` where nothing is."""

    async def stats(self) -> Json: ...


class Coverage(Protocol):
    """What the guards see."""

    def matrix(self) -> Json: ...


class Trail(Protocol):
    """The audit trail."""

    async def page(self, query: Query) -> Json: ...

    async def verify(self, query: Query) -> Json: ...

    async def checkpoint(self) -> Json: ...


class Configurable(Protocol):
    """The settings in use, and what is changed of them at run time. Changes raise `BadRequest` with what is wrong."""

    def view(self) -> Json: ...

    def changes(self) -> Json: ...

    def export(self) -> str: ...

    async def apply(self, key: str, value: Json, who: str, reason: str) -> Json: ...

    async def undo(self, number: int, who: str) -> Json: ...


class Keys(Protocol):
    """Callers' keys. What is made is told once. BadRequest where a wish cannot be taken, UnknownPath: no such key."""

    def listed(self) -> Json: ...

    async def create(self, wish: Mapping[str, Json], who: str) -> Json: ...

    async def rotate(self, name: str, wish: Mapping[str, Json], who: str) -> Json: ...

    async def revoke(self, name: str, wish: Mapping[str, Json], who: str) -> Json: ...


class Privacy(Protocol):
    """What is held of a user."""

    def everything(self, user: str, who: str) -> AsyncIterator[bytes]:
        """All of it, as lines of JSON."""
        ...

    async def erase(self, user: str, why: str, who: str, *, texts: bool) -> Json:
        """Forgets the user, wherever something is held."""
        ...


class Condition(Protocol):
    """How Weir is."""

    def readiness(self) -> tuple[bool, Json]: ...

    def workers(self) -> Json: ...

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        """The text of /metrics and its content type."""
        ...


@dataclass(frozen=True, slots=True)
class Desk:
    executions: Executions
    trail: Trail
    settings: Configurable
    condition: Condition
    events: Events
    coverage: Coverage
    keys: Keys
    privacy: Privacy
    money: Money
    cache: Caches
    embeddings: Vectors
