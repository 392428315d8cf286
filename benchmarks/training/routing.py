"""Trains what the router ships with: which texts gain from a strong model, by public results of each question."""

from __future__ import annotations

import gzip
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.routing.features import CLASSES, KIND, NAMES, read
from plugins.routing.quality import FARTHEST, FEW_WORDS, PACKAGED, Prior

Numbers = NDArray[np.float64]
Row = dict[str, Any]
CORPUS = Path(__file__).parents[1] / "corpora" / "routing"
STATE = Path(__file__).parents[2] / "plugins" / "routing" / PACKAGED
VERSION = "2"
RARE = 40
"""Texts that a word must be in: so many that no question is remembered by its words."""
PENALTY = 40.0
NINE = 0.4
"""What a question put to nine models counts, beside one put to a strong and a weak one."""
STRONG = ("llama-3.1-nemotron-51b-instruct", "llama-3.3-nemotron-super-49b-v1")
CHEAP = ("mistral-7b-instruct-v0.3", "llama-3.1-8b-instruct", "gemma-2-9b-it", "qwen2.5-7b-instruct")
FOLDS = 5


@dataclass(frozen=True, slots=True)
class Sample:
    """Texts, what a strong model gains on each (-1 to 1), and what each counts."""

    texts: list[str]
    gain: Numbers
    counts: Numbers

    def of(self, places: NDArray[np.intp]) -> Sample:
        return Sample([self.texts[at] for at in places], self.gain[places], self.counts[places])

    def __add__(self, other: Sample) -> Sample:
        return Sample(
            self.texts + other.texts, np.r_[self.gain, other.gain], np.r_[self.counts, other.counts]
        )  # fmt: skip


