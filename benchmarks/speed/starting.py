"""Start-up and memory: every round a fresh start, alone with the provider.

Memory is proportional (PSS) after some hundreds of calls: of all processes, of the busiest one (in Weir that is the
worker), and once more after a call without usage has made Weir load a token table. Others who share pages (the
provider and the caller are Python too) are left out of account. The files are in the page cache.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.speed import proc
from benchmarks.speed.calls import Call, source
from benchmarks.speed.load import closed
from benchmarks.speed.subjects import Running, Subject, start

CALLS, CONNECTIONS = 300, 8
SETTLE_S = 0.3
TABLE_S = 2.0
FIGURES = {"start_s": "start to first answer, s", "pss_mb": "PSS of all processes, MB",
           "worker_mb": "PSS of the busiest, MB",
           "table_mb": "PSS with a token table, MB"}  # fmt: skip
Starts = dict[str, dict[str, list[float | None]]]
"""By subject and figure."""


def measure(subjects: Sequence[Subject], work: Path, rounds: int) -> tuple[Starts, dict[str, str]]:
    """And why some have none."""
    found: Starts = {subject.key: {figure: [] for figure in FIGURES} for subject in subjects}
    why: dict[str, str] = {}
    for _ in range(rounds):
        for subject in subjects:
            if subject.key in why:
                continue
            try:
                running = start(subject, work / f"start-{subject.key}")
            except (RuntimeError, OSError) as error:
                why[subject.key] = str(error)
                continue
            try:
                for figure, value in _looked_at(running).items():
                    found[subject.key][figure].append(value)
            finally:
                running.stop()
    return found, why


def _looked_at(running: Running) -> dict[str, float | None]:
    _send(running, Call(), CALLS)
    time.sleep(SETTLE_S)
    before = proc.reading(running.pids())  # what starting took says nothing of who carries the calls
    _send(running, Call(), CALLS)
    time.sleep(SETTLE_S)
    spent = proc.spent_s(before, proc.reading(running.pids()))
    sizes = proc.pss_mb(list(spent))
    told: dict[str, float | None] = {"start_s": running.start_s, "pss_mb": sum(sizes.values())}
    told["worker_mb"] = sizes[max(spent, key=lambda pid: spent[pid])]
    told["table_mb"] = _with_table(running) if running.subject.key in ("weir", "beside") else None
    return told


def _with_table(running: Running) -> float:
    _send(running, Call(answer="mute-1500"), 4)
    time.sleep(TABLE_S)
    return sum(proc.pss_mb(running.pids()).values())


def _send(running: Running, call: Call, count: int) -> None:
    made = source(call, running.subject)
    asyncio.run(closed(running.port, [made() for _ in range(count)], count, min(count, CONNECTIONS)))
