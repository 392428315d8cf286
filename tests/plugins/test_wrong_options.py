"""What guards are told wrongly is said where it is written: by `weir check`, at start and at a reload."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from plugins.injection.options import InjectionOptions
from plugins.output_filter.options import OutputFilterOptions
from plugins.pii.options import PiiOptions
from proxy.configuration.options import faults

WRONG: list[tuple[type[Any], dict[str, Any], str]] = [
    (InjectionOptions, {"user": {"threshold": 3}}, "from 0 to 1"),
    (InjectionOptions, {"tool": {"false_positives": -0.1}}, "from 0 to 1"),
    (InjectionOptions, {"rules": ["nowhere.toml"]}, "cannot be read"),
    (InjectionOptions, {"model": "nowhere"}, "model.onnx"),
    (PiiOptions, {"types": {"EMIAL": "redact"}}, "did you mean EMAIL"),
    (PiiOptions, {"recogniser": "foo"}, "rampart"),
    (PiiOptions, {"rules": ["nowhere.toml"]}, "cannot be read"),
    (OutputFilterOptions, {"types": ["EMIAL"]}, "there is no type"),
    (OutputFilterOptions, {"certain": 2}, "from 0 to 1"),
    (OutputFilterOptions, {"rules": ["nowhere.toml"]}, "nowhere.toml"),
]


@pytest.mark.parametrize(("options", "given", "says"), WRONG)
def test_a_wrong_option_is_told_with_what_to_write(options: type[Any], given: dict[str, Any], says: str) -> None:
    (fault,) = faults(options, given)
    assert says in fault[1]


@pytest.mark.parametrize("options", [InjectionOptions, PiiOptions, OutputFilterOptions])
@pytest.mark.parametrize("text", ["[[family", '[[rules]]\nregex = "(abc"\n', 'x = "('])
def test_a_file_of_rules_that_is_wrong_is_told_before_it_runs(tmp_path: Path, options: type[Any], text: str) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(text)
    assert faults(options, {"rules": [str(file)]})


@pytest.mark.parametrize("options", [InjectionOptions, PiiOptions, OutputFilterOptions])
def test_the_defaults_are_right(options: type[Any]) -> None:
    assert faults(options, {}) == []


@pytest.mark.parametrize(
    ("options", "given", "extra"),
    [(PiiOptions, {"recogniser": "rampart"}, "names"), (InjectionOptions, {"model": "FOLDER"}, "onnx")],
)
def test_what_is_not_installed_is_told_before_it_runs(
    options: type[Any], given: dict[str, Any], extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("model.onnx", "tokenizer.json"):
        (tmp_path / name).touch()
    given = {name: value.replace("FOLDER", str(tmp_path)) for name, value in given.items()}
    module = import_module(options.__module__)
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "tokenizers" else object())
    (fault,) = faults(options, given)
    assert f"needs a package that is not installed (tokenizers): install weir-proxy[{extra}], or leave" in fault[1]
    monkeypatch.setattr(module, "find_spec", lambda name: object())
    assert faults(options, given) == []
