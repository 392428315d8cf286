"""The semantic cache: how many texts that ask the same are found, how many traps are taken for them, and the time.

Beside the rules alone and the rules with an embedder stands what an embedder says by itself, at the thresholds that
are customary. Without the extra `semantic` there are the rules alone. What was found in texts before they were read
stands in `benchmarks/corpora/cache/README.md`.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping, Sequence

from benchmarks.quality.pairs import Pair, pairs
from benchmarks.quality.report import Table, rate
from plugins.cache.semantic.agree import agree
from plugins.cache.semantic.embedder import MiniLM, Vector, cosine
from plugins.cache.semantic.index import Index, Row
from plugins.cache.semantic.lexicon import packaged
from plugins.cache.semantic.options import SemanticOptions, installed
from plugins.cache.semantic.question import question
from plugins.cache.semantic.reading import read

CUSTOMARY = (0.8, 0.9, 0.95)
ROWS = 2000
PUBLISHED, MADE = "fow-cache, the half that was", "made pairs, the half that was"
WRITTEN = (
    ("development", "pairs written while the rules were made"),
    ("second", "pairs written before a second round of rules, read for them afterwards"),
    ("last", "pairs written after that round, read afterwards"),
    ("closing", "pairs written at the end, read afterwards"),
)
CONVERSATIONS = 120
Judge = Callable[[Pair], bool]


def run(arguments: argparse.Namespace) -> list[Table]:
    """The tables. `misses` also shows what was taken wrongly and what was not found, of the half that was looked at."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # (as workers have it)
    every = pairs()
    judges = _judges(every)
    tables = [
        _found(
            f"Semantic cache: {PUBLISHED if source == 'fow' else MADE} read {'last' if held else 'first'}",
            [pair for pair in every if (pair.source, pair.held) == (source, held)],
            judges,
        )
        for source in ("fow", "made")
        for held in (False, True)
    ]
    tables += [
        _found(f"Semantic cache: {title}", [pair for pair in every if pair.source == source], judges)
        for source, title in WRITTEN
    ]
    tables += [_conversations(every, judges), _categories(every, judges), _times(every)]
    if arguments.misses:
        tables.append(_misses([pair for pair in every if not pair.held], judges))
    return tables


def _judges(every: Sequence[Pair]) -> dict[str, Judge]:
    lexicon = packaged()
    answers = {pair: agree(read(pair.a, lexicon), read(pair.b, lexicon), lexicon).answer for pair in every}
    judges: dict[str, Judge] = {"rules alone": lambda pair: answers[pair] == "same"}
    if not installed():
        return judges
    model, least = MiniLM(), SemanticOptions().threshold
    texts = {text for pair in every for text in (pair.a, pair.b)}
    vectors: dict[str, Vector] = {text: model.vector(text) for text in texts}
    near = {pair: cosine(vectors[pair.a], vectors[pair.b]) for pair in every}
    judges["rules and minilm"] = lambda pair: (
        answers[pair] == "same" or (answers[pair] == "unsure" and near[pair] >= least)
    )
    judges |= {f"minilm alone, cosine >= {customary}": _nearer(near, customary) for customary in CUSTOMARY}
    return judges


def _nearer(near: Mapping[Pair, float], least: float) -> Judge:
    return lambda pair: near[pair] >= least


def _found(title: str, rows: Sequence[Pair], judges: dict[str, Judge]) -> Table:
    same, traps = [pair for pair in rows if pair.same], [pair for pair in rows if not pair.same]
    lines = [
        (name, rate(sum(map(judge, same)), len(same)), rate(sum(map(judge, traps)), len(traps)))
        for name, judge in judges.items()
    ]
    return Table(title, ("judge", "true pairs served", "traps served wrongly"), lines)


def _conversations(every: Sequence[Pair], judges: dict[str, Judge]) -> Table:
    """The same pairs as the last texts of conversations: with the same before, and with something else before."""
    same = [pair for pair in every if pair.same and pair.source in ("second", "last", "closing")][:CONVERSATIONS]
    before, other = "We talk about my subscription.", "We talk about my phone."
    lines = []
    for name, judge in list(judges.items())[:2]:
        served = [sum(_shared(pair, earlier, other) and judge(pair) for pair in same) for earlier in (other, before)]
        lines.append((name, *(rate(count, len(same)) for count in served)))
    return Table("Semantic cache: conversations", ("judge", "same before, served", "other before, served"), lines)


def _shared(pair: Pair, mine: str, theirs: str) -> bool:
    """Whether two conversations have all in common but their last texts."""
    rests = []
    for text, before in ((pair.a, mine), (pair.b, theirs)):
        said = [{"role": "user", "content": before}, {"role": "assistant", "content": "Yes."}]
        found = question("chat", {"model": "m", "messages": [*said, {"role": "user", "content": text}]})
        rests.append(found.rest if found is not None else None)
    return rests[0] is not None and rests[0] == rests[1]


def _categories(every: Sequence[Pair], judges: dict[str, Judge]) -> Table:
    names = sorted({(pair.source, pair.same, pair.category) for pair in every}, key=lambda each: (each[0], not each[1]))
    lines = []
    for source, same, category in names:
        rows = [pair for pair in every if (pair.source, pair.same, pair.category) == (source, same, category)]
        shares = [rate(sum(map(judge, rows)), len(rows)) for judge in list(judges.values())[:2]]
        lines.append((f"{source}: {category}{'' if same else ' (trap)'}", *shares))
    return Table("Semantic cache: by kind, all pairs", ("kind", *list(judges)[:2]), lines)


def _times(every: Sequence[Pair]) -> Table:
    """CPU time, one thread."""
    lexicon, lines = packaged(), []
    texts = [pair.a for pair in every if pair.source in ("fow", "second", "development")]
    others = [read(pair.b, lexicon) for pair in every if pair.source in ("fow", "second", "development")]
    index = Index(ROWS)
    readings = [read(text, lexicon) for text in texts]
    for number in range(ROWS):
        reading = readings[number % len(readings)]
        index.add(Row(number.to_bytes(4, "big"), b"part", texts[number % len(texts)], reading))
    steps: list[tuple[str, Callable[[int], object]]] = [
        ("reading a text", lambda number: read(texts[number], lexicon)),
        (f"index of {ROWS:,} texts", lambda number: index.near(b"part", others[number])),
        ("second stage", lambda number: agree(readings[number], readings[number - 1], lexicon)),
    ]
    if installed():
        model = MiniLM()
        steps.append(("vector of 32 tokens (minilm)", lambda number: model.vector(" ".join(["account"] * 30))))
    for name, step in steps:
        took = []
        for number in range(min(100, len(texts))):
            begun = time.process_time()
            step(number)
            took.append(1000 * (time.process_time() - begun))
        took.sort()
        lines.append((name, f"{took[len(took) // 2]:.3f}", f"{took[int(0.95 * len(took))]:.3f}"))
    return Table("Semantic cache: CPU milliseconds", ("step", "p50", "p95"), lines)


def _misses(rows: Sequence[Pair], judges: dict[str, Judge]) -> Table:
    name, judge = list(judges.items())[min(1, len(judges) - 1)]
    wrong = [
        ("found" if judge(pair) else "missed", pair.category, pair.a, pair.b)
        for pair in rows
        if judge(pair) != pair.same
    ]
    return Table(f"Semantic cache: errors of {name}", ("what", "kind", "a", "b"), sorted(wrong))
