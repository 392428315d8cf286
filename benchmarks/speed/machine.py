"""Where and when it was measured: the machine, the commit, and which cores belong to whom."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def allowed() -> list[int]:
    """The cores that this process may use; none where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def split(cores: list[int]) -> tuple[frozenset[int], frozenset[int]]:
    """The relay's one core, and the others for provider and caller; both empty (nobody is pinned) below two cores."""
    return (frozenset(cores[:1]), frozenset(cores[1:3])) if len(cores) > 1 else (frozenset(), frozenset())


RELAYS, OTHERS = split(allowed())


def pin(cores: frozenset[int]) -> None:
    if cores:
        os.sched_setaffinity(0, cores)


@dataclass(frozen=True, slots=True)
class Machine:
    cpu: str
    cores: int
    system: str
    python: str
    pinned: str
    commit: str
    date: str

    def line(self) -> str:
        return f"{self.cpu}, {self.cores} cores, {self.system}, Python {self.python}; {self.pinned}"

    def fields(self) -> dict[str, str | int]:
        return asdict(self)


def machine() -> Machine:
    one, rest = (", ".join(map(str, sorted(cores))) for cores in (RELAYS, OTHERS))
    pinned = f"relays on core {one}, provider and caller on core {rest}" if RELAYS else "nobody is pinned to a core"
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Machine(
        cpu_model(), os.cpu_count() or 1, f"{platform.system()} {platform.release()} {platform.machine()}",
        platform.python_version(), pinned, commit(ROOT), now,
    )  # fmt: skip


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown CPU"
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or "unknown CPU"


def commit(folder: Path) -> str:
    """With `+` where files differ from it."""
    try:
        name = _git(folder, "rev-parse", "--short=10", "HEAD")
        return name + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "no commit"


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
