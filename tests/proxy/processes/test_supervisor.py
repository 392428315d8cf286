"""The supervisor is small and stands on the standard library alone. (What it does: end_to_end/test_processes.)"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_supervisor_loads_nothing_but_the_standard_library_and_little_of_it() -> None:
    code = "import sys; old = set(sys.modules); import proxy.processes.supervisor; print(*(set(sys.modules) - old))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert {name.partition(".")[0] for name in loaded} - {"proxy"} <= set(sys.stdlib_module_names)
    assert {name for name in loaded if name.startswith("proxy.")} == {
        "proxy.processes",
        "proxy.processes.beats",
        "proxy.processes.child",
        "proxy.processes.claim",
        "proxy.processes.plan",
        "proxy.clock",
        "proxy.processes.supervisor",
    }
    assert not loaded & {"asyncio", "dataclasses", "inspect", "subprocess", "threading", "logging", "tempfile"}