def rows(name: str) -> list[Row]:
    with gzip.open(CORPUS / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def two_models(found: list[Row]) -> Sample:
    gain = np.array([float(row["strong_ok"]) - float(row["weak_ok"]) for row in found])
    return Sample([row["text"] for row in found], gain, np.ones(len(found)))


def nine_models(found: list[Row]) -> Sample:
    gain = np.array([mean(row, STRONG) - mean(row, CHEAP) for row in found])
    return Sample([row["question"] for row in found], gain, np.full(len(found), NINE))


def mean(row: Row, models: Sequence[str]) -> float:
    return float(np.mean([row["scores"][model] for model in models]))


def mean_of(found: list[Row], model: str) -> float:
    """The mean score of one of the nine."""
    return float(np.mean([row["scores"][model] for row in found]))


def folds(size: int, seed: int = 0) -> NDArray[np.int64]:
    """For each row the fold that it is held out in."""
    return np.random.default_rng(seed).permutation(size) % FOLDS


def run() -> None:
    """Trains, writes `plugins/routing/prior.json` and says what came of it. Half a minute on one core."""
    pairs, nine = two_models(rows("strong_weak")), nine_models(rows("nine_models"))
    state = fitted(pairs + nine) | turned(pairs, held_out(pairs, nine)[0])
    STATE.write_text(json.dumps(state, indent=1, ensure_ascii=True) + "\n")
    sys.stdout.write(f"{STATE.name}: {STATE.stat().st_size} bytes, {len(state['words'])} words\n")


def turned(pairs: Sample, told: Numbers) -> Row:
    """What turns the gain that was foretold for texts held out into the chance that the cheap model suffices."""
    suffices = np.array([gain <= 0 for gain in pairs.gain], np.float64)
    slope, intercept = calibrated(told, suffices)
    return {
        "slope": round(slope, 5), "intercept": round(intercept, 5), "base": round(float(suffices.mean()), 5),
        "version": VERSION,
    }  # fmt: skip


def of_pairs(pairs: Sample) -> Prior:
    """A state that has seen nothing but these."""
    nothing = Sample([], np.zeros(0), np.zeros(0))
    return Prior.parse(json.dumps(fitted(pairs) | turned(pairs, held_out(pairs, nothing)[0])).encode())


def held_out(pairs: Sample, nine: Sample, seed: int = 0) -> tuple[Numbers, Numbers]:
    """The gain that states foretell for texts which they were not trained on."""
    where, other = folds(len(pairs.texts), seed), folds(len(nine.texts), seed + 100)
    told, also = np.zeros(len(where)), np.zeros(len(other))
    for fold in range(FOLDS):
        prior = plain(fitted(pairs.of(np.flatnonzero(where != fold)) + nine.of(np.flatnonzero(other != fold))))
        told[where == fold] = gains(prior, [pairs.texts[at] for at in np.flatnonzero(where == fold)])
        also[other == fold] = gains(prior, [nine.texts[at] for at in np.flatnonzero(other == fold)])
    return told, also


def plain(state: Row) -> Prior:
    """A state whose log odds are the gain, turned round: of no use but to put texts in order."""
    return Prior.parse(json.dumps(state | {"slope": -1.0, "intercept": 0.0, "base": 0.5, "version": "fold"}).encode())


def gains(prior: Prior, texts: Sequence[str]) -> Numbers:
    return np.array([-prior.judge(text).shift for text in texts])


def fitted(sample: Sample) -> Row:
    """Weights by ridge regression of the gain."""
    found = [read(text) for text in sample.texts]
    raw = np.array([shape for shape, _ in found])
    middle, scale = raw.mean(0), np.maximum(raw.std(0), 1e-3)
    numbers = np.clip((raw - middle) / scale, -FARTHEST, FARTHEST) / np.sqrt(len(NAMES))
    seen = Counter(word for _, words in found for word in words)
    names = sorted(word for word, times in seen.items() if times >= RARE)
    data = np.c_[numbers, _table(found, names)]
    weights, bias = ridge(data, sample.gain, sample.counts)
    numbered, worded = weights[: len(NAMES)] / np.sqrt(len(NAMES)), weights[len(NAMES) : -len(CLASSES)]
    return {
        "shape": [
            {"name": name, "middle": round(float(m), 5), "scale": round(float(s), 5), "weight": round(float(w), 6)}
            for name, m, s, w in zip(NAMES, middle, scale, numbered, strict=True)
        ],
        "words": {name.decode(): round(float(w), 4) for name, w in zip(names, worded, strict=True) if abs(w) >= 5e-5},
        "kinds": {kind: round(float(w), 4) for kind, w in zip(CLASSES, weights[-len(CLASSES) :], strict=True)},
        "bias": round(bias, 6),
    }


def ridge(data: Numbers, wanted: Numbers, counts: Numbers) -> tuple[Numbers, float]:
    """Weights and bias of least squares, the weights held small."""
    share = counts / counts.mean()
    middle = (data * share[:, None]).sum(0) / share.sum()
    level = float((wanted * share).sum() / share.sum())
    centred = data - middle
    weighed = centred * share[:, None]
    weights = np.linalg.solve(weighed.T @ centred + PENALTY * np.eye(data.shape[1]), weighed.T @ (wanted - level))
    return weights, level - float(middle @ weights)


def calibrated(gain: Numbers, suffices: Numbers) -> tuple[float, float]:
    """Slope and intercept of the log odds that a cheap model suffices (Newton's method)."""
    data, found = np.c_[gain, np.ones(len(gain))], np.zeros(2)
    for _ in range(30):
        told = 1.0 / (1.0 + np.exp(-data @ found))
        bend = (data * (told * (1.0 - told))[:, None]).T @ data + 1e-9 * np.eye(2)
        found = found + np.linalg.solve(bend, data.T @ (suffices - told))
    return float(found[0]), float(found[1])


def _table(found: list[tuple[list[float], Counter[bytes]]], names: list[bytes]) -> Numbers:
    """A column for each word, then one for each kind of words."""
    place, kinds = {name: at for at, name in enumerate(names)}, list(CLASSES)
    table = np.zeros((len(found), len(names) + len(kinds)))
    for number, (_, words) in enumerate(found):
        much = max(FEW_WORDS, words.total()) ** -0.5
        for word, times in words.items():
            if word in place:
                table[number, place[word]] = times * much
            if word in KIND:
                table[number, len(names) + kinds.index(KIND[word])] += times * much
    return table
