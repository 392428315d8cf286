"""Logistic regression over sparse features in plain numpy, the same to the last bit each time: Table, fit, stacked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.training.corpus import Row, group
from plugins.injection.features import read, tokens

Numbers = NDArray[np.float64]
MOST_WORDS = 900
"""Words of a text that are trained on."""
RARE = 4
"""Texts that a feature must be in."""
WITNESSES = 3
"""Sources that must bear out what a feature speaks for: one source's habits are not learnt."""
MEMORY = 8
"""Steps that the curvature is estimated from."""


@dataclass(frozen=True, slots=True)
class Table:
    """Texts as rows of known features, each row of length one in the sense of the classifier (one over the root)."""

    row: NDArray[np.int32]
    column: NDArray[np.int32]
    value: Numbers
    height: int
    names: list[str]

    def times(self, weights: Numbers) -> Numbers:
        """One sum for each text."""
        return np.asarray(np.bincount(self.row, self.value * weights[self.column], self.height), np.float64)

    def back(self, errors: Numbers) -> Numbers:
        """One sum for each feature."""
        return np.asarray(np.bincount(self.column, self.value * errors[self.row], len(self.names)), np.float64)


def named(text: str) -> list[str]:
    """The features of a text by the names that the model's file gives them."""
    singles, meanings, pairs = read(tokens(text)[:MOST_WORDS])
    return [*sorted(singles), *sorted(meanings), *sorted(f"{first} {second}" for first, second in pairs)]


def vocabulary(rows: list[Row], features: list[list[str]]) -> tuple[list[str], NDArray[np.bool_], NDArray[np.bool_]]:
    """Features worth a weight, and which of them may speak for an attack, which against."""
    seen = Counter(name for names in features for name in set(names))
    sides: tuple[defaultdict[str, set[str]], ...] = (defaultdict(set), defaultdict(set))
    for row, names in zip(rows, features, strict=True):
        for name in names:
            if seen[name] >= RARE:
                sides[row["label"]][name].add(group(row))
    known = sorted(n for n, count in seen.items() if count >= RARE and max(len(s[n]) for s in sides) >= WITNESSES)
    against, speaks = (np.array([len(side[name]) >= WITNESSES for name in known]) for side in sides)
    return known, speaks, against


def table(features: list[list[str]], names: list[str]) -> Table:
    """Texts in terms of these features."""
    place = {name: at for at, name in enumerate(names)}
    rows: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    for number, found in enumerate(features):
        known = [place[name] for name in found if name in place]
        rows += [number] * len(known)
        columns += known
        values += [max(len(known), 1) ** -0.5] * len(known)
    return Table(np.array(rows, np.int32), np.array(columns, np.int32), np.array(values), len(features), names)


def balance(rows: list[Row]) -> Numbers:
    """How much each text counts: a large source less for each text, attacks and harmless texts alike in all."""
    sizes = Counter((group(row), row["label"]) for row in rows)
    share = np.array([sizes[group(row), row["label"]] ** -0.5 for row in rows])
    labels = np.array([row["label"] for row in rows])
    for label in (0, 1):
        share[labels == label] /= share[labels == label].sum()
    return share


def fit(
    data: Table, labels: Numbers, share: Numbers, speaks: NDArray[np.bool_], against: NDArray[np.bool_], penalty: float
) -> tuple[Numbers, float]:
    """Weights and bias. A weight that too few sources bear out is dropped, and the rest learnt again."""
    free = np.ones(len(data.names))
    found = np.zeros(len(data.names) + 1)
    for _ in range(3):
        found = _descend(partial(_loss, data, labels, share, penalty, free), found, 40)
        wrong = ((found[:-1] > 0) & ~speaks) | ((found[:-1] < 0) & ~against)
        free = free * ~wrong
        found[:-1] *= free
    return found[:-1], float(found[-1])


def stacked(columns: Numbers, labels: Numbers, share: Numbers) -> Numbers:
    """Coefficients of few columns and, last, their bias (Newton's method)."""
    data = np.c_[columns, np.ones(len(columns))]
    found = np.zeros(data.shape[1])
    for _ in range(40):
        chance = 1 / (1 + np.exp(-np.clip(data @ found, -40, 40)))
        bend = (data * (share * chance * (1 - chance))[:, None]).T @ data + 1e-6 * np.eye(len(found))
        found = found - np.linalg.solve(bend, data.T @ (share * (chance - labels)) + 1e-6 * found)
    return found


def _loss(
    data: Table, labels: Numbers, share: Numbers, penalty: float, free: Numbers, at: Numbers
) -> tuple[float, Numbers]:
    weights = at[:-1] * free
    logits = data.times(weights) + at[-1]
    losses = np.logaddexp(0, np.where(labels == 1, -logits, logits))
    errors = (1 / (1 + np.exp(-np.clip(logits, -40, 40))) - labels) * share
    slope = np.append((data.back(errors) + penalty * weights) * free, errors.sum())
    return float((share * losses).sum() + 0.5 * penalty * (weights @ weights)), slope


def _descend(function: Callable[[Numbers], tuple[float, Numbers]], start: Numbers, steps: int) -> Numbers:
    """L-BFGS with halving steps (Nocedal and Wright, algorithm 7.4)."""
    at = start
    value, slope = function(at)
    past: list[tuple[Numbers, Numbers]] = []
    for _ in range(steps):
        way = -_turned(slope, past)
        length = 1.0 if past else 1.0 / max(float(np.abs(slope).sum()), 1e-12)
        for _ in range(20):
            ahead = at + length * way
            new_value, new_slope = function(ahead)
            if new_value <= value + 1e-4 * length * float(slope @ way):
                break
            length /= 2
        else:
            return at
        moved, bent = ahead - at, new_slope - slope
        if float(moved @ bent) > 1e-14:
            past = [*past, (moved, bent)][-MEMORY:]
        at, value, slope = ahead, new_value, new_slope
    return at


def _turned(slope: Numbers, past: list[tuple[Numbers, Numbers]]) -> Numbers:
    way: Any = slope.copy()
    parts = []
    for moved, bent in reversed(past):
        part = float(moved @ way) / float(moved @ bent)
        way = way - part * bent
        parts.append(part)
    if past:
        moved, bent = past[-1]
        way = way * (float(moved @ bent) / float(bent @ bent))
    for (moved, bent), part in zip(past, reversed(parts), strict=True):
        way = way + moved * (part - float(bent @ way) / float(moved @ bent))
    return np.asarray(way)
