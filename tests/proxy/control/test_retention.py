from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy.configuration.settings import Settings
from proxy.control.audit import verify
from proxy.control.ledger import Ledger
from proxy.control.recorder import Recorder
from proxy.control.redaction import Redactor
from proxy.control.retention import DAY_S, Retention
from proxy.store.history import History
from tests.kit import FakeClock
from tests.proxy.control.records import KEY, entry, record


class Case:
    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, FakeClock()
        history = History(folder / "executions", self.clock)
        self.recorder = Recorder(history, Ledger(folder, KEY, self.clock), Redactor())
        self.settings = Settings.model_validate(
            {"records": {"retention_days": 30}, "audit": {"content_days": 7, "person_days": 365}}
        )
        self.retention = Retention(self.recorder, self.clock, lambda: self.settings)
        self._n = 0

    async def call(self) -> None:
        self._n += 1
        said = {"mode": "masked", "input": [{"text": f"canary text {self._n}"}]}
        row = record(self._n, user=f"ann-{self._n}", session="s", at=self.clock.wall_s())
        row["audit"] = entry(self._n, user=f"ann-{self._n}", session="s", content=said)
        await self.recorder.write([orjson.dumps(row)])

    def kept(self) -> tuple[int, int, int]:
        """Days of records, texts, persons."""
        journal, last = self.recorder.ledger.journal, self.recorder.ledger.count
        return (
            len(self.recorder.history.days()), len(journal.with_text(last)), len(journal.with_person(last)),
        )  # fmt: skip


@pytest.fixture
async def case(tmp_path: Path) -> AsyncIterator[Case]:
    made = Case(tmp_path)
    await made.recorder.start()
    yield made
    await made.recorder.stop()


async def test_each_kind_is_kept_for_its_own_time_and_the_trail_stays_whole(case: Case) -> None:
    await case.call()
    expected = [(0, (1, 1, 1)), (6.9, (1, 1, 1)), (7.1, (1, 0, 1)), (30, (1, 0, 1)), (32, (0, 0, 1)),
                (364, (0, 0, 1)), (366, (0, 0, 0))]  # fmt: skip
    start, before = case.clock.wall_s(), 0.0
    for days, kept in expected:
        case.clock.jump((days - before) * DAY_S)
        before = days
        await case.retention.sweep()
        assert case.kept() == kept, days
        assert case.clock.wall_s() - start == pytest.approx(days * DAY_S)
    raw = b"".join(path.read_bytes() for path in case.folder.rglob("*") if path.is_file())
    assert b"canary text" not in raw and b"ann-1" not in raw
    await case.recorder.in_writer(case.recorder.ledger.write_head)
    report = verify(case.folder / "audit.db", KEY)
    assert report.ok and report.erased_texts == report.erased_persons == 1


async def test_what_is_younger_stays(case: Case) -> None:
    for _ in range(20):
        await case.call()
        case.clock.jump(DAY_S)
    await case.retention.sweep()
    days, texts, persons = case.kept()
    assert (days, texts, persons) == (20, 7, 20)


async def test_a_shorter_time_counts_from_the_next_round_on_and_persons_are_looked_for_once_a_day(case: Case) -> None:
    await case.call()
    case.clock.jump(2 * DAY_S)
    await case.retention.sweep()
    assert case.kept() == (1, 1, 1)
    case.settings = Settings.model_validate(
        {"records": {"retention_days": 1}, "audit": {"content_days": 1, "person_days": 1}}
    )
    await case.retention.sweep()
    assert case.kept() == (0, 0, 1)
    case.clock.jump(DAY_S)
    await case.retention.sweep()
    assert case.kept() == (0, 0, 0)


async def test_one_kind_that_fails_holds_up_no_other(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    await case.call()
    case.clock.jump(400 * DAY_S)

    def broken(keep_days: int) -> Any:
        raise OSError("no space")

    case.recorder.history.sweep = broken  # type: ignore[method-assign]
    await case.retention.sweep()
    assert case.kept() == (1, 0, 0) and "retention failed" in caplog.text
