"""What an operator writes about tests: who is in them, which variants there are, and what a variant changes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, ClassVar, Literal

Unit = Literal["user", "session", "conversation"]
Surface = Literal["chat", "responses", "messages", "completions", "embeddings"]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
NAMES = "a name has letters, digits, '_', '.' and '-', 64 at most"
TESTS, VARIANTS = 32, 16
FIXED = frozenset({
    "background", "conversation", "input", "instructions", "messages", "metadata", "model", "n", "previous_response_id",
    "prompt", "safety_identifier", "store", "stream", "stream_options", "system", "tools", "user",
})  # fmt: skip
"""Parameters that say what is asked, by whom and in which form: a variant leaves them alone."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One arm of a test. What it does not name stays as the call has it."""

    example: ClassVar[str] = "{name: new, model: gpt-4o-mini}"
    name: str
    """Letters, digits, '_', '.' and '-'."""
    weight: float = 1.0
    """Its part of the test's traffic, against the weights of the others; 0: nobody gets it."""
    model: str = ""
    """The model or alias that is asked instead; the plugin `routing` then leaves it."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of the call to set, such as temperature; null takes one out. The answer's limit is only lowered."""
    system: str = ""
    """This version of the system prompt."""
    system_mode: Literal["replace", "prepend", "append"] = "replace"
    """Whether it stands for the system prompt of the call, before it or behind it."""
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Options of plugins that stand below this one, by plugin."""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no name of a variant: {NAMES}")
        if not (isfinite(self.weight) and 0 <= self.weight <= 1e9):
            raise ValueError("a weight must be 0 or more, and at most 1,000,000,000")
        fixed = sorted(FIXED & self.parameters.keys())
        if fixed:
            instead = {"model": "write it as `model`", "system": "write it as `system`"}.get(fixed[0])
            raise ValueError(f"a variant cannot set the parameter {fixed[0]!r}{f': {instead}' if instead else ''}")


@dataclass(frozen=True, slots=True)
class Trial:
    """One test: a share of the units, divided among variants."""

    example: ClassVar[str] = "{name: models, variants: [{name: old}, {name: new, model: gpt-4o-mini}]}"
    name: str
    """Letters, digits, '_', '.' and '-'."""
    variants: tuple[Variant, ...]
    """The arms, two or more for a comparison; one alone is a gradual roll-out."""
    unit: Unit = "conversation"
    """Who always gets the same: user, session or conversation. Without a user or session: the conversation."""
    salt: str = ""
    """Another salt assigns everybody anew."""
    share: float = 1.0
    """Share of the units that are in the test, 0 to 1; all others are served as if there were no test."""
    control: str = ""
    """The variant that the others are compared with; empty: the first."""
    active: bool = True
    """Whether anybody is assigned; where nobody is, calls go as they would without the test."""
    agents: tuple[str, ...] = ()
    """Only these agents, exact or ending in *; empty: all."""
    models: tuple[str, ...] = ()
    """Only calls that ask for these models, exact or ending in *; empty: all."""
    surfaces: tuple[Surface, ...] = ("chat", "responses", "messages", "completions")
    """Only calls of these dialects."""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no name of a test: {NAMES}")
        if not 0 <= self.share <= 1:
            raise ValueError("share must be between 0 and 1")
        if not 1 <= len(self.variants) <= VARIANTS:
            raise ValueError(f"a test needs variants: 1 at least, {VARIANTS} at most")
        if not any(variant.weight > 0 for variant in self.variants):
            raise ValueError("no variant of the test has a weight above 0, so nobody could be assigned")
        names = [variant.name for variant in self.variants]
        if twice := repeated(names):
            raise ValueError(f"two variants of the test are called {twice!r}: each needs a name of its own")
        if self.control and self.control not in names:
            raise ValueError(f"control must be one of the test's variants ({', '.join(names)}), not {self.control!r}")

    @property
    def baseline(self) -> str:
        """The name of the variant that the others are compared with."""
        return self.control or self.variants[0].name


@dataclass(frozen=True, slots=True)
class VariantsOptions:
    """Tests that are under way."""

    tests: tuple[Trial, ...] = ()
    """The tests; a call may be in several. Where two change the same, the later one does."""

    def __post_init__(self) -> None:
        if len(self.tests) > TESTS:
            raise ValueError(f"at most {TESTS} tests at once")
        if twice := repeated(test.name for test in self.tests):
            raise ValueError(f"two tests are called {twice!r}: each needs a name of its own")


def repeated(names: Iterable[str]) -> str:
    """The first name that comes a second time; empty where none does."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""
