"""Forgetting a person: who is behind a user's entries and records, and what was said in them, in trail and history.

Noted first, then done: the signed entry stands in the trail before a record is touched. The days' files are rewritten
one after another, and between two of them the records that wait are written. Whatever fails is told, and asking again
goes on from there.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from dataclasses import dataclass
from typing import Any

from proxy.control.ledger import reason
from proxy.control.recorder import Recorder
from proxy.errors import BadRequest, WeirError

Json = Any
USER_CHARS, WHY_CHARS = 1_000, 1_000


@dataclass(frozen=True, slots=True)
class Wish:
    """Whom to forget, and what is noted of it: `who` asked, and `why`. BadRequest where it cannot be taken."""

    user: str
    why: str
    who: str
    texts: bool = True
    """Also what was said, and the texts of errors."""

    def __post_init__(self) -> None:
        for name, text, most in (("user", self.user, USER_CHARS), ("why", self.why, WHY_CHARS)):
            if not text.strip():
                raise BadRequest(f"{name} must not be empty", param=name)
            if len(text) > most:
                raise BadRequest(f"{name} may have at most {most} characters", param=name)
        if re.search(rf"(?<!\w){re.escape(self.user)}(?!\w)", self.why, re.IGNORECASE):
            raise BadRequest("why must not name the user: it is signed and stays in the audit trail", param="why")


async def erase(recorder: Recorder, wish: Wish) -> Json:
    """How many entries and how many records of calls were made nobody's. WeirError where the disk said no."""
    days = await asyncio.to_thread(recorder.history.of_user, wish.user)
    try:
        entries = await recorder.in_writer(_in_trail, recorder, wish, sum(days.values()))
    except (sqlite3.Error, OSError) as error:
        raise WeirError(f"the audit trail cannot be written: {reason(error)}", code="not_written") from error
    calls, failed = 0, []
    for day in days:
        try:
            calls += await recorder.in_writer(_in_records, recorder, wish, day)
        except (sqlite3.Error, OSError) as error:
            failed.append(f"{day} ({reason(error)})")
    if failed:
        raise WeirError(
            f"erased in the audit trail, but not in the records of {', '.join(failed)}: ask again to go on",
            code="not_written",
        )
    return {"entries": entries, "calls": calls}


def _in_trail(recorder: Recorder, wish: Wish, calls: int) -> int:
    ledger = recorder.ledger
    numbers = ledger.journal.of_user(wish.user)
    return ledger.erase(numbers, wish.who, wish.why, texts=wish.texts, persons=True, calls=calls)


def _in_records(recorder: Recorder, wish: Wish, day: str) -> int:
    return recorder.history.erase(day, wish.user, errors=wish.texts)
