"""The limit of open files is raised as far as it goes, and a low one is spoken of."""

from __future__ import annotations

import subprocess
import sys

from proxy.processes.files import FEW, shortage

LOWERED = """
import resource
from proxy.processes.files import raise_limit
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
raised = raise_limit()
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (raised, hard), raised
assert raised > 64
assert raise_limit() == raised
"""


def test_the_limit_becomes_the_hard_one() -> None:
    subprocess.run([sys.executable, "-c", LOWERED], check=True)


def test_few_are_told_in_calls_and_enough_are_not_mentioned() -> None:
    assert "about 512 calls" in shortage(1024)
    assert shortage(FEW) == ""
