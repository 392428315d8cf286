"""`weir overlay` on its command line; with a Weir that runs it is tested in end_to_end."""

from __future__ import annotations

import pytest

from proxy.cli import main
from proxy.commands.overlay import _value


@pytest.mark.parametrize(
    ("text", "value"),
    [("64", 64), ("true", True), ("0.5", 0.5), ('["a"]', ["a"]), ("observe", "observe"), ('"64"', "64"), ("", "")],
)
def test_a_value_is_json_or_else_text(text: str, value: object) -> None:
    assert _value(text) == value


@pytest.mark.parametrize("arguments", [[], ["set", "limits.depth"], ["undo", "first"], ["forget"]])
def test_wrong_usage_is_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["overlay", *arguments])
    assert ended.value.code == 2
    assert "usage: weir overlay" in capsys.readouterr().err
