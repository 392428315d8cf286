"""Routing: how much of a strong model's gain is kept for which share of its calls, on questions held out; the time."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.report import Table
from benchmarks.training import routing as training
from benchmarks.training.routing import Numbers, Row, Sample
from plugins.routing.choice import choose, explored, traits
from plugins.routing.learner import Learner
from plugins.routing.options import Model, Pool, RoutingOptions
from plugins.routing.plans import REFERENCE, Candidate, candidates
from plugins.routing.quality import Prior, chance
from proxy.clock import SystemClock
from proxy.exchange import Target
from proxy.store.memory import MemoryStore

STRONG_USD, WEAK_USD = 24.7, 0.24
"""For a million tokens: gpt-4-1106-preview and Mixtral-8x7B as RouteLLM has them (arXiv 2406.18665)."""
KEPT = 0.95
SEEDS = 3
RESAMPLES = 400
NINE_PAIRS = (
    ("llama-3.1-nemotron-51b-instruct", "mistral-7b-instruct-v0.3"),
    ("llama-3.1-nemotron-51b-instruct", "llama-3.1-8b-instruct"),
    ("llama-3.1-nemotron-51b-instruct", "gemma-2-9b-it"),
    ("llama-3.1-nemotron-51b-instruct", "qwen2.5-7b-instruct"),
)

LADDER = (
    ("mistral-7b-instruct-v0.3", 0.10), ("llama-3.1-8b-instruct", 0.12), ("llama-3.1-nemotron-51b-instruct", 0.45),
)  # fmt: skip
"""Models by their size, and what they are taken to cost."""
STRETCHES = ((0, 300), (300, 1000), (1000, 2000), (2000, 3800))


@dataclass(frozen=True, slots=True)
class Pair:
    """What a strong and a weak model made of the same questions."""

    strong: Numbers
    weak: Numbers

    def of(self, places: NDArray[np.int64]) -> Pair:
        return Pair(self.strong[places], self.weak[places])

    def curve(self, gain: Numbers) -> Numbers:
        """The mean quality where 0, 1, ... of the questions go to the strong model, those with most to gain first."""
        order = np.argsort(-gain, kind="stable")
        steps = np.cumsum((self.strong - self.weak)[order]) / len(order)
        return np.asarray(self.weak.mean() + np.r_[0.0, steps])

    def apgr(self, gain: Numbers) -> float:
        """The mean share of the gap between the models that is recovered, over all shares of strong calls."""
        low, high = float(self.weak.mean()), float(self.strong.mean())
        return float((self.curve(gain).mean() - low) / (high - low))

    def saved(self, gain: Numbers) -> float:
        """The share of the money that is spared where so much of the strong model's quality is kept."""
        curve = self.curve(gain)
        strong = int(np.argmax(curve >= KEPT * self.strong.mean())) / (len(curve) - 1)
        return 1.0 - (strong * STRONG_USD + (1.0 - strong) * WEAK_USD) / STRONG_USD


def run(arguments: argparse.Namespace) -> list[Table]:
    """The tables. Of the arguments none matters here."""
    two, nine = training.rows("strong_weak"), training.rows("nine_models")
    pairs, others = training.two_models(two), training.nine_models(nine)
    told = [training.held_out(pairs, others, seed) for seed in range(SEEDS)]
    return [
        _two_models(two, [one for one, _ in told]),
        _transfer(two, pairs, others),
        _nine_models(nine, [one for _, one in told]),
        _learnt(nine, pairs),
        _bars(two, [one for one, _ in told]),
        _times([*pairs.texts, *others.texts]),
    ]


def measured(pair: Pair, gains: Sequence[Numbers]) -> tuple[str, str]:
    """APGR and money spared: the mean over the splits, and the interval of the first by resampling the questions."""
    draw = np.random.default_rng(1)
    apgr, saved = [], []
    for _ in range(RESAMPLES):
        places = draw.integers(0, len(pair.strong), len(pair.strong))
        again = pair.of(places)
        if abs(again.strong.mean() - again.weak.mean()) > 1e-3:
            apgr.append(again.apgr(gains[0][places]))
            saved.append(again.saved(gains[0][places]))
    return (
        _spread(float(np.mean([pair.apgr(gain) for gain in gains])), apgr, "{:.3f}"),
        _spread(100 * float(np.mean([pair.saved(gain) for gain in gains])), [100 * one for one in saved], "{:.0f} %"),
    )


def _spread(value: float, again: Sequence[float], form: str) -> str:
    low, high = np.quantile(again, [0.025, 0.975])
    return f"{form.format(value)} [{form.format(low).removesuffix(' %')}, {form.format(high).removesuffix(' %')}]"


