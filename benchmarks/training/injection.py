"""Trains the injection classifier and writes its file: weights, calibration and thresholds, all from data at hand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.training import corpus, learn
from plugins.injection.classifier import PACKAGED, Model, packed
from plugins.injection.judge import HEAVIEST, PIECE_CHARS
from plugins.injection.mention import used
from plugins.injection.normalise import normal
from plugins.injection.rules import Rules, weight

FOLDS = 5
PENALTY = 3e-5
MOST_FEATURES = 40_000
"""Weights that are kept: those that matter most."""
RATES = (0.2, 0.1, 0.05, 0.03, 0.02, 0.015, 0.01, 0.0075, 0.005, 0.003, 0.002, 0.001, 0.0005)
"""Rates of harmless texts whose scores are kept with the model."""
MODEL = Path(__file__).parents[2] / "plugins" / "injection" / PACKAGED
VERSION = "1"


def run() -> None:
    """Trains, writes `plugins/injection/model.bin` and says what came of it. Some minutes on one core."""
    rows = corpus.everything()
    texts = [normal(row["text"]) for row in rows]
    packaged = Rules.packaged()
    rules = np.array([heavy(packaged, text) for text in texts])
    features = [learn.named(text) for text in texts]
    sums = held_out(rows, features, texts)
    coefficients = calibrated(rows, sums, rules)
    logits = coefficients[0] * sums + coefficients[1] * rules + coefficients[2]
    model = trained(rows, features, coefficients, quantiles(rows, logits))
    MODEL.write_bytes(model)
    sys.stdout.write(f"{MODEL.name}: {len(model)} bytes of {len(rows)} texts, coefficients {coefficients.round(3)}\n")


def heavy(rules: Rules, text: str) -> float:
    """The weight of the rules on a text, as the judge takes it."""
    text = text[:PIECE_CHARS]
    return min(weight(rules.match(used(text, quotes=True) or text)), HEAVIEST)


def held_out(rows: list[corpus.Row], features: list[list[str]], texts: list[str]) -> learn.Numbers:
    """What models say of texts whose whole source they were not trained on."""
    where, files = _folds(rows, features)
    models = [Model.parse(data, "a model in training") for data in files]
    judged = [0.0 if corpus.own(row) else 1.0 for row in rows]
    for at, row in enumerate(rows):
        if judged[at]:
            judged[at] = models[where[corpus.group(row)]].sum(texts[at])
    return np.array(judged)


def fold_files() -> tuple[dict[str, int], list[bytes]]:
    """By group of sources the fold that it is held out in, and for each fold the model that did not see it."""
    rows = corpus.everything()
    return _folds(rows, [learn.named(normal(row["text"])) for row in rows])


def _folds(rows: list[corpus.Row], features: list[list[str]]) -> tuple[dict[str, int], list[bytes]]:
    where = corpus.folds([row for row in rows if not corpus.own(row)], FOLDS)
    files = []
    for fold in range(FOLDS):
        inside = [at for at, row in enumerate(rows) if corpus.own(row) or where[corpus.group(row)] != fold]
        files.append(_file([rows[at] for at in inside], [features[at] for at in inside], _plain()))
    return where, files


def calibrated(rows: list[corpus.Row], sums: learn.Numbers, rules: learn.Numbers) -> learn.Numbers:
    """Slope of the sum, slope of the rules and bias that make log odds of them, from texts held out."""
    kept = np.array([not corpus.own(row) for row in rows])
    judged = [row for row in rows if not corpus.own(row)]
    labels = np.array([row["label"] for row in judged])
    return learn.stacked(np.c_[sums, rules][kept], labels, learn.balance(judged))


def quantiles(rows: list[corpus.Row], logits: learn.Numbers) -> list[tuple[float, float]]:
    """Log odds that a share of the harmless development texts reaches when their sources are held out."""
    harmless = logits[np.array([row.get("split") == "dev" and not row["label"] for row in rows])]
    return [(rate, round(float(np.quantile(harmless, 1 - rate)), 4)) for rate in RATES]


def trained(
    rows: list[corpus.Row], features: list[list[str]], coefficients: learn.Numbers, table: list[tuple[float, float]]
) -> bytes:
    """The file of a model of all texts."""
    header = {
        "slope": round(float(coefficients[0]), 6), "rules": round(float(coefficients[1]), 6),
        "bias": round(float(coefficients[2]), 6), "quantiles": table, "version": VERSION,
    }  # fmt: skip
    return _file(rows, features, header)


def _plain() -> dict[str, Any]:
    return {"slope": 1.0, "rules": 0.0, "bias": 0.0, "quantiles": [], "version": VERSION}


def _file(rows: list[corpus.Row], features: list[list[str]], header: dict[str, Any]) -> bytes:
    names, speaks, against = learn.vocabulary(rows, features)
    labels = np.array([float(row["label"]) for row in rows])
    weights, _ = learn.fit(learn.table(features, names), labels, learn.balance(rows), speaks, against, PENALTY)
    kept = np.argsort(-np.abs(weights), kind="stable")[:MOST_FEATURES]
    scale = float(np.quantile(np.abs(weights[kept]), 0.999)) / 127
    steps = {names[at]: int(np.clip(np.rint(weights[at] / scale), -127, 127)) for at in kept}
    return packed({**header, "scale": scale}, {name: step for name, step in steps.items() if step})
