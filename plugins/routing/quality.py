"""How likely a cheap model suffices for a text: a linear model over shape and words, shipped as a small JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from math import exp, log, sqrt
from types import MappingProxyType

from plugins.routing.features import NAMES, read
from proxy.errors import ConfigError

PACKAGED = "prior.json"
FEW_WORDS = 8
"""A text with fewer words is weighed as if it had so many: one word must not decide."""
FARTHEST = 3.0
"""Standard deviations that one number may be off."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the shipped state says of a text."""

    score: float
    """Probability that a cheap model's answer is as good as a strong one's."""
    shift: float
    """Its log odds beyond those of the usual text: above 0 is easier."""
    shape: tuple[float, ...]
    """Its numbers, in standard deviations."""
    reasons: tuple[str, ...]
    """The numbers and words that weigh most, each with `+` (easier) or `-` (harder)."""


@dataclass(frozen=True, slots=True)
class Prior:
    """The weights. What they sum up to is the gain that is to be had from a strong model: the share of such texts that
    it alone gets right, less those that the cheap one alone does."""

    middle: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    words: Mapping[bytes, float]
    vocabulary: frozenset[bytes]
    bias: float
    slope: float
    """Of the gain, in log odds that the cheap model suffices."""
    intercept: float
    base: float
    """Share of the texts trained on for which the cheap model sufficed."""
    version: str

    @classmethod
    def packaged(cls) -> Prior:
        """The state that comes with the package."""
        return cls.parse(resources.files("plugins.routing").joinpath(PACKAGED).read_bytes())

    @classmethod
    def parse(cls, data: bytes) -> Prior:
        """Raises ConfigError where the file is none of this version."""
        try:
            given = json.loads(data)
            if [number["name"] for number in given["shape"]] != list(NAMES):
                raise ValueError("other numbers")
            middle, scale, weights = (
                tuple(float(one[part]) for one in given["shape"]) for part in ("middle", "scale", "weight")
            )
            words = {word.encode(): float(weight) for word, weight in given["words"].items()}
            bias, slope, intercept, base = (float(given[name]) for name in ("bias", "slope", "intercept", "base"))
            version = str(given["version"])
            return cls(
                middle, scale, weights, MappingProxyType(words), frozenset(words), bias, slope, intercept, base, version
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{PACKAGED} of the router is no state of this version: install weir-proxy again"
            ) from error

    @property
    def usual(self) -> float:
        """The log odds of the usual text."""
        return log(self.base / (1.0 - self.base))

    def judge(self, text: str, *, why: bool = False) -> Judged:
        """The judgement on a text; with `why` also what weighs most in it."""
        raw, words = read(text)
        shape = [
            FARTHEST if value > FARTHEST else -FARTHEST if value < -FARTHEST else value
            for value in [
                (one - middle) / scale for one, middle, scale in zip(raw, self.middle, self.scale, strict=True)
            ]
        ]
        known = map(self.words.__getitem__, words & self.vocabulary)
        gain = self.bias + sum([a * b for a, b in zip(shape, self.weights, strict=True)])
        gain += sum(known) / sqrt(max(FEW_WORDS, len(words)))
        logit = self.intercept + self.slope * gain
        return Judged(
            chance(logit), logit - self.usual, tuple(shape), self._reasons(shape, words) if why else ()
        )  # fmt: skip

    def _reasons(self, shape: list[float], words: set[bytes]) -> tuple[str, ...]:
        size = sqrt(max(FEW_WORDS, len(words)))
        parts = [(value * weight, name) for value, weight, name in zip(shape, self.weights, NAMES, strict=True)]
        parts += [(self.words[word] / size, f"word {word.decode()}") for word in words & self.vocabulary]
        heaviest = sorted(parts, key=lambda part: (-abs(part[0]), part[1]))[:5]
        return tuple(f"{'-' if gain > 0 else '+'}{name}" for gain, name in heaviest if gain)


def chance(logit: float) -> float:
    """Log odds as a probability."""
    return 1.0 / (1.0 + exp(-max(-40.0, min(40.0, logit))))


def logit(probability: float) -> float:
    """A probability as log odds, within bounds."""
    bounded = max(1e-4, min(1.0 - 1e-4, probability))
    return log(bounded / (1.0 - bounded))
