"""A model beside the judge: asked about what the judge lets pass, and told plainly where it cannot run."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pytest

from plugins.injection.onnx import Onnx, attack, load, runs, softmax
from proxy.errors import ConfigError
from tests.plugins.injection.keywords import Keywords


def model(*logits: float) -> tuple[Onnx, list[str]]:
    asked: list[str] = []

    def run(text: str) -> tuple[float, ...]:
        asked.append(text)
        return logits

    return Onnx(Keywords(), run, 1), asked


def test_the_model_flags_what_the_judge_lets_pass() -> None:
    made, asked = model(-4.0, 4.0)
    found = made.judge("harmless?", "user")
    assert (found.flagged, found.reasons) == (True, ("onnx",))
    assert found.score > 0.99
    assert made.judge("evil", "user").reasons == ("test.evil",)
    assert not made.judge("harmless?", "system").flagged
    assert asked == ["harmless?"]


def test_where_both_are_content_the_higher_score_counts() -> None:
    made, _ = model(1.0, 1.0)
    found = made.judge("odd", "user")
    assert (found.score, found.flagged) == (0.5, False)
    assert made.threshold("user", 0.05) == 0.3


def test_the_values_of_classes_are_read_from_a_session() -> None:
    fed: list[Any] = []

    def run(_: None, given: dict[str, Any]) -> list[Any]:
        fed.append(given)
        return [numpy.array([[0.0, 2.0]])]

    coded = SimpleNamespace(ids=[1, 2], attention_mask=[1, 1], type_ids=[0, 0])
    inputs = [SimpleNamespace(name="input_ids"), SimpleNamespace(name="attention_mask")]
    session = SimpleNamespace(get_inputs=lambda: inputs, run=run)
    logits = runs(session, SimpleNamespace(encode=lambda text: coded))
    assert logits("x") == [0.0, 2.0]
    assert fed[0].keys() == {"input_ids", "attention_mask"}
    assert sum(softmax([1.0, 2.0, 3.0])) == pytest.approx(1)


def test_the_class_of_attacks_is_found_by_its_name(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    assert attack(config) == -1
    config.write_text('{"id2label": {"0": "INJECTION", "1": "SAFE"}}')
    assert attack(config) == 0
    config.write_text("[")
    with pytest.raises(ConfigError, match="no JSON object"):
        attack(config)


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="names a folder"):
        load(Keywords(), str(tmp_path))
    for name in ("model.onnx", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"install weir-proxy\[onnx\]"):
        load(Keywords(), str(tmp_path))
