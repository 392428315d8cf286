"""Prompt injection: what is caught, and what is flagged for nothing, by models that never saw the source; the time."""

from __future__ import annotations

import argparse
import base64
import codecs
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from benchmarks.quality import rival
from benchmarks.quality.report import Table, rate
from benchmarks.training import corpus
from benchmarks.training import injection as training
from plugins.injection.classifier import Model
from plugins.injection.judge import Judge
from plugins.injection.position import Position
from plugins.injection.rules import Rules

ATTACKS = ("direct", "jailbreak", "indirect", "multilingual", "obfuscated")
HARMLESS = ("benign", "benign-hard", "benign-encoded")
WANTED = 0.005
"""Rate of harmless texts at which everybody's threshold is set: half of what is allowed."""
CLASSIC = re.compile(
    r"ignore (?:all )?(?:the )?(?:previous|above) instructions?|you are now|pretend (?:you are|to be)"
    r"|system: |\[INST\]|<\|im_start\|>",
    re.IGNORECASE,
)
"""The six of the specification."""
LEET = str.maketrans("aeiost", "431057")
LOOKALIKE = str.maketrans("aceopxyi", "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0456")
DISGUISES: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "base64": lambda text: base64.b64encode(text.encode()).decode(),
        "hex": lambda text: text.encode().hex(),
        "rot13": lambda text: codecs.encode(text, "rot13"),
        "leet": lambda text: text.translate(LEET),
        "spaced": " ".join,
        "lookalikes": lambda text: text.translate(LOOKALIKE),
        "zero-width": lambda text: "\u200b".join(text),
        "reversed": lambda text: text[::-1],
        "scrambled": lambda text: re.sub(r"[A-Za-z]{4,}", lambda found: _stirred(found[0]), text),
    }
)
NEAR_AT: tuple[Position, ...] = ("user", "tool")
HALVES = MappingProxyType(
    {"held": "not trained on", "later": "not trained on", "last": "not trained on", "dev": "trained on"}
)
Scores = Sequence[float]


def run(arguments: argparse.Namespace) -> list[Table]:
    """The tables. `peers`, `folder` and `misses` as in `benchmarks.quality`."""
    rows = corpus.development()
    judges = held_out(rows)
    ours = [judges[corpus.group(row)].judge(row["text"]).score for row in rows]
    systems: dict[str, Scores] = {
        "Weir (sources held out)": ours,
        "six regular expressions": [float(CLASSIC.search(row["text"]) is not None) for row in rows],
    }
    notes = []
    if arguments.peers:
        found, missing = rival.scores(arguments.folder, [row["text"] for row in rows])
        systems |= found
        notes = [f"Not installed: {name}." for name in missing]
    tables = [
        _caught(rows, systems, notes), _places(rows, judges), _near(), _disguised(rows, judges, ours), _times(rows),
    ]  # fmt: skip
    if arguments.misses:
        tables.append(_misses(rows, ours))
    return tables


def held_out(rows: list[corpus.Row]) -> dict[str, Judge]:
    """For each group of sources a judge whose classifier was trained without it, calibrated as the one that ships."""
    shipped, rules = Model.packaged(), Rules.packaged()
    where, files = training.fold_files()
    judges = []
    for data in files:
        model = Model.parse(data, "a fold's model")
        same = replace(model, slope=shipped.slope, rules=shipped.rules, bias=shipped.bias, quantiles=shipped.quantiles)
        judges.append(Judge(rules, same))
    return {name: judges[fold] for name, fold in where.items()}


def threshold(rows: list[corpus.Row], scores: Scores) -> float:
    """What a score must exceed so that the wanted rate of harmless texts does."""
    harmless = [score for row, score in zip(rows, scores, strict=True) if row["category"] in HARMLESS[:2]]
    return float(np.quantile(harmless, 1 - WANTED))


def area(rows: list[corpus.Row], scores: Scores) -> float:
    """The chance that an attack scores higher than a harmless text, equal scores counted half."""
    values = np.array(scores)
    labels = np.array([row["label"] for row in rows])
    harmless = np.sort(values[labels == 0])
    attacks = values[labels == 1]
    below = np.searchsorted(harmless, attacks, "left") + np.searchsorted(harmless, attacks, "right")
    return float(below.mean() / (2 * len(harmless)))


def _caught(rows: list[corpus.Row], systems: Mapping[str, Scores], notes: Sequence[str]) -> Table:
    lines = []
    cells: dict[str, list[str]] = {name: [] for name in systems}
    for category in (*ATTACKS, *HARMLESS):
        for name, scores in systems.items():
            limit = min(threshold(rows, scores), 0.5) if set(scores) <= {0.0, 1.0} else threshold(rows, scores)
            flags = [s > limit for row, s in zip(rows, scores, strict=True) if row["category"] == category]
            cells[name].append(rate(sum(flags), len(flags)))
    for at, category in enumerate((*ATTACKS, *HARMLESS)):
        lines.append([category, *(found[at] for found in cells.values())])
    macro = [
        sum(float(found[at].split(" ")[0]) for at in range(len(ATTACKS))) / len(ATTACKS) for found in cells.values()
    ]
    lines.append(["**macro recall**", *(f"{value:.1f} %" for value in macro)])
    lines.append(["**AUC**", *(f"{area(rows, scores):.3f}" for scores in systems.values())])
    about = (
        f"Share flagged, threshold at {100 * WANTED:g} % of `benign` and `benign-hard` for whoever gives a score."
        " Each text is judged by a classifier that saw nothing of its source; the rules were written with part of these"
        " texts at hand."
    )
    return Table("Injection: flagged by category", ["category", *systems], lines, [about, *notes])


