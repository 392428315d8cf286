"""`weir overlay` where no Weir runs: the data directory itself is read and written, under its lock."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.cli import main
from proxy.configuration import overlay
from proxy.configuration.overlay import Overlay


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Of a Weir that was ended in order: it leaves an empty lock."""
    made = Overlay()
    for key, value in (
        ("limits.depth", 64),
        ("bypass", True),
        ("identity.keys.bob", {"user": "ann", "sha256": "0" * 64}),
    ):
        made = made.apply(key, value, old=None, who="bob", reason="a test", at=1_700_000_000.0)
    overlay.write(tmp_path / overlay.NAME, made)
    (tmp_path / "weir.lock").touch(0o600)
    return tmp_path


@pytest.fixture
def held(data: Path) -> Iterator[None]:
    """A Weir has the directory, and its admin API says nothing."""
    (data / "weir.lock").write_text(json.dumps({"pid": os.getpid(), "admin_port": 9}))
    with (data / "weir.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def told(capsys: pytest.CaptureFixture[str], data: Path, *arguments: str) -> tuple[int, str, str]:
    code = main(["overlay", *arguments, "--data", str(data)])
    found = capsys.readouterr()
    return code, found.out, found.err.replace(str(data), "DATA")


def test_what_was_changed_is_listed_without_a_name_of_a_person(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = told(capsys, data, "list")
    assert (code, err) == (0, "weir overlay: no Weir runs in DATA: this is what the next start takes up\n")
    assert [line.split()[0] for line in out.splitlines()] == ["ID", "3", "2", "1"]
    code, out, _ = told(capsys, data, "list", "--json")
    shown = json.loads(out)
    assert shown["version"] == 3 and shown["changes"][0]["new"]["user"] == "(a user)"
    assert "ann" not in out


def test_a_change_is_undone_and_who_did_it_is_kept(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = told(capsys, data, "undo", "2")
    assert code == 0 and json.loads(out)["undone_by"].endswith("(no Weir ran)")
    assert err == "weir overlay: no Weir runs in DATA: undone there, for the next start\n"
    now = overlay.read(data / overlay.NAME)
    assert [change.id for change in now.standing()] == [1, 3] and now.version == 4
    assert (data / overlay.NAME).stat().st_mode & 0o077 == 0
    assert told(capsys, data, "export")[1].startswith("limits:\n  depth: 64\n")


def test_several_are_undone_together_or_not_at_all(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (data / overlay.NAME).read_bytes()
    assert told(capsys, data, "undo", "1", "7") == (1, "", "weir overlay: there is no change 7 to undo\n")
    assert (data / overlay.NAME).read_bytes() == before
    assert told(capsys, data, "undo", "1", "3")[0] == 0
    assert told(capsys, data, "undo", "3") == (1, "", "weir overlay: change 3 is already undone\n")
    assert [change.id for change in overlay.read(data / overlay.NAME).standing()] == [2]


@pytest.mark.usefixtures("held")
def test_nothing_is_touched_while_a_weir_has_the_directory(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["undo", "1"], ["list"], ["export"]):
        code, out, err = told(capsys, data, *arguments)
        assert (code, out) == (1, "")
        assert "a Weir holds DATA, and its admin API does not answer" in err


def test_a_lock_that_a_killed_weir_left_is_none(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "weir.lock").write_text(json.dumps({"pid": 2**22 - 1, "admin_port": 9}))
    assert told(capsys, data, "undo", "1")[0] == 0


def test_where_nothing_was_ever_changed_nothing_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, tmp_path, "list")[1] == "Nothing was changed at run time.\n"
    assert told(capsys, tmp_path, "export")[1] == "{}\n"
    assert list(tmp_path.iterdir()) == []
    assert told(capsys, tmp_path, "undo", "1") == (1, "", "weir overlay: there is no change 1 to undo\n")


def test_what_cannot_be_done_is_a_sentence(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = data / "nowhere"
    assert "there is no data directory" in told(capsys, nowhere, "list")[2]
    assert "Only a running Weir can judge a change" in told(capsys, data, "set", "bypass", "true")[2]
    (data / overlay.NAME).write_text("{")
    assert "the run-time overlay is damaged" in told(capsys, data, "undo", "1")[2]
    assert main(["overlay", "list", "--url", "http://127.0.0.1:9"]) == 1
    assert "no Weir answers" in capsys.readouterr().err


def test_a_disk_that_is_full_leaves_it_as_it_was(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, made: Overlay) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(overlay, "write", full)
    code, _, err = told(capsys, data, "undo", "1")
    assert code == 1 and "cannot be written: No space left on device" in err
    assert len(overlay.read(data / overlay.NAME).standing()) == 3
