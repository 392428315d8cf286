"""Questions to the records and the audit trail as they come over HTTP: parameters checked, rows made fit to show."""

from __future__ import annotations

import asyncio
import datetime
import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import asdict
from hmac import compare_digest
from pathlib import Path
from typing import Any

import orjson

from proxy.control.audit import Report, parse_checkpoint, verify
from proxy.control.recorder import Recorder
from proxy.errors import BadRequest
from proxy.record import summary_of
from proxy.store.history import History
from proxy.store.journal import EntryFilter
from proxy.store.rows import Cursor, Filter, is_day

Json = Any
Query = Mapping[str, str]
DEFAULT_LIMIT, MAX_LIMIT = 50, 1000
HIDDEN = frozenset({"credential"})
"""Of a row: needed to recognise its caller, nobody's to see."""
ARRIVING_S = 0.25
"""How long a call that has just ended may be on its way here."""


class Executions:
    """The records of calls, for the admin port and for the callers' own questions."""

    def __init__(self, history: History, recorder: Recorder) -> None:
        self._history = history
        self._recorder = recorder

    async def page(self, query: Query) -> Json:
        only(query, {"agent", "outcome", "model", "since", "until", "limit", "cursor"})
        cursor = parsed_cursor(query["cursor"]) if "cursor" in query else None
        found = await asyncio.to_thread(self._history.page, _filter(query), limit_of(query), cursor)
        return {
            "data": [shown(row) for row in found.rows],
            "next": None if found.next is None else cursor_text(found.next),
        }

    async def recent(self, limit: int) -> list[Json]:
        """The newest calls."""
        found = await asyncio.to_thread(self._history.page, Filter(), limit)
        return [shown(row) for row in found.rows]

    async def one(self, id: str) -> Json | None:
        row = await asyncio.to_thread(self._history.find, id)
        return None if row is None else shown(row)

    async def counts(self, query: Query) -> Json:
        only(query, {"agent", "outcome", "model", "since", "until"})
        return {"data": await asyncio.to_thread(self._history.counts, _filter(query))}

    async def ended(self, id: str) -> dict[str, Any] | None:
        """The record of a call, also of one that has ended a moment ago."""
        row = await asyncio.to_thread(self._history.find, id)
        if row is None:  # on its way; or it came while this was looking, and then nobody tells
            await self._recorder.next_commit(ARRIVING_S)
            row = await asyncio.to_thread(self._history.find, id)
        return row

    async def own(self, id: str, credential: str) -> Json | None:
        """What a call came to, for the credential that made it and for no other."""
        row = await self.ended(id)
        if row is None or not compare_digest(str(row.get("credential") or "").encode(), credential.encode()):
            return None
        return summary_of(row)


class Trail:
    """The audit trail for the admin port. One verification runs at a time; who asks meanwhile gets its result."""

    def __init__(self, recorder: Recorder, path: Path, key: bytes) -> None:
        self._recorder = recorder
        self._path = path
        self._key = key
        self._verifying: asyncio.Task[Report] | None = None

    async def page(self, query: Query) -> Json:
        only(query, {"action", "agent", "call", "limit", "below"})
        limit = limit_of(query)
        below = _whole(query, "below") if "below" in query else None
        wanted = EntryFilter(query.get("action"), query.get("agent"), query.get("call"))
        entries = await asyncio.to_thread(self._recorder.ledger.journal.page, wanted, limit, below)
        more = len(entries) == limit and entries[-1]["n"] > 1
        return {"data": [self.unlocked(entry) for entry in entries], "next": entries[-1]["n"] if more else None}

    async def verify(self, query: Query) -> Json:
        only(query, {"checkpoint"})
        if "checkpoint" in query:
            try:
                head = parse_checkpoint(query["checkpoint"])
            except ValueError as error:
                raise BadRequest(f"no checkpoint: {error}", param="checkpoint") from error
            return told(await asyncio.to_thread(verify, self._path, self._key, head))
        if self._verifying is None or self._verifying.done():
            work = asyncio.to_thread(verify, self._path, self._key)
            self._verifying = asyncio.get_running_loop().create_task(work, name="verify")
        return told(await asyncio.shield(self._verifying))

    async def checkpoint(self) -> Json:
        return asdict(await self._recorder.in_writer(self._recorder.ledger.checkpoint))

    def unlocked(self, entry: dict[str, Any]) -> dict[str, Any]:
        """With its text readable, where that was encrypted and the key is here."""
        content = entry.get("content")
        if self._recorder.vault is not None and isinstance(content, dict) and "cipher" in content:
            entry["content"] = self._recorder.vault.unlock(content, str(entry.get("call") or "")) or content
        return entry


