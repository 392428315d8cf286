"""A plugin's own options, judged and described."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from proxy.configuration.options import faults, reference, validate
from proxy.errors import ConfigError
from proxy.plugin import NoOptions


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """Of a guard."""

    threshold: float = 0.5
    """From which score on a text
    is refused."""
    action: Literal["refuse", "replace"] = "refuse"
    """What happens."""
    words: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    named: Mapping[str, Rule] = field(default_factory=dict)
    best: Rule | None = None

    def __post_init__(self) -> None:
        if self.threshold > 1:
            raise ValueError("threshold must be at most 1")


@dataclass(frozen=True, slots=True)
class More(Options):
    extra: int = 0
    """More."""


def test_given_options_come_back_plain_and_others_stay_out() -> None:
    given = {"threshold": 1, "words": ["a"], "rules": [{"name": "r"}], "best": {"name": "b"}}
    assert validate(Options, given) == {
        "threshold": 1.0,
        "words": ["a"],
        "rules": [{"name": "r", "weight": 1.0}],
        "best": {"name": "b", "weight": 1.0},
    }
    assert validate(NoOptions, {}) == {}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"treshold": 1}, "o.treshold: there is no such option; did you mean threshold?"),
        ({"threshold": "0.5"}, "o.threshold: must be a number"),
        ({"action": "drop"}, "o.action: must be one of 'refuse', 'replace'"),
        ({"words": "a"}, "o.words: must be a list"),
        ({"rules": [{"nam": "x"}]}, "o.rules.0.nam: there is no such option; did you mean name?"),
        ({"named": {"a": {"name": "x", "wait": 1}}}, "o.named.a.wait: there is no such option"),
        ({"best": {"name": "x", "wait": 1}}, "o.best.wait: there is no such option"),
        ({"rules": [{}]}, "o.rules.0.name: is missing"),
        ({"threshold": 2}, "o: threshold must be at most 1"),
    ],
)
def test_a_wrong_option_is_told_with_its_key(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(Options, given, "o")
    assert str(caught.value).startswith(words)


def test_everything_that_is_wrong_is_told() -> None:
    assert [path for path, _ in faults(Options, {"a": 1, "threshold": "x", "action": 5})] == [
        ("a",), ("threshold",), ("action",),
    ]  # fmt: skip


def test_the_reference_is_what_stands_under_the_fields() -> None:
    rows = reference(More)
    assert rows[0] == ("threshold", "float", 0.5, "From which score on a text is refused.")
    assert rows[1][3] == "What happens."
    assert rows[2] == ("words", "tuple[str, ...]", (), "")
    assert rows[4][2] == {}
    assert rows[-1] == ("extra", "int", 0, "More.")
