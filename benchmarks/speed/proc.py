"""What the kernel knows of processes: their descendants, the CPU time they took, the memory that is theirs.

CPU time is read from `/proc/PID/task/TID/schedstat` of every thread of every process of a relay. `/proc/PID/stat`
counts in ticks of 10 ms, which is much of a short round; schedstat counts nanoseconds, adds up at every switch and has
the kernel's work for the thread (the sockets) in it, about a seventh of what a relay costs. All threads and children
are read, or whatever a relay moves to another thread or process would look free.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
Reading = dict[int, "Process"]


@dataclass(frozen=True, slots=True)
class Process:
    """One process at one moment."""

    threads: dict[int, int]
    """Nanoseconds on a CPU, by thread."""
    whole_s: float
    """The process's own sum, in ticks: includes threads that have ended."""


def descendants(pid: int) -> list[int]:
    """The process and all below it, itself first."""
    found = [pid]
    for one in found:
        for task in _tasks(one):
            text = _read(PROC / str(one) / "task" / str(task) / "children")
            found.extend(int(child) for child in text.split())
    return found


def reading(pids: list[int]) -> Reading:
    return {pid: Process({task: _ran(pid, task) for task in _tasks(pid)}, _ticks(pid)) for pid in pids}


def spent_s(before: Reading, after: Reading) -> dict[int, float]:
    """CPU seconds by process between two readings. A process that went in between took its reading with it: that is an
    error, for no figure can be right then. Of one whose threads went the coarser sum of the whole process is taken."""
    if gone := before.keys() - after.keys():
        raise ProcessLookupError(f"processes ended while they were measured: {sorted(gone)}")
    return {pid: _spent_s(before.get(pid), now) for pid, now in after.items()}


def _spent_s(before: Process | None, after: Process) -> float:
    threads = before.threads if before else {}
    if before and threads.keys() - after.threads.keys():
        return after.whole_s - before.whole_s
    return sum(ran - threads.get(task, 0) for task, ran in after.threads.items()) / 1e9


def pss_mb(pids: list[int]) -> dict[int, float]:
    """The proportional set size of each: what is shared is split among those of `pids` who share it, so the sum is what
    they hold together. The kernel's own figure splits it among everybody: with other Python programs about (the
    provider, the caller) it gives these a part of the interpreter, and a relay would look smaller than it is."""
    found = {pid: list(mappings(_read(PROC / str(pid) / "smaps"))) for pid in pids}
    sharers = Counter(mapping for rows in found.values() for mapping, _, shared in rows if shared)
    return {
        pid: sum(private + shared / max(1, sharers[mapping]) for mapping, private, shared in rows) * 1.024 / 1000
        for pid, rows in found.items()
    }


def mappings(smaps: str) -> Iterator[tuple[str, int, int]]:
    """Of each mapping what it maps (a file from an offset on, or memory at an address), and the kilobytes that are
    private and shared."""
    name, private, shared = "", 0, 0
    for line in smaps.splitlines():
        fields = line.split()
        if not fields[0].endswith(":"):
            if name:
                yield name, private, shared
            where, _, offset, device, inode = fields[:5]
            name, private, shared = f"{device} {inode} {offset}" if inode != "0" else where, 0, 0
        elif fields[0] in ("Private_Clean:", "Private_Dirty:"):
            private += int(fields[1])
        elif fields[0] in ("Shared_Clean:", "Shared_Dirty:"):
            shared += int(fields[1])
    if name:
        yield name, private, shared


def ran_ns(schedstat: str) -> int:
    """The first of three numbers is the time on a CPU; the others are waiting, and how often it ran."""
    fields = schedstat.split()
    return int(fields[0]) if fields else 0


def ticks_s(stat: str, per_second: int) -> float:
    """User and system time; the name before it may hold spaces and brackets."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / per_second if len(fields) > 12 else 0.0


def _ran(pid: int, task: int) -> int:
    return ran_ns(_read(PROC / str(pid) / "task" / str(task) / "schedstat"))


def _ticks(pid: int) -> float:
    return ticks_s(_read(PROC / str(pid) / "stat"), os.sysconf("SC_CLK_TCK"))


def _tasks(pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(PROC / str(pid) / "task")]
    except OSError:
        return []


def _read(path: Path) -> str:
    """Nothing where the process has gone meanwhile."""
    try:
        return path.read_text()
    except OSError:
        return ""
