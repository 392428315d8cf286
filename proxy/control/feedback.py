"""What callers say of answers: kept beside the calls, and told to the workers, whose plugins learn of it.

Workers are only told that there is something new; they ask for what they have not heard, in its order. So each hears
every verdict once, whatever happened to it or to the channel, and after its start the newest of them once more.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Mapping
from hmac import compare_digest
from itertools import islice
from typing import Any, Final

import orjson

from proxy.control.ledger import reason
from proxy.control.queries import Executions
from proxy.control.recorder import Recorder
from proxy.errors import BadRequest, WeirError
from proxy.ports import Clock
from proxy.store.feedback import LATEST, Full, Told
from proxy.store.rows import Filter

Json = Any
KEPT: Final = 4096
"""Verdicts that plugins learn of and that are told after a start."""
PAGE: Final = 256
DAYS: Final = 90
"""Of calls, whose verdicts are looked for at the start."""
DAY_S: Final = 86_400
NOTES_BYTES: Final = 16 * 1024
KNOWN: Final = frozenset({"call", "credential", "tenant", "name", "score", "comment"})


class Feedback:
    """`push` says something to every worker. `redact` takes out of comments what must not be written down. `learns`:
    whether plugins are to hear of verdicts, by the settings in use."""

    def __init__(
        self,
        recorder: Recorder,
        executions: Executions,
        clock: Clock,
        redact: Callable[[str], str],
        push: Callable[[dict[str, Any]], Any],
        *,
        learns: Callable[[], bool] = lambda: True,
    ) -> None:
        self._recorder = recorder
        self._executions = executions
        self._clock = clock
        self._redact = redact
        self._push, self._learns = push, learns
        self._latest: OrderedDict[tuple[str, str], list[Any]] = OrderedDict()
        """By call and name, as they are told: n, call, name, score, tenant, agent, notes; the newest is the last."""
        self._newest = 0
        self._ready = False
        self._turn = asyncio.Lock()

    async def told(self, wish: Any) -> Json:
        """Keeps a verdict, if the call is the caller's or its tenant's. `{"state": "kept", "before": the score that it
        takes the place of or None, "taught": [plugin]}`; else the state is `unknown`, `forbidden` or `full`. Raises
        BadRequest for what no worker asks, and WeirError where the disk says no."""
        if not isinstance(wish, dict) or wish.keys() - KNOWN:
            raise BadRequest("a verdict names a call, a caller, a name and a score")
        row = await self._executions.ended(str(wish["call"]))
        if row is None:
            return {"state": "unknown"}
        if not _may(wish, row):
            return {"state": "forbidden"}
        notes, comment = _notes(row), str(wish.get("comment") or "")
        comment = await self._recorder.in_writer(self._redact, comment) if comment else ""
        async with self._turn:
            await self._load()
            n = max(self._newest + 1, int(self._clock.wall_s() * 1e6))
            told = Told(
                str(row["id"]), str(wish["name"]), row["at"], n, float(wish["score"]), comment or None,
                row.get("tenant") or "", row.get("agent") or "", notes,
            )  # fmt: skip
            try:
                before = await self._recorder.in_writer(self._recorder.history.judge, told)
            except Full:
                return {"state": "full"}
            except KeyError:
                return {"state": "unknown"}
            except (sqlite3.Error, OSError) as error:
                raise WeirError(f"the verdict cannot be written: {reason(error)}", code="not_written") from error
            self._newest = told.n
            if notes:
                self._keep([told.n, told.call, told.name, told.score, told.tenant, told.agent, orjson.loads(notes)])
        if not notes or not self._learns():
            return {"state": "kept", "before": before, "taught": []}
        self._push({"feedback": told.n})
        return {"state": "kept", "before": before, "taught": sorted(orjson.loads(notes))}

    async def after(self, heard: Any) -> list[list[Any]]:
        """The verdicts that a worker has not heard, oldest first, so many at a time; `heard`: the number of the last
        that it has, 0: it has none."""
        if type(heard) is not int:
            raise BadRequest("verdicts are asked for by the number of the last that was heard")
        if not self._learns():
            return []
        async with self._turn:
            await self._load()
            return list(islice((each for each in self._latest.values() if each[0] > heard), PAGE))

    def _keep(self, told: list[Any]) -> None:
        key = (told[1], told[2])
        self._latest.pop(key, None)
        self._latest[key] = told
        if len(self._latest) > KEPT:
            self._latest.popitem(last=False)

    async def _load(self) -> None:
        """What was said before this process began: once, in a thread."""
        if self._ready:
            return
        found = await asyncio.to_thread(self._read)
        for each in found:
            self._keep(each)
        self._newest = found[-1][0] if found else 0
        self._ready = True

    def _read(self) -> list[list[Any]]:
        span = Filter(since_s=self._clock.wall_s() - DAYS * DAY_S)
        found: list[list[Any]] = []
        for _, rows in self._recorder.history.sums(LATEST, span, (KEPT,)):
            for n, call, name, score, tenant, agent, notes in rows:
                try:
                    found.append([n, call, name, score, tenant, agent, orjson.loads(notes)])
                except ValueError:  # whoever wrote into the file
                    continue
            found = sorted(found, key=lambda each: each[0])[-KEPT:]
        return found


def _may(wish: Mapping[str, Json], row: Mapping[str, Json]) -> bool:
    """Whoever made the call, or another of its tenant."""
    own, theirs = str(row.get("credential") or ""), str(wish.get("credential") or "")
    if own and compare_digest(own.encode(), theirs.encode()):
        return True
    return bool(row.get("tenant")) and row["tenant"] == wish.get("tenant")


def _notes(row: Mapping[str, Json]) -> str:
    """What plugins left with the call, as JSON; empty: nothing, or more than may be."""
    found = row.get("lessons")
    if not isinstance(found, dict) or not found:
        return ""
    written = orjson.dumps(found)
    return written.decode() if len(written) <= NOTES_BYTES else ""
