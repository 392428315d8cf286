"""The texts that the injection classifier is trained on, and which of them belong together: rows, group, folds."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from typing import Any

from benchmarks.training import variations

Row = dict[str, Any]
CARRIERS = frozenset({"synthetic-docs", "agentdojo", "chunking-wikitexts"})
"""Sources of harmless English that attacks of our own are set into."""
TOGETHER = {
    "synthetic-docs": "spikee",
    "spikee-fp": "spikee",
    "synthetic-roleplay": "synthetic-hardneg",
    "bastionprobe": "bastioncorpus",
    "garak-dan": "garak-inthewild",
}
"""Sources with the same hand behind them: never on both sides of a fold."""
ENCODED = frozenset({"obfuscated", "benign-encoded"})
"""Categories that are read through their decoded views, and not trained on as they stand."""


def development() -> list[Row]:
    """The development data."""
    return _read("dev.jsonl.gz")


def everything() -> list[Row]:
    """All texts to train on: development data, texts of other free packages, and texts of our own."""
    rows = [*({**row, "split": "dev"} for row in development()), *_read("more.jsonl.gz"), *near("dev")]
    rows = [row for row in rows if row["category"] not in ENCODED]
    carriers: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if not row["label"] and (row["source"] in CARRIERS or "lang" in row):
            carriers[row.get("lang", "en")].append(row["text"])
    return [*rows, *variations.rows(carriers)]


def near(half: str) -> list[Row]:
    """Texts of the project's own near the line: attacks in other words, and harmless texts with the words of attacks.
    `half`: `dev`, which is trained on; `held`, `later`, `last`, which are not, and were each looked at once before
    rules were mended on what they showed."""
    return [row for row in _read("near.jsonl.gz") if row["half"] == half]


def group(row: Row) -> str:
    """The source of a text, by who made it."""
    source = str(row["source"]).removeprefix("obf-")
    return TOGETHER.get(source, source)


def own(row: Row) -> bool:
    """Whether it was made here: always trained on, never counted."""
    return str(row["source"]).startswith("own-")


def folds(rows: list[Row], number: int) -> dict[str, int]:
    """Which fold each group is held out in: attacks and harmless texts spread evenly."""
    texts = Counter(group(row) for row in rows)
    attacks = Counter(group(row) for row in rows if row["label"])
    load = [0.0] * number
    found: dict[str, int] = {}
    for name, count in sorted(texts.items(), key=lambda item: (-item[1] - 2 * attacks[item[0]], item[0])):
        fold = min(range(number), key=lambda at: (load[at], at))
        load[fold] += count + 2 * attacks[name]
        found[name] = fold
    return found


def _read(name: str) -> list[Row]:
    with gzip.open(variations.CORPORA / name, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
