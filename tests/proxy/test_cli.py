"""The command line: every command is there, wrong usage is told, exit codes are kept."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import proxy
from proxy.cli import COMMANDS, main


def test_without_a_command_it_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main(["--help"]) == main(["help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out and words in out for name, words in COMMANDS.items())


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"weir {proxy.__version__}\n"


def test_an_unknown_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sreve"]) == 2
    assert "there is no command 'sreve'" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    if command == "schema":
        return
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: weir {command}" in capsys.readouterr().out


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "schema"])
def test_a_wrong_flag_is_wrong_usage(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--no-such-flag"])
    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_a_foreign_package_of_the_same_name_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(proxy, "PRODUCT", "other")
    assert main(["check"]) == 1
    assert "another package called `proxy` stands in the way" in capsys.readouterr().err


def test_an_interrupt_ends_a_command_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(arguments: list[str]) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module("proxy.commands.schema"), "main", interrupted)
    assert main(["schema"]) == 130


def test_a_reader_that_leaves_is_no_failure(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(b'{"text":"some text to be judged"}\n' * 20_000)
    command = [sys.executable, "-m", "proxy", "scan", "metering", str(rows)]
    with subprocess.Popen(command, stdout=-1, stderr=-1) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_closed_standard_descriptors_are_nobodys(tmp_path: Path) -> None:
    code = (
        "import os, sys; from proxy.cli import main; main(['--version']); "
        "same = [os.path.samestat(os.fstat(n), os.stat(os.devnull)) for n in range(3)]; "
        f"os.symlink(str(same), {str(tmp_path / 'seen')!r}); "
        "assert sys.stdin and sys.stdout and sys.stderr; assert all(map(os.get_inheritable, range(3)))"
    )
    done = subprocess.run(["/bin/sh", "-c", 'exec "$0" -c "$1" <&- >&- 2>&-', sys.executable, code], check=False)
    assert done.returncode == 0
    assert os.readlink(tmp_path / "seen") == "[True, True, True]"
