"""What is read from /proc: the right fields, every thread, and nothing of what went meanwhile."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks.speed import proc
from benchmarks.speed.proc import Process

STAT = "7 (a (b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 1 1 1"


def test_the_first_number_of_schedstat_is_the_time_on_a_cpu() -> None:
    assert proc.ran_ns("1500 20 3\n") == 1500
    assert proc.ran_ns("") == 0


def test_ticks_are_found_behind_a_name_with_brackets() -> None:
    assert proc.ticks_s(STAT, 100) == 3.0
    assert proc.ticks_s("", 100) == 0.0


def test_what_is_shared_is_known_by_its_file_or_its_address() -> None:
    head = "55d0-55d1 r-xp 00001000 fe:00 42    /usr/bin/python"
    other = "7ff0-7ff1 rw-p 00000000 00:00 0"
    sizes = (
        "Rss: 60 kB\nPss: 20 kB\nShared_Clean: 10 kB\nShared_Dirty: 5 kB\nPrivate_Clean: 20 kB\nPrivate_Dirty: 25 kB"
    )
    seen = list(proc.mappings(f"{head}\n{sizes}\n{other}\n{sizes}\n"))
    assert seen == [("fe:00 42 00001000", 45, 15), ("7ff0-7ff1", 45, 15)]
    assert list(proc.mappings("")) == []


def test_threads_and_processes_that_came_meanwhile_count_whole() -> None:
    before = {1: Process({1: 1_000_000_000}, 0.0)}
    after = {1: Process({1: 1_500_000_000, 2: 250_000_000}, 9.0), 3: Process({3: 100_000_000}, 9.0)}
    assert proc.spent_s(before, after) == {1: 0.75, 3: 0.1}


def test_where_threads_went_the_sum_of_the_whole_process_counts() -> None:
    before = {1: Process({1: 1_000_000_000, 2: 5_000_000_000}, 6.0)}
    assert proc.spent_s(before, {1: Process({1: 1_500_000_000}, 7.0)}) == {1: 1.0}


def test_a_process_that_went_is_an_error() -> None:
    with pytest.raises(ProcessLookupError):
        proc.spent_s({1: Process({}, 0.0)}, {})


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux")
def test_this_process_is_read() -> None:
    here = os.getpid()
    seen = proc.reading(proc.descendants(here))
    assert seen[here].threads
    assert 1 < proc.pss_mb([here])[here] < 4000


def test_what_two_share_is_split_and_what_strangers_share_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    row = "{where} r-xp 00000000 fe:00 {inode} /lib\nShared_Clean: {shared} kB\nPrivate_Dirty: {private} kB\n"
    for pid, alone in ((1, 43), (2, 44)):
        (tmp_path / str(pid)).mkdir()
        both = row.format(where="1-2", inode=42, shared=4000, private=1000)
        (tmp_path / str(pid) / "smaps").write_text(both + row.format(where="3-4", inode=alone, shared=500, private=0))
    monkeypatch.setattr(proc, "PROC", tmp_path)
    assert proc.pss_mb([1, 2]) == pytest.approx({1: 3.584, 2: 3.584})
