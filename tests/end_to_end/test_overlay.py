"""A run-time change that keeps Weir from starting: who starts it is told which, and takes it back offline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.cli import main
from tests.serving import ROOT, provided, serve

BOTH = "plugins:\n  - audit\n  - metering\n  - compression\n"
LESS = "plugins:\n  - audit\n  - metering\n"


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with provided() as url:
        yield url


def weir(*arguments: str) -> subprocess.CompletedProcess[str]:
    """To its end, which a Weir that cannot start comes to by itself."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("WEIR_", "OPENAI_"))}
    command = [sys.executable, "-m", "proxy", *arguments]
    return subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False, timeout=60)


def test_a_start_that_a_change_prevents_says_how_to_take_it_back(
    provider: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, data = tmp_path / "w.yaml", tmp_path / "data"
    file.write_text(BOTH)
    place = ("--data", str(data))
    with serve(provider, data, "--config", str(file)) as running:
        for key, value in (("limits.depth", "64"), ("plugins.compression.options.min_tokens", "60")):
            assert main(["overlay", "set", key, value, "--reason", "a trial", *place]) == 0
        assert running.stop() == 0
    file.write_text(LESS)
    capsys.readouterr()

    given = ("--config", str(file), "--upstream", provider, *place, "--port", "0", "--admin-port", "0")
    for command in (("serve", *given), ("check", *given)):
        ended = weir(*command)
        assert ended.returncode == 2
        assert "plugins.compression (overlay change 2 by local): is not in the list of plugins" in ended.stderr
        assert f"right without one change made at run time (kept in {data}):" in ended.stderr
        assert "  change 2: plugins.compression.options.min_tokens, set by local at " in ended.stderr
    undo = next(line for line in ended.stderr.splitlines() if line.startswith("To take that back: "))
    words = undo.removeprefix("To take that back: weir ").split()
    assert words == ["overlay", "undo", "2", *place]

    assert main(["overlay", "list", *place]) == 0
    assert "no Weir runs in" in capsys.readouterr().err
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["undone_by"].endswith("(no Weir ran)")
    with serve(provider, data, "--config", str(file)) as running:
        entries = running.until(lambda: running.admin("/admin/v1/audit?limit=50"), "the trail")["data"]
        assert '"undone_offline":[2]' in json.dumps(entries).replace(" ", "").replace("\\", "")
        assert main(["overlay", "undo", "1", *place]) == 0, "now through the Weir that runs"
        assert "no Weir runs" not in capsys.readouterr().err
