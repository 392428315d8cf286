"""`weir scan`: lines in, the same lines with the judgement out; what is wrong is told."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from proxy.cli import main

REFUSES = "tests.plugins_for_tests:Refuses"


def rows(*texts: str) -> str:
    return "".join(json.dumps({"text": text, "n": number}) + "\n" for number, text in enumerate(texts))


def out(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_order_is_kept_and_the_judgement_added(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows").write_text(rows("say", "b", "do say"))
    assert main(["scan", REFUSES, str(tmp_path / "rows")]) == 0
    assert [(one["n"], one["refused"]) for one in out(capsys)] == [(0, True), (1, False), (2, True)]


def test_standard_input_is_the_default(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["scan", "metering"], ["scan", "metering", "-"]):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(rows("a b").encode())))
        assert main(arguments) == 0
        assert out(capsys) == [{"text": "a b", "n": 0, "tokens": 2, "exact": True}]


def test_options_override_those_of_the_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows").write_text(rows("x", "y"))
    config = tmp_path / "w.yaml"
    config.write_text(f"plugins:\n  - guard: {{uses: {REFUSES}, enabled: false, mode: shadow, options: {{word: x}}}}\n")
    assert main(["scan", "guard", str(tmp_path / "rows"), "--config", str(config)]) == 0  # as if on and enforcing
    assert [one["refused"] for one in out(capsys)] == [True, False]
    given = ["--options", '{"word": "y"}', "--config", str(config)]
    assert main(["scan", "guard", str(tmp_path / "rows"), *given]) == 0
    assert [one["refused"] for one in out(capsys)] == [False, True]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("{", "--options must be a JSON object"), ("[1]", "--options must be a JSON object"),
        ('{"wrd": "x"}', "--options.wrd: there is no such option"), ('{"word": 5}', "--options.word: must be"),
    ],
)  # fmt: skip
def test_wrong_options_are_told(options: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows").write_text(rows("x"))
    assert main(["scan", REFUSES, str(tmp_path / "rows"), "--options", options]) == 1
    told = capsys.readouterr()
    assert words in told.err
    assert told.out == ""


def test_a_bad_line_is_named_and_what_came_before_is_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows").write_text(rows("a") + "nope\n" + rows("b"))
    assert main(["scan", REFUSES, str(tmp_path / "rows")]) == 1
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 1
    assert told.err.startswith("weir scan: line 2 is not JSON")


@pytest.mark.parametrize(
    ("plugin", "words"),
    [("nope", "there is no plugin 'nope'"), ("audit", "judges no texts"), ("tests.kit:kit", "is not a plugin class")],
)
def test_what_cannot_judge_is_told(plugin: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows").write_text(rows("a"))
    assert main(["scan", plugin, str(tmp_path / "rows")]) == 1
    assert words in capsys.readouterr().err


def test_a_file_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "metering", "/no/such/file"]) == 1
    assert capsys.readouterr().err == "weir scan: /no/such/file cannot be read: No such file or directory\n"


def test_models_are_named_for_routing_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows").write_text(rows("a"))
    assert main(["scan", "metering", str(tmp_path / "rows"), "--models", "big,small"]) == 1
    assert "--models is for routing: leave it out" in capsys.readouterr().err


def test_routing_chooses_between_the_models_that_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hard = "Ann has 48 eggs and sells half as many in May for 3 dollars each. How much money does she have left in all?"
    (tmp_path / "rows").write_text(rows("hi", hard))
    assert main(["scan", "routing", str(tmp_path / "rows"), "--models", "big, small"]) == 0
    found = out(capsys)
    assert [one["choice"] for one in found] == ["small", "big"]
    assert all(0 < float(str(one["score"])) < 1 and one["reasons"] for one in found)