def told(report: Report) -> Json:
    """A report as JSON."""
    return {
        "ok": report.ok,
        "entries": report.entries,
        "lost": report.lost,
        "erased_texts": report.erased_texts,
        "erased_persons": report.erased_persons,
        "mac": report.mac,
        "checkpoint": report.checkpoint,
        "problems": [{**asdict(problem), "says": str(problem)} for problem in report.problems],
        "more": report.more,
    }


def shown(row: Mapping[str, Any]) -> Json:
    """A record as it may be shown."""
    nano = row.get("cost_nano_usd")
    found = {name: value for name, value in row.items() if name not in HIDDEN}
    return {**found, "time": told_time(row["at"]), "cost_usd": None if nano is None else nano / 1e9}


def told_time(at_s: float) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    time = datetime.datetime.fromtimestamp(at_s, datetime.UTC).isoformat(timespec="milliseconds")
    return time.replace("+00:00", "Z")


def only(query: Query, known: set[str]) -> None:
    """A parameter that does not exist is a mistake, not a wish to be ignored."""
    for name in query:
        if name not in known:
            raise BadRequest(
                f"there is no parameter {name[:40]!r}; there are: {', '.join(sorted(known))}", param=name[:40]
            )


def _filter(query: Query) -> Filter:
    return Filter(
        agent=query.get("agent"),
        outcome=query.get("outcome"),
        model=query.get("model"),
        since_s=moment(query, "since"),
        until_s=moment(query, "until"),
    )


def moment(query: Query, name: str) -> float | None:
    """Seconds since the epoch, or ISO 8601 (without a zone: UTC)."""
    text = query.get(name)
    if text is None:
        return None
    try:
        at_s = float(text)
    except ValueError:
        try:
            at = datetime.datetime.fromisoformat(text)
        except ValueError:
            raise BadRequest(
                "must be seconds since the epoch or a time like 2026-11-22T09:00:00Z", param=name
            ) from None
        at_s = (at if at.tzinfo else at.replace(tzinfo=datetime.UTC)).timestamp()
    if not math.isfinite(at_s):
        raise BadRequest("must be a finite number", param=name)
    return at_s


def limit_of(query: Query) -> int:
    """How many rows are asked for."""
    limit = _whole(query, "limit") if "limit" in query else DEFAULT_LIMIT
    if not 1 <= limit <= MAX_LIMIT:
        raise BadRequest(f"must be between 1 and {MAX_LIMIT}", param="limit")
    return limit


def _whole(query: Query, name: str) -> int:
    text = query[name]
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadRequest("must be a whole number", param=name)
    return int(text)


def cursor_text(cursor: Cursor) -> str:
    """Where the next page begins, for who asks."""
    return urlsafe_b64encode(orjson.dumps([cursor.day, cursor.at, cursor.place])).decode().rstrip("=")


def parsed_cursor(text: str) -> Cursor:
    """What `cursor_text` gave. BadRequest for anything else."""
    try:
        day, at, place = orjson.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if is_day(day):
            return Cursor(day, float(at), int(place))
    except (ValueError, TypeError):
        pass
    raise BadRequest("is no cursor that was given out here", param="cursor")
