"""What Weir holds of a person: all of it told, or forgotten, wherever it is.

Records, verdicts and security events (days' files), entries of the audit trail with their texts, keys bound to the
user, and what plugins hold in hot state or memory: that the workers tell and erase, and confirm. An export is noted in
the trail before a line of it is given, an erasure before anything is erased; neither note names the user.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import islice
from typing import Any

import orjson

from proxy.control.configuration import Configuration
from proxy.control.erasure import Wish, erase
from proxy.control.keys import Keys
from proxy.control.queries import Trail, shown, told_time
from proxy.control.recorder import Recorder
from proxy.store import feedback
from proxy.store.events import EventFilter
from proxy.store.history import History, walk
from proxy.store.rows import Filter

Json = Any
Tell = Callable[[dict[str, Any]], Awaitable[list[dict[str, Any]]]]
"""Says something to every worker and gives what each said; WeirError where one of them did not."""
STEP = 200
"""Entries or rows that are read at once."""


class Privacy:
    def __init__(
        self, recorder: Recorder, trail: Trail, tell: Tell, *, configuration: Configuration, keys: Keys
    ) -> None:
        self._recorder = recorder
        self._trail = trail
        self._tell = tell
        self._configuration = configuration
        self._keys = keys

    async def everything(self, user: str, who: str) -> AsyncIterator[bytes]:
        """Lines of JSON, each with its `kind`: about (first), key, record, feedback, event, audit, held."""
        recorder = self._recorder
        numbers = await recorder.in_writer(recorder.ledger.journal.of_user, user)
        days = await asyncio.to_thread(recorder.history.of_user, user)
        held = _different(await self._tell({"export": user}), "held")
        counts = {"records": sum(days.values()), "entries": len(numbers), "held": len(held)}
        await recorder.admin(who, "privacy.export", counts)
        yield _line("about", {"user": user, "by": who, **counts})
        for key in self._bound(user):
            yield _line("key", key)
        async for rows in _steps(walk(recorder.history, Filter(user=user), STEP)):
            for row in rows:
                yield _line("record", shown(row))
        async for rows in _steps(_verdicts(recorder.history, user)):
            for row in rows:
                yield _line("feedback", row)
        async for rows in _steps(_events(recorder.history, user)):
            for row in rows:
                yield _line("event", {**row, "time": told_time(row["at"])})
        for place in range(0, len(numbers), STEP):
            part = numbers[place : place + STEP]
            for entry in await asyncio.to_thread(recorder.ledger.journal.entries, part):
                yield _line("audit", self._trail.unlocked(entry))
        for each in held:
            yield _line("held", each)

    async def erase(self, user: str, why: str, who: str, *, texts: bool) -> Json:
        """How many entries, records of calls and things in hot state were made nobody's or erased, which keys of the
        user were revoked, and which of them stand in the configuration's file, that only its owner can change. Asking
        again goes on from where something failed."""
        done = await erase(self._recorder, Wish(user, why, who, texts))
        told = await self._tell({"forget": user})
        bound = self._bound(user)
        for key in bound:
            await self._keys.revoke(key["name"], {"reason": "their user is forgotten"}, who)
        await self._configuration.forget(user)
        return {
            **done,
            "held": sum(int(each.get("forgotten", 0)) for each in told),
            "keys": [key["name"] for key in bound],
            "in_file": [key["name"] for key in bound if key["source"] == "file"],
        }

    def _bound(self, user: str) -> list[Json]:
        return [key for key in self._keys.listed()["data"] if key["user"] == user]


def _line(kind: str, what: Json) -> bytes:
    return orjson.dumps({"kind": kind, **what}, default=str) + b"\n"


def _different(said: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """What several workers tell of one store is told once."""
    found = {orjson.dumps(each, option=orjson.OPT_SORT_KEYS): each for told in said for each in told.get(name, ())}
    return list(found.values())


def _events(history: History, user: str) -> Iterator[dict[str, Any]]:
    cursor = None
    while True:
        page = history.events(EventFilter(user=user), STEP, cursor)
        yield from page.rows
        if page.next is None:
            return
        cursor = page.next


def _verdicts(history: History, user: str) -> Iterator[dict[str, Any]]:
    for _, rows in history.sums(feedback.OF_USER, Filter(), (user,)):
        for row in rows:
            found = dict(row)
            yield {**found, "time": told_time(found.pop("n") / 1e6)}


async def _steps(rows: Iterator[dict[str, Any]]) -> AsyncIterator[list[dict[str, Any]]]:
    """Read in a thread, so much at a time."""

    def some() -> list[dict[str, Any]]:
        return list(islice(rows, STEP))

    while batch := await asyncio.to_thread(some):
        yield batch