def _pair(rows: Sequence[Row]) -> Pair:
    return Pair(
        np.array([float(row["strong_ok"]) for row in rows]), np.array([float(row["weak_ok"]) for row in rows])
    )  # fmt: skip


def _two_models(rows: list[Row], gains: Sequence[Numbers]) -> Table:
    lines = []
    for name in ("MMLU and GSM8K", "MMLU", "GSM8K"):
        places = np.array([at for at, row in enumerate(rows) if row["task"].split("/")[0].upper() in name])
        pair = _pair([rows[at] for at in places])
        length = np.array([float(len(rows[at]["text"])) for at in places])
        chance_ = [np.random.default_rng(seed).random(len(places)) for seed in range(20)]
        apgr, saved = measured(pair, [gain[places] for gain in gains])
        best = pair.strong - pair.weak
        lines.append([
            f"{name}, n = {len(places):,} ({pair.weak.mean():.3f} to {pair.strong.mean():.3f})",
            apgr, saved,
            f"{np.mean([pair.apgr(one) for one in chance_]):.2f}; "
            f"{100 * np.mean([pair.saved(one) for one in chance_]):.0f} %",
            f"{pair.apgr(length):.2f}; {100 * pair.saved(length):.0f} %",
            f"{pair.apgr(best):.2f}; {100 * pair.saved(best):.0f} %",
        ])  # fmt: skip
    head = ["questions (weak to strong)", "APGR", f"saved at {KEPT:.0%}", "at random", "by length", "oracle"]
    about = (
        f"GPT-4 and Mixtral, features alone, {training.FOLDS} folds, mean of {SEEDS} splits; no question was trained on"
        f" in the fold it is judged in. Intervals (95 %) by resampling questions. Saved: share of the money at"
        f" {KEPT:.0%} of the strong model's quality, {STRONG_USD} and {WEAK_USD} USD for a million tokens, all"
        " questions counted alike."
    )
    return Table("Routing: a strong and a weak model", head, lines, [about])


def _transfer(rows: list[Row], pairs: Sample, nine: Sample) -> Table:
    maths = np.array([row["task"].startswith("gsm8k") for row in rows])
    lines = []
    for name, train, test in (
        ("MMLU to GSM8K", pairs.of(np.flatnonzero(~maths)), maths),
        ("GSM8K to MMLU", pairs.of(np.flatnonzero(maths)), ~maths),
        ("MMLU and nine models to GSM8K", pairs.of(np.flatnonzero(~maths)) + nine, maths),
        ("GSM8K and nine models to MMLU", pairs.of(np.flatnonzero(maths)) + nine, ~maths),
        ("nine models to MMLU and GSM8K", nine, maths | True),
    ):
        places = np.flatnonzero(test)
        prior = training.plain(training.fitted(train))
        gain = training.gains(prior, [rows[at]["text"] for at in places])
        apgr, saved = measured(_pair([rows[at] for at in places]), [gain])
        lines.append([name, f"{len(places):,}", apgr, saved])
    about = "Trained on one kind of questions, judged on another: what there is to gain is learnt best on own traffic."
    return Table("Routing: from one kind of questions to another", ["from, to", "n", "APGR", "saved"], lines, [about])


def _nine_models(rows: list[Row], gains: Sequence[Numbers]) -> Table:
    lines = []
    for strong, weak in NINE_PAIRS:
        pair = Pair(*(np.array([float(row["scores"][name]) for row in rows]) for name in (strong, weak)))
        apgr, saved = measured(pair, gains)
        best = pair.strong - pair.weak
        random = [np.random.default_rng(seed).random(len(rows)) for seed in range(20)]
        lines.append([
            f"{weak} ({pair.weak.mean():.3f}) or {strong} ({pair.strong.mean():.3f})", apgr, saved,
            f"{np.mean([pair.apgr(one) for one in random]):.2f}; "
            f"{100 * np.mean([pair.saved(one) for one in random]):.0f} %",
            f"{pair.apgr(best):.2f}",
        ])  # fmt: skip
    head = ["weak or strong", "APGR", f"saved at {KEPT:.0%}", "at random", "oracle"]
    about = f"n = {len(rows):,} questions of LLMRouter, held out as above; the same state and prices for every pair."
    return Table("Routing: pairs of nine models", head, lines, [about])


