"""What is said where nobody can hear it: nothing happens, not even at the end of the process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.app.voice import say

TWICE = [sys.executable, "-c", "from proxy.app.voice import say; say('one'); say('two')"]


def test_a_line_is_said_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    say("Weir hears \udce4")
    assert capfd.readouterr().err == "Weir hears \\udce4\n"


def test_a_full_disk_is_no_reason_to_end() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "w") as full:
        assert subprocess.run(TWICE, stderr=full, check=False).returncode == 0


def test_a_reader_that_went_away_is_no_reason_to_end() -> None:
    near, far = os.pipe()
    os.close(near)
    assert subprocess.run(TWICE, stderr=far, check=False).returncode == 0
    os.close(far)
