"""`weir tune PLUGIN LABELS.jsonl --fpr RATE`: thresholds that give a wanted false-positive rate on your own rows."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil, floor
from pathlib import Path
from typing import Any

from proxy import registry, scanning
from proxy.app.bench import opened
from proxy.errors import ConfigError
from proxy.stats.rates import needed, threshold, wilson

DIGITS = 4
"""Of a threshold as it is written into the configuration."""
HIGHEST = 1.0
NO_ROWS = (
    'There are no rows: nothing to tune on. Write one object a line, such as {"text": "...", "label": 0}, with label 1 '
    "for attacks and 0 for the rest; the texts of your own traffic serve best."
)
MOST_ALLOWED = 0.1
"""A rate that somebody could want."""
FEW_SCORES = 20
"""Harmless rows with fewer different scores than that are one text with small changes."""


@dataclass(slots=True)
class Scores:
    """Of one position: what harmless texts and attacks scored."""

    harmless: list[float] = field(default_factory=list)
    attacks: list[float] = field(default_factory=list)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="weir tune",
        description="Read JSON lines with `text`, `label` (1 attack, 0 harmless) and `role` (user, tool, system), and "
        "say which thresholds give the wanted false-positive rate. Nothing is changed.",
    )
    parser.add_argument("plugin")
    parser.add_argument("file", nargs="?", default="-")
    parser.add_argument("--fpr", type=float, default=0.01, help="share of harmless texts that may be taken for attacks")
    parser.add_argument("--config", metavar="FILE")
    given = parser.parse_args(arguments)
    if not 0 < given.fpr < 1:
        sys.stderr.write("weir tune: --fpr is a share between 0 and 1, such as 0.01\n")
        return 2
    try:
        if given.file == "-":
            found = asyncio.run(_scores(given.plugin, given.config, sys.stdin.buffer))
        else:
            with Path(given.file).open("rb") as lines:
                found = asyncio.run(_scores(given.plugin, given.config, lines))
    except OSError as error:
        sys.stderr.write(f"weir tune: {given.file} cannot be read: {error.strerror}\n")
        return 1
    except (ConfigError, scanning.BadRow) as error:
        sys.stderr.write(f"weir tune: {error}\n")
        return 1
    lines_out, settled = report(found, given.plugin, given.fpr)
    sys.stdout.write("\n".join(lines_out) + "\n")
    return 0 if settled else 1


async def _scores(name: str, config: str | None, lines: Iterable[bytes]) -> dict[str, Scores]:
    async with opened(config, os.environ, only=name) as bench:
        plugin = bench.plugins[name]
        entry = next(entry for entry in bench.snapshot.chain if entry.name == name)
        options = registry.build(type(plugin).Options, entry.options)
        return gathered(plugin, options, lines)


def gathered(plugin: Any, options: Any, lines: Iterable[bytes]) -> dict[str, Scores]:
    """Scores by role. Raises BadRow for a row without a label, or where the plugin gives no score."""
    found: dict[str, Scores] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row = scanning.read(number, line)
        if row.get("label") not in (0, 1):
            raise scanning.BadRow(f"line {number}: label is {row.get('label')!r}; write 1 for attacks, 0 for the rest")
        score = _score(plugin, row, options, number)
        scores = found.setdefault(row.get("role", "user"), Scores())
        (scores.attacks if row["label"] else scores.harmless).append(score)
    return found


def _score(plugin: Any, row: dict[str, Any], options: Any, number: int) -> float:
    score = scanning.judged(number, plugin, row, options, "tune").get("score")
    if not isinstance(score, float | int):
        raise scanning.BadRow(f"plugin {plugin.name!r} gives no score: there is no threshold to tune")
    return float(score)


def report(found: dict[str, Scores], plugin: str, rate: float) -> tuple[list[str], bool]:
    """What to tell, and whether every position had enough rows. Where one has too few, no threshold is guessed."""
    told: list[str] = []
    settled: list[tuple[str, float]] = []
    for role in scanning.ROLES:
        if role in found:
            told += _told(role, found[role], rate, settled)
    if settled:
        told += ["", *_configuration(plugin, settled)]
    elif found:
        told.append("Nothing was tuned; the thresholds in use stay.")
    return told or [NO_ROWS], bool(found) and len(settled) == len(found)


def _told(role: str, scores: Scores, rate: float, settled: list[tuple[str, float]]) -> Iterator[str]:
    harmless, attacks = scores.harmless, scores.attacks
    if len(harmless) < needed(rate):
        yield (
            f"{role}: {len(harmless)} harmless rows are too few to tell a false-positive rate of {rate:.2%}; "
            f"{needed(rate)} are needed. No threshold is given."
        )
        return
    limit = rounded(threshold(harmless, rate))
    if limit >= HIGHEST:
        yield from _beyond(role, harmless, rate)
        return
    if attacks and not any(score >= limit for score in attacks):
        yield (
            f"{role}: from {limit:.{DIGITS}f} on no more than {rate:.2%} of the harmless rows are flagged, and none of "
            f"the {len(attacks)} attacks either. No threshold is given: allow more with --fpr, or judge these attacks "
            f"otherwise (they score {max(attacks):.{DIGITS}f} at most)."
        )
        return
    settled.append((role, limit))
    yield f"{role}: threshold {limit:.{DIGITS}f}"
    if len(set(harmless)) < FEW_SCORES:
        yield f"  harmless rows   have {len(set(harmless))} different scores: take rows of your own traffic"
    yield f"  false positives {_rate(sum(score >= limit for score in harmless), len(harmless))}"
    if attacks:
        yield f"  attacks found   {_rate(sum(score >= limit for score in attacks), len(attacks))}"
    else:
        yield "  attacks found   not known: there are no rows with label 1; add some before you use this"


def _beyond(role: str, harmless: Sequence[float], rate: float) -> Iterator[str]:
    """Where only a threshold that nothing reaches would keep the rate."""
    top = [score for score in harmless if rounded(score) >= HIGHEST]
    share = len(top) / len(harmless)
    yield (
        f"{role}: {len(top)} of {len(harmless)} harmless rows ({share:.2%}) have the highest score, more than the "
        f"{rate:.2%} that is wanted; no threshold helps. Look whether they are attacks with a wrong label, or allow "
        + (
            f"more: --fpr {ceil(share * 1000 + 1) / 1000:g}."
            if share < MOST_ALLOWED
            else "the guard to only tag there."
        )
    )


def rounded(limit: float) -> float:
    """Up, as it will be written."""
    steps = 10**DIGITS
    return (floor(limit * steps) + 1) / steps if limit * steps != floor(limit * steps) else limit


def _rate(hits: int, count: int) -> str:
    low, high = wilson(hits, count)
    return f"{hits} of {count} = {hits / count:.2%} (95 % interval {low:.2%} to {high:.2%})"


def _configuration(plugin: str, settled: list[tuple[str, float]]) -> Iterator[str]:
    yield "plugins:"
    yield f"  - {plugin}:"
    yield "      options:"
    for role, limit in settled:
        yield f"        {role}: {{threshold: {limit:.{DIGITS}f}}}"
