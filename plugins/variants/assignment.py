"""Who gets which variant, pure: hashed from unit and test, so that every worker says the same and nothing is kept.

Whether a unit is in a test says one hash, which variant it gets the hashes of the unit with each of them (weighted
rendezvous: the greatest of `log(hash) / weight` wins). So a share that grows moves nobody between variants, and a
weight that changes moves no more units than it must.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

from xxhash import xxh3_64_intdigest as digest

from plugins.variants.options import Trial, Variant

_WHOLE = 1 << 64
_SCALE = 2.0**-64


class Arm:
    """A variant that somebody may get."""

    __slots__ = ("label", "seed", "variant", "weight")

    def __init__(self, test: Trial, variant: Variant) -> None:
        self.variant = variant
        self.label = f"{test.name}={variant.name}"
        """As it stands in `exchange.variant`."""
        self.seed = _seed(test.name, test.salt, variant.name)
        self.weight = variant.weight


class Assignment:
    """Of one test."""

    __slots__ = ("_arms", "_bound", "_even", "_seed", "test")

    def __init__(self, test: Trial) -> None:
        self.test = test
        self._arms: Sequence[Arm] = [Arm(test, variant) for variant in test.variants if variant.weight > 0]
        self._even = len({arm.weight for arm in self._arms}) == 1
        self._bound = round(test.share * _WHOLE)
        self._seed = _seed(test.name, test.salt)

    def of(self, unit: bytes) -> Arm | None:
        """What this unit gets; None where it is not in the test."""
        if self._bound < _WHOLE and digest(unit, self._seed) >= self._bound:
            return None
        if self._even:  # (the greatest hash has the greatest logarithm)
            highest, found = -1, None
            for arm in self._arms:
                drawn = digest(unit, arm.seed)
                if drawn > highest:
                    highest, found = drawn, arm
            return found
        best, found = float("-inf"), None
        for arm in self._arms:
            score = log((digest(unit, arm.seed) + 1) * _SCALE) / arm.weight
            if score > best:
                best, found = score, arm
        return found


def unit_of(kind: str, tenant: str, name: str) -> bytes:
    """A user, session or conversation as it is hashed; the same name of another tenant is somebody else."""
    return f"{kind}\0{tenant}\0{name}".encode("utf-8", "surrogatepass")


def _seed(*parts: str) -> int:
    return digest("\0".join(parts).encode())
