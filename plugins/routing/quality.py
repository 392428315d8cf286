"""How likely a cheap model suffices for a text: a linear model over shape and words, shipped as a small JSON file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from math import exp, log, log1p, sqrt
from operator import mul
from types import MappingProxyType
from typing import NamedTuple

from plugins.routing.features import CLASSES, KIND, MOST_CHARS, NAMES, parts
from proxy.errors import ConfigError

PACKAGED = "prior.json"
FEW_WORDS = 8
"""A text with fewer words is weighed as if it had so many: one word must not decide."""
FARTHEST = 3.0
"""Standard deviations that one number may be off."""


Shape = tuple[float, float, float, float, float, float, float, float]


class Judged(NamedTuple):
    """What the shipped state says of a text."""

    score: float
    """Probability that a cheap model's answer is as good as a strong one's."""
    shift: float
    """Its log odds beyond those of the usual text: above 0 is easier."""
    shape: Shape
    """Its numbers, in standard deviations."""
    reasons: tuple[str, ...]
    """The numbers and words that weigh most, each with `+` (easier) or `-` (harder)."""


@dataclass(frozen=True, slots=True)
class Prior:
    """The weights. What they sum up to is the gain that is to be had from a strong model: the share of such texts that
    it alone gets right, less those that the cheap one alone does."""

    scales: tuple[tuple[float, ...], ...]
    """For each number what a count is in standard deviations: looked up, not computed."""
    weights: tuple[float, ...]
    words: Mapping[bytes, float]
    """Of the words that were learnt alone."""
    told: dict[bytes, float]
    """Of all words, by themselves and by their kinds."""
    bias: float
    slope: float
    """Of the gain, in log odds that the cheap model suffices."""
    intercept: float
    base: float
    """Share of the texts trained on for which the cheap model sufficed."""
    usual: float
    """The log odds of the usual text."""
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
            scales = tuple(_scale(float(one["middle"]), float(one["scale"])) for one in given["shape"])
            weights = tuple(float(one["weight"]) for one in given["shape"])
            words = {word.encode(): float(weight) for word, weight in given["words"].items()}
            kinds = {kind: float(given["kinds"][kind]) for kind in CLASSES}
            told = words | {word: words.get(word, 0.0) + kinds[kind] for word, kind in KIND.items()}
            bias, slope, intercept, base = (float(given[name]) for name in ("bias", "slope", "intercept", "base"))
            return cls(
                scales, weights, MappingProxyType(words), told, bias, slope, intercept, base,
                log(base / (1.0 - base)), str(given["version"]),
            )  # fmt: skip
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{PACKAGED} of the router is no state of this version: install weir-proxy again"
            ) from error

    def judge(self, text: str, *, why: bool = False) -> Judged:
        """The judgement on a text; with `why` also what weighs most in it."""
        (a, b, c, d, e, f, g, h), listed = parts(text)
        size, (sa, sb, sc, sd, se, sf, sg, sh) = len(listed), self.scales
        shape = (sa[a], sb[b], sc[c], sd[d], se[e], sf[f], sg[g], sh[h])
        worded = sum(filter(None, map(self.told.get, listed)))
        gain = self.bias + worded / sqrt(size if size > FEW_WORDS else FEW_WORDS) + sum(map(mul, shape, self.weights))
        logit = self.intercept + self.slope * gain
        return Judged(chance(logit), logit - self.usual, shape, self._reasons(shape, listed) if why else ())

    def _reasons(self, shape: Shape, listed: Sequence[bytes]) -> tuple[str, ...]:
        root = sqrt(max(FEW_WORDS, len(listed)))
        found = [(value * weight, name) for value, weight, name in zip(shape, self.weights, NAMES, strict=True)]
        counted = Counter(listed).items()
        found += [(times * self.told.get(word, 0.0) / root, f"word {word.decode()}") for word, times in counted]
        heaviest = sorted(found, key=lambda part: (-abs(part[0]), part[1]))[:5]
        return tuple(f"{'-' if gain > 0 else '+'}{name}" for gain, name in heaviest if gain)


def _scale(middle: float, scale: float) -> tuple[float, ...]:
    return tuple(
        max(-FARTHEST, min(FARTHEST, (log1p(count) - middle) / scale)) for count in range(MOST_CHARS + 1)
    )  # fmt: skip


def chance(logit: float) -> float:
    """Log odds as a probability."""
    return 1.0 / (1.0 + exp(-logit if -40.0 < logit < 40.0 else -40.0 if logit > 0.0 else 40.0))


def logit(probability: float) -> float:
    """A probability as log odds, within bounds."""
    bounded = max(1e-4, min(1.0 - 1e-4, probability))
    return log(bounded / (1.0 - bounded))
