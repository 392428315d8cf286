"""`make run`: nothing that it started outlives it, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.running import FOREIGN
from tests.sources import ROOT

DEADLINE_S = 30.0


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def runs(pid: int) -> bool:
    """A zombie does not: whoever inherited it may take its time."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no kernel tells a child of its parent's death")
def test_killed_it_leaves_neither_weir_nor_the_provider_behind(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    environment = clean | {"PYTHONPATH": str(ROOT), "WEIR_PORT": "0", "WEIR_ADMIN_PORT": "0", "WEIR_STORE": "memory"}
    command = [sys.executable, "-m", "benchmarks.run", "sim"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "listening" not in (line := process.stderr.readline()):
            assert line, "Weir has ended"
        started = children(process.pid)
        started += [below for child in started for below in children(child)]
        assert len(started) >= 4  # the provider, the supervisor, control and a worker
        process.kill()
    end_s = time.monotonic() + DEADLINE_S
    while any(map(runs, started)):
        assert time.monotonic() < end_s, "something was left behind"
        time.sleep(0.01)
