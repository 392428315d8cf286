"""Pairs of questions that ask the same, and traps that do not: of fow-cache, from templates, and written by hand."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import random
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.quality.report import held_out

CORPUS = Path(__file__).resolve().parent.parent / "corpora" / "cache"
WRITTEN = (("development", False), ("second", True), ("last", True), ("closing", True))
"""Files of pairs, and whether they were first measured unread."""
FILLS = 3
"""So many times each template is filled."""
SLOT = re.compile(r"\{(\w+)\}")
POLITE = ("Hi, {}", "{} Thanks!", "Hello, quick question: {}", "{} please", "Could you tell me: {}")


@dataclass(frozen=True, slots=True)
class Pair:
    """`source`: fow, made, or the file it stands in; `held`: was not looked at before it was first measured."""

    a: str
    b: str
    same: bool
    category: str
    source: str
    held: bool


def pairs() -> list[Pair]:
    return [*_published(), *_made(), *(pair for name, held in WRITTEN for pair in _written(name, held))]


def _written(name: str, held: bool) -> Iterator[Pair]:
    """Those written by hand, a pair a line."""
    for line in (CORPUS / f"{name}.tsv").read_text("utf-8").splitlines()[1:]:
        same, kind, one, other = line.split("\t")
        yield Pair(one, other, same == "yes", kind, name, held)


def _published() -> Iterator[Pair]:
    """The first half is what was read: by the parity of a SHA-256, so for good."""
    for line in gzip.decompress((CORPUS / "fow.jsonl.gz").read_bytes()).splitlines():
        row: dict[str, Any] = json.loads(line)
        held = hashlib.sha256(row["id"].encode()).digest()[0] % 2 == 1
        yield Pair(row["a"], row["b"], row["same_answer"], row["category"], "fow", held)


def _made() -> Iterator[Pair]:
    corpus = tomllib.loads((CORPUS / "pairs.toml").read_text("utf-8"))
    draw = random.Random(20)
    for question in corpus["question"]:
        text: str = question["text"]
        names = sorted(set(SLOT.findall(text)))
        held = held_out(text)
        for fill in itertools.islice(_fills(names, corpus["slots"], draw), FILLS if names else 1):
            whole = _filled(text, fill)
            for same in question["same"]:
                yield Pair(whole, _filled(same, fill), True, "said otherwise", "made", held)
            yield Pair(whole, _noisy(whole, draw), True, "noise", "made", held)
            for other in question["other"]:
                yield Pair(whole, _filled(other, fill), False, "trap", "made", held)
            for name in names:
                swapped = draw.choice([each for each in corpus["slots"][name] if each != fill[name]])
                yield Pair(whole, _filled(text, {**fill, name: swapped}), False, "slot", "made", held)


def _fills(names: list[str], slots: dict[str, list[str]], draw: random.Random) -> Iterator[dict[str, str]]:
    while True:
        yield {name: draw.choice(slots[name]) for name in names}


def _filled(text: str, fill: dict[str, str]) -> str:
    return SLOT.sub(lambda found: fill.get(found[1], found[1]), text)


def _noisy(text: str, draw: random.Random) -> str:
    """In another case, politely, or with a letter wrong in one of its longer words."""
    way = draw.randrange(4)
    if way == 0:
        return text.lower()
    if way == 1:
        return draw.choice(POLITE).format(text)
    if way == 2:
        return text.rstrip("?.") + draw.choice(("", " ?", "!", "..."))
    words = text.split(" ")
    long = [place for place, word in enumerate(words) if place and len(word) > 6 and word.islower() and word.isalpha()]
    if not long:
        return text.upper()
    place = draw.choice(long)
    at = draw.randrange(1, len(words[place]) - 2)
    word = words[place]
    words[place] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join(words)
