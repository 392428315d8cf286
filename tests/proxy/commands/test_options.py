"""`weir options`: every option with its default, name in the environment and help."""

from __future__ import annotations

import pytest

from proxy.cli import main


def test_all_options_are_listed_those_of_plugins_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["options"]) == 0
    out = capsys.readouterr().out
    assert "limits.depth = 128" in out
    assert "WEIR_LIMITS__DEPTH" in out
    assert "plugins.metering.options.estimate = true" in out
    assert "Count tokens where the provider gives no usage" in out


def test_a_word_keeps_those_that_name_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["options", "DEPTH"]) == 0
    assert capsys.readouterr().out.startswith("limits.depth = ")
    assert main(["options", "no-such-word-anywhere"]) == 0
    assert capsys.readouterr().out == ""


def test_options_that_options_hold_are_found_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["options", "semantic"]) == 0
    out = capsys.readouterr().out
    assert "plugins.cache.options.semantic = {}  (SemanticOptions)" in out
    assert 'plugins.cache.options.semantic.mode = "shadow"' in out
    assert main(["options", "asked"]) == 0
    assert "plugins.routing.options.pools[].asked = []" in capsys.readouterr().out
