"""What stands where a section or a list belongs, and how the right form looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import pytest

from proxy.configuration.example import hint, named, shape
from proxy.configuration.options import faults
from proxy.configuration.settings import Settings


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    target: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Told:
    example: ClassVar[str] = "{typos: true}"
    mode: Literal["shadow", "enforce"] = "shadow"


@dataclass(frozen=True, slots=True)
class Switch:
    enabled: bool = True
    level: int = 5


@dataclass(frozen=True, slots=True)
class Options:
    rules: tuple[Rule, ...] = ()
    named: Mapping[str, Rule] = field(default_factory=dict)
    told: Told = field(default_factory=Told)
    best: Rule | None = None
    switch: Switch = field(default_factory=Switch)
    agents: tuple[str, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    either: str | bool = False


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (
            {"rules": {"name": "x"}},
            (("rules",), "must be a list, not a section: write `rules: [{name: TEXT, target: openai/gpt-4o-mini}]`"),
        ),
        (
            {"rules": ["sk-secret"]},
            (
                ("rules", "0"),
                "must be a section (name: value), not a text: write `- {name: TEXT, target: openai/gpt-4o-mini}`",
            ),
        ),
        ({"told": True}, (("told",), "must be a section (name: value), not true: write `told: {typos: true}`")),
        (
            {"switch": False},
            (("switch",), "must be a section (name: value), not false: write `switch: {enabled: false}`"),
        ),
        (
            {"best": 5},
            (
                ("best",),
                "must be a section (name: value), not a number: write `best: {name: TEXT, target: openai/gpt-4o-mini}`",
            ),
        ),
        ({"agents": "tax"}, (("agents",), "must be a list, not a text: write `agents: [billing]`")),
        (
            {"weights": ["a"]},
            (("weights",), "must be a section (name: value), not a list: write `weights: {NAME: 1.0}`"),
        ),
        ({"either": 5}, (("either",), "must be text or true or false")),
        ({"agents": None}, (("agents",), "must be a list, not nothing: write `agents: [billing]`")),
    ],
)  # fmt: skip
def test_the_right_form_is_told_and_never_the_value(given: dict[str, Any], wanted: tuple[Any, str]) -> None:
    assert faults(Options, given) == [wanted]


def test_the_form_that_is_told_is_right() -> None:
    assert faults(Options, {"rules": [{"name": "TEXT", "target": "openai/gpt-4o-mini"}]}) == []


@pytest.mark.parametrize(
    ("path", "values", "words"),
    [
        (("limits",), {"limits": 5}, "not a number: write `limits: {output_tokens: 4096}`"),
        (("agents", "a"), {"agents": {"a": "x"}}, "not a text: write `a: {cache: true}`"),
        (("plugins", "pii"), {"plugins": {"pii": False}}, "not false: write `pii: {enabled: false}`"),
        (("aliases", "a"), {"aliases": {"a": []}}, "not a list: write `a: {model: gpt-4o-mini}`"),
        (("upstreams",), {"upstreams": []}, "write `upstreams: {NAME: {url: https://api.openai.com/v1}}`"),
    ],
)
def test_sections_of_the_configuration_have_examples_too(path: Any, values: Any, words: str) -> None:
    assert words in str(shape("model_type", Settings, path, values))


def test_other_findings_have_none() -> None:
    assert shape("int_type", Settings, ("port",), {"port": "x"}) is None


def test_what_is_no_option_has_no_type() -> None:
    assert hint(Options, ("nope",)) is None
    assert hint(Options, ("rules", "0", "name")) is str
    assert hint(Options, ("either", "bool")) is None
    assert hint(Settings, ("upstreams", "x", "timeouts", "idle_s")) is float


def test_kinds_of_values_have_names() -> None:
    values: list[Any] = [None, True, 1.5, "x", [], {}]
    assert [named(value) for value in values] == [
        "nothing", "true", "a number", "a text", "a list", "a section",
    ]  # fmt: skip
