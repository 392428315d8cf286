"""Security events for the admin port: what guards found, newest first, never with a text."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from proxy.control.queries import Query, cursor_text, limit_of, moment, only, parsed_cursor, told_time
from proxy.errors import BadRequest
from proxy.store.events import SEVERITIES, EventFilter
from proxy.store.history import History

Json = Any
RECOMMENDED: Mapping[str, str] = MappingProxyType(
    {"low": "log", "medium": "review", "high": "block", "critical": "block_and_alert"}
)
"""What a finding of a severity asks for where its plugin names nothing else."""
ASKED = frozenset({"type", "severity", "agent", "user", "plugin", "since", "until", "limit", "cursor"})


class Events:
    """The findings of all calls that are still kept."""

    def __init__(self, history: History) -> None:
        self._history = history

    async def page(self, query: Query) -> Json:
        """`{data: [event], next: cursor or null}`. Raises BadRequest for a parameter that is none."""
        only(query, set(ASKED))
        severity = query.get("severity")
        if severity is not None and severity not in SEVERITIES:
            raise BadRequest(f"must be one of: {', '.join(SEVERITIES)}", param="severity")
        wanted = EventFilter(
            type=query.get("type"), severity=severity, agent=query.get("agent"), user=query.get("user"),
            plugin=query.get("plugin"), since_s=moment(query, "since"), until_s=moment(query, "until"),
        )  # fmt: skip
        cursor = parsed_cursor(query["cursor"]) if "cursor" in query else None
        found = await asyncio.to_thread(self._history.events, wanted, limit_of(query), cursor)
        return {
            "data": [shown(row) for row in found.rows],
            "next": None if found.next is None else cursor_text(found.next),
        }


def shown(row: Mapping[str, Any]) -> Json:
    """An event as it is told."""
    recommended = row.get("recommended") or RECOMMENDED.get(str(row.get("severity")), "review")
    return {**row, "time": told_time(row["at"]), "recommended": recommended}
