"""The control process where it cannot even begin. (What it does: end_to_end/test_weir.)"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from proxy.app import control
from proxy.telemetry.page import Page


def test_a_full_disk_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(*given: Any) -> Page:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path))

    monkeypatch.setattr(Page, "create", full)
    assert control.main(["--run", str(tmp_path), "--port", "0"]) == 1
    assert "weir: control cannot start: [Errno 28] No space left on device" in capfd.readouterr().err