def _learnt(rows: list[Row], pairs: Sample) -> Table:
    """Calls of another kind than the state was trained on, one after the other, with the caller's word on each."""
    prior = training.of_pairs(pairs)
    lines = []
    for name, learns, explore in (
        ("the state alone", False, 0.0),
        ("learning", True, 0.0),
        ("learning, 5 % explore", True, 0.05),
    ):
        walked = [_walk(rows, prior, seed, learns=learns, explore=explore) for seed in range(SEEDS)]
        cells = []
        for start, end in STRETCHES:
            parts = [one[start:end] for one in walked]
            quality = float(np.mean([part[:, 0].mean() / part[:, 2].mean() for part in parts]))
            cost = float(np.mean([part[:, 1].mean() for part in parts])) / LADDER[-1][1]
            cells.append(f"{quality:.0%} for {cost:.0%}")
        lines.append([name, *cells])
    head = ["", *[f"calls {start + 1:,} to {end:,}" for start, end in STRETCHES]]
    about = (
        f"{len(rows):,} questions of LLMRouter in random order, {', '.join(name for name, _ in LADDER)} at the default"
        f" bar; mean of {SEEDS} orders. Quality and money as shares of what the last of them alone has; money by size"
        f" ({', '.join(str(cost) for _, cost in LADDER)} USD for a million tokens). Alone: {_alone(rows)}. The state is"
        " trained on MMLU and GSM8K only; what is learnt from is the score of the model that answered, nothing else."
    )
    return Table("Routing: learning from feedback, one call after the other", head, lines, [about])


def _alone(rows: list[Row]) -> str:
    best = training.mean_of(rows, LADDER[-1][0])
    return ", ".join(
        f"{name} {training.mean_of(rows, name) / best:.0%} for {cost / LADDER[-1][1]:.0%}" for name, cost in LADDER[:-1]
    )


def _walk(rows: list[Row], prior: Prior, seed: int, *, learns: bool, explore: float) -> Numbers:
    """Of each call in turn: quality, money, and the quality of the best model."""
    draw = np.random.default_rng(seed)
    learner, bar = Learner(MemoryStore(SystemClock())), RoutingOptions().bar
    models = tuple(Model(name) for name, _ in LADDER)
    able = candidates(Pool(asked=("*",), models=models), prior.base, lambda name: Target("", name))
    money, took = dict(LADDER), []

    def correct(candidate: Candidate, one: Sequence[float]) -> float:
        return learner.correction("", candidate.name, one)

    for place in draw.permutation(len(rows)):
        row = rows[place]
        judged = prior.judge(row["question"])
        found = [traits(one, judged, tools=False) for one in able]
        chosen = explored(str(place), explore, able) or choose(able, found, bar, correct).candidate
        score = float(row["scores"][chosen.name])
        if learns:
            learner.learn("", chosen.name, found[able.index(chosen)], score)
        took.append((score, money[chosen.name], float(row["scores"][LADDER[-1][0]])))
    return np.array(took)


def _bars(rows: list[Row], gains: Sequence[Numbers]) -> Table:
    """What an operator gets for a bar, by the calibration that ships."""
    shipped, pair = Prior.packaged(), _pair(rows)
    default = RoutingOptions().bar
    lines = []
    for bar in sorted({0.75, 0.78, 0.8, default, 0.84, 0.86}):
        cheap = np.array([chance(shipped.intercept + shipped.slope * gain) >= bar * REFERENCE for gain in gains[0]])
        kept = float(np.where(cheap, pair.weak, pair.strong).mean() / pair.strong.mean())
        by_chance = float(
            (cheap.mean() * pair.weak.mean() + (1 - cheap.mean()) * pair.strong.mean()) / pair.strong.mean()
        )
        spared = float(cheap.mean()) * (1 - WEAK_USD / STRONG_USD)
        mark = " (default)" if bar == default else ""
        lines.append([f"{bar}{mark}", f"{cheap.mean():.0%}", f"{kept:.1%}", f"{by_chance:.1%}", f"{spared:.0%}"])
    head = ["bar", "to the cheap model", "quality kept", "kept at random", "saved"]
    return Table("Routing: what a bar gives (MMLU and GSM8K, held out)", head, lines)


def _times(texts: Sequence[str]) -> Table:
    prior, lines = Prior.packaged(), []
    for name, size, number in (("200 B", 200, 400), ("1.5 KB", 1500, 400), ("50 KB", 50_000, 60)):
        found = list(_sized(texts, size, number + 20))
        for text in found[number:]:
            prior.judge(text)
        spent = sorted(_spent(prior, text) for text in found[:number])
        lines.append([name, f"{spent[number // 2]:.0f} us", f"{spent[int(number * 0.99)]:.0f} us", str(number)])
    return Table("Routing: time of one judgement, texts never seen", ["text", "p50", "p99", "n"], lines)


def _sized(texts: Sequence[str], size: int, number: int) -> Sequence[str]:
    whole = "\n".join(texts)
    step = max(1, (len(whole) - size) // number)
    return [whole[at * step : at * step + size] for at in range(number)]


def _spent(prior: Prior, text: str) -> float:
    start = time.perf_counter()
    prior.judge(text)
    return 1e6 * (time.perf_counter() - start)
