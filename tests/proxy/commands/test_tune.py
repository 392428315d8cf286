"""`weir tune`: thresholds by position for a wanted rate, never from too few rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxy.cli import main
from proxy.commands.tune import rounded

USES = "tests.plugins.injection.keywords:Graded"


def write(path: Path, *rows: dict[str, object]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def many(role: str, harmless: int = 300, attacks: int = 20) -> list[dict[str, object]]:
    """Harmless texts score 0.001 to 0.300 and the attacks 0.9, whatever their role."""
    made: list[dict[str, object]] = [{"text": f"{n / 1000}", "label": 0, "role": role} for n in range(1, harmless + 1)]
    return [*made, *({"text": "0.9", "label": 1, "role": role} for _ in range(attacks))]


def test_thresholds_are_given_for_each_position_with_intervals_and_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "rows", *many("user"), *many("tool", 400))
    assert main(["tune", USES, file, "--fpr", "0.01"]) == 0
    told = capsys.readouterr().out
    assert "user: threshold 0.2971" in told
    assert "false positives 3 of 300 = 1.00%" in told
    assert "attacks found   20 of 20 = 100.00% (95 % interval 83.89% to 100.00%)" in told
    assert "tool: {threshold: 0.3961}" in told


def test_too_few_rows_give_no_threshold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "rows", *many("user", 299))
    assert main(["tune", USES, file]) == 1
    told = capsys.readouterr().out
    assert "299 harmless rows are too few" in told
    assert "threshold:" not in told


def test_rows_that_all_score_highest_have_no_threshold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "rows", *({"text": "1.0", "label": 0} for _ in range(300)))
    assert main(["tune", USES, file]) == 1
    told = capsys.readouterr().out
    assert "no threshold helps" in told and "wrong label" in told and "threshold:" not in told


def test_a_threshold_that_nothing_reaches_is_none_and_another_rate_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    harmless: list[dict[str, object]] = [{"text": f"{n / 1000}", "label": 0} for n in range(310)]
    file = write(tmp_path / "rows", *harmless, *({"text": "1.0", "label": 0} for _ in range(10)))
    assert main(["tune", USES, file, "--fpr", "0.01"]) == 1
    told = capsys.readouterr().out
    assert "10 of 320 harmless rows (3.12%) have the highest score" in told and "--fpr 0.033" in told
    assert "Nothing was tuned; the thresholds in use stay." in told and "plugins:" not in told
    assert main(["tune", USES, file, "--fpr", "0.033"]) == 0


def test_attacks_that_no_threshold_finds_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row if row["label"] == 0 else {**row, "text": "0.01"} for row in many("user")]
    assert main(["tune", USES, write(tmp_path / "rows", *rows)]) == 1
    told = capsys.readouterr().out
    assert "none of the 20 attacks either" in told and "they score 0.0100 at most" in told


def test_rows_to_tune_on_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", USES, write(tmp_path / "none")]) == 1
    assert "nothing to tune on" in capsys.readouterr().out
    copies = [{"text": "0.25", "label": 0} for _ in range(300)]
    assert main(["tune", USES, write(tmp_path / "rows", *copies)]) == 0
    told = capsys.readouterr().out
    assert (
        "harmless rows   have 1 different scores: take rows of your own traffic" in told
        and "add some before you use this" in told
    )


@pytest.mark.parametrize(
    ("row", "words"),
    [({"text": "x"}, "label is None"), ({"text": "x", "label": 2}, "label is 2"), ({"label": 1}, "no `text`")],
)
def test_rows_without_a_label_are_told(
    row: dict[str, object], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tune", USES, write(tmp_path / "rows", row)]) == 1
    assert words in capsys.readouterr().err


def test_a_plugin_without_scores_has_nothing_to_tune(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "rows", {"text": "x", "label": 0})
    assert main(["tune", "metering", file]) == 1
    assert "gives no score" in capsys.readouterr().err
    assert main(["tune", "audit", file]) == 1
    assert "nothing to tune" in capsys.readouterr().err


def test_wrong_rates_and_missing_files_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", USES, "x", "--fpr", "1"]) == 2
    assert main(["tune", USES, str(tmp_path / "none")]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_thresholds_are_rounded_up() -> None:
    assert rounded(0.12341) == 0.1235
    assert rounded(0.5) == 0.5
