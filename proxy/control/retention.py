"""How long what is kept: records by the day, texts and persons of the audit trail by their age. Each kind for itself.

A day's records go with its file. Texts and persons stand beside the trail and are erased there by a signed entry, so
that it stays whole. Persons go once a day: their table is written anew, so that no byte of theirs stays.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from proxy.configuration.settings import Settings
from proxy.control.recorder import Recorder
from proxy.ports import Clock

LOG = logging.getLogger("weir.control")
EVERY_S = 3600.0
DAY_S = 86_400


class Retention:
    """`settings` gives those in use."""

    def __init__(self, recorder: Recorder, clock: Clock, settings: Callable[[], Settings]) -> None:
        self._recorder = recorder
        self._clock = clock
        self._settings = settings
        self._swept_day = -1
        """The day (since 1970) on which persons were looked for last."""

    async def run(self) -> None:
        while True:
            await self.sweep()
            await asyncio.sleep(EVERY_S)

    async def sweep(self) -> None:
        """One round. What fails is told, and the next round tries again."""
        for what in (self._records, self._texts, self._persons):
            await _told(what)

    async def _records(self) -> None:
        recorder = self._recorder
        for day in await recorder.in_writer(recorder.history.sweep, self._settings().records.retention_days):
            LOG.info("the records of %s were kept long enough and are deleted", day)

    async def _texts(self) -> None:
        recorder, days = self._recorder, self._settings().audit.content_days
        await recorder.in_writer(recorder.ledger.expire_texts, days * DAY_S)

    async def _persons(self) -> None:
        recorder, days = self._recorder, self._settings().audit.person_days
        today = int(self._clock.wall_s() // DAY_S)
        if today == self._swept_day:
            return
        gone = await recorder.in_writer(recorder.ledger.expire_persons, days * DAY_S)
        self._swept_day = today
        if gone:
            LOG.info("%d audit entries were kept long enough and are nobody's now", gone)


async def _told(work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except Exception as error:  # the other kinds, and the next round, may succeed
        LOG.error("retention failed", exc_info=error)