def _places(rows: list[corpus.Row], judges: Mapping[str, Judge]) -> Table:
    lines = []
    for position in ("user", "tool", "assistant", "system"):
        flags = dict.fromkeys(("attack", "harmless"), 0)
        of = dict(flags)
        for row in rows:
            if row["category"] in ("obfuscated", "benign-encoded"):
                continue
            kind = "attack" if row["label"] else "harmless"
            of[kind] += 1
            flags[kind] += judges[corpus.group(row)].judge(row["text"], position).flagged
        lines.append([position, *(rate(flags[kind], of[kind]) for kind in ("attack", "harmless"))])
    return Table("Injection: at the thresholds that ship", ["position", "attacks flagged", "harmless flagged"], lines)


def _near() -> Table:
    """The project's own texts near the line, by the judge that ships: one half was trained and mended on, one not."""
    judge = Judge()
    lines = []
    for half in HALVES:
        for label, name in ((0, "harmless, with the words of attacks"), (1, "attacks, in other words")):
            texts = [row["text"] for row in corpus.near(half) if row["label"] == label]
            if not texts:
                continue
            flags = [[judge.judge(text, place).flagged for text in texts] for place in NEAR_AT]
            lines.append([name, f"{half}: {HALVES[half]}", *(rate(sum(found), len(texts)) for found in flags)])
    about = (
        "The project's own texts. Rules were mended on what the parts that are not trained on showed, one after the"
        " other: flagged at first sight, as the user's words, were 13 of 184 harmless ones and 41 of 100 attacks"
        " (held), 3 of 50 and 21 of 36 (later), 2 of 40 (last)."
    )
    return Table("Injection: texts near the line", ["texts", "part", *NEAR_AT], lines, [about])


def _disguised(rows: list[corpus.Row], judges: Mapping[str, Judge], scores: Scores) -> Table:
    limit = threshold(rows, scores)
    caught = [
        row
        for row, score in zip(rows, scores, strict=True)
        if score > limit and row["label"] and row["category"] == "direct" and row["text"].isascii()
    ]
    harmless = [row for row in rows if row["category"] == "benign" and row["text"].isascii()][::4]
    lines = []
    kept_all = wrong_all = 0
    for name, disguise in DISGUISES.items():
        kept = sum(judges[corpus.group(row)].judge(disguise(row["text"])).score > limit for row in caught)
        wrong = sum(judges[corpus.group(row)].judge(disguise(row["text"])).score > limit for row in harmless)
        kept_all, wrong_all = kept_all + kept, wrong_all + wrong
        lines.append([name, rate(kept, len(caught)), rate(wrong, len(harmless))])
    number = len(DISGUISES)
    lines.append(["all", rate(kept_all, number * len(caught)), rate(wrong_all, number * len(harmless))])
    return Table(
        "Injection: direct attacks caught in plain text, disguised", ["as", "still caught", "harmless flagged"], lines
    )


def _times(rows: list[corpus.Row]) -> Table:
    judge = Judge()
    harmless = [row["text"] for row in rows if row["category"] == "benign-hard" and row["text"].isascii()]
    mixed = [row["text"] for row in rows if not row["text"].isascii()]
    lines = []
    for name, pool, size, number in (
        ("1 KB, ASCII", harmless, 1000, 400),
        ("1.5 KB, ASCII", harmless, 1500, 400),
        ("1 KB, attacks and others beyond ASCII", mixed, 1000, 200),
        ("50 KB, ASCII", harmless, 50_000, 20),
    ):
        texts = list(_sized(pool, size, number + 50))
        for text in texts[number:]:
            judge.judge(text)
        spent = sorted(_spent(judge, text) for text in texts[:number])
        lines.append([name, f"{spent[number // 2]:.3f} ms", f"{spent[int(number * 0.99)]:.3f} ms", str(number)])
    return Table("Injection: time of one judgement, texts never seen", ["text", "p50", "p99", "n"], lines)


def _sized(pool: Sequence[str], size: int, number: int) -> list[str]:
    whole = "\n".join(pool)
    step = max(1, (len(whole) - size) // number)
    return [whole[at * step : at * step + size] for at in range(number)]


def _spent(judge: Judge, text: str) -> float:
    start = time.perf_counter()
    judge.judge(text)
    return 1000 * (time.perf_counter() - start)


def _misses(rows: list[corpus.Row], scores: Scores) -> Table:
    limit = threshold(rows, scores)
    wrong = [
        [row["category"], row["source"], f"{score:.3f}", row["text"][:120].replace("\n", " ").replace("|", "/")]
        for row, score in zip(rows, scores, strict=True)
        if (score > limit) != bool(row["label"])
    ]
    return Table("Injection: judged wrongly", ["category", "source", "score", "text"], wrong)


def _stirred(word: str) -> str:
    return word[0] + word[-2:0:-1] + word[-1]
