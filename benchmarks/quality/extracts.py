"""Extracts judged by texts with questions: whether the words that answer are left at a half and a quarter of tokens.

`natural` are long texts with questions that a model wrote, in windows around the first needle; one half of them by
place is what extracts were tuned on. `written` are short texts of many kinds with questions in other words.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.quality.report import Table, rate
from plugins.compression.budget import cut
from plugins.compression.shrink import Rules, Shrunk, shrunk

FOLDER = Path(__file__).parents[1] / "corpora" / "compression"
SHARES = (2, 4)
WINDOWS = (8_000, 16_000, 0)
"""Characters; 0: the whole text."""
STRETCH_CHARS = 8_000
BEFORE = 0.9
"""At most this share of a window stands before the first needle."""
Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Asked:
    """A text, a question, and the words that answer it."""

    text: str
    question: str
    needles: tuple[str, ...]
    kind: str = ""


def rows(name: str) -> list[dict[str, Any]]:
    with gzip.open(FOLDER / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def natural(window: int, *, held_out: bool) -> Iterator[Asked]:
    """The questions of one half, by the place of the first needle, each with its window."""
    number = 0
    for row in rows("natural"):
        for one in row["questions"]:
            number += 1
            if (one["at"] // STRETCH_CHARS % 2 == 1) is not held_out:
                continue
            text = _window(row["text"], one["at"], window, Random(number))
            needles = tuple(needle for needle in one["needles"] if needle in text)
            if needles:
                yield Asked(text, one["question"], needles)


def _window(text: str, at: int, chars: int, random: Random) -> str:
    if not chars:
        return text
    start = max(0, min(at - random.randrange(int(BEFORE * chars)), len(text) - chars))
    found = text[start : start + chars]
    first = found.find("\n")
    return found[first + 1 :] if start and 0 <= first < 0.3 * chars else found


def written() -> Iterator[Asked]:
    for row in rows("written"):
        for one in row["questions"]:
            yield Asked(row["text"], one["question"], tuple(one["needles"]), row["kind"])


def cut_to(asked: Asked, share: int, count: Count) -> Shrunk:
    """What is sent at this share of its tokens, made shorter without loss first."""
    whole = count(asked.text)
    most = whole // share
    found = shrunk(asked.text, Rules(), count)
    after = found.after if found.techniques else whole
    less = cut(asked.text, asked.question, most, Rules(), count) if after > most else None
    if less is not None and less.after < after:
        return less
    return Shrunk(found.text, found.techniques, whole, after)


def keeps(text: str, needle: str) -> bool:
    """Blanks aside, and as it stands in JSON where it does."""
    told = " ".join(text.split())
    return any(" ".join(one.split()) in told for one in (needle, json.dumps(needle, ensure_ascii=False)[1:-1]))


def judged(cases: list[Asked], share: int, count: Count) -> tuple[list[bool], int]:
    """Whether all needles of each are kept, and how many texts are over their budget."""
    kept, over = [], 0
    for asked in cases:
        found = cut_to(asked, share, count)
        lossless = "extract" not in found.techniques
        kept.append(lossless or all(keeps(found.text, needle) for needle in asked.needles))
        over += found.after > found.before // share
    return kept, over


def tables(count: Count) -> list[Table]:
    lines = []
    for window in WINDOWS:
        for held_out in (False, True):
            cases = list(natural(window, held_out=held_out))
            found = [judged(cases, share, count) for share in SHARES]
            chars = f"{window:,} characters" if window else "whole texts"
            cells = [rate(sum(kept), len(kept)) for kept, _ in found]
            single = [kept for kept, asked in zip(found[-1][0], cases, strict=True) if len(asked.needles) == 1]
            over = str(sum(over for _, over in found))
            lines.append([chars, "held out" if held_out else "tuned on", *cells, rate(sum(single), len(single)), over])
    about = (
        "Questions on a speech, chat logs and articles (`natural`); a case counts where every sentence that its authors"
        " name is left whole, three in some. Many are about a topic, not a needle."
    )
    columns = ["text", "half", "half of the tokens", "quarter of the tokens", "quarter, one needle", "over the budget"]
    return [Table("Compression: natural questions", columns, lines, [about]), _of_written(count)]


def _of_written(count: Count) -> Table:
    cases = list(written())
    half, quarter = (judged(cases, share, count)[0] for share in SHARES)
    lines = []
    for kind in [*dict.fromkeys(one.kind for one in cases), ""]:
        places = [at for at, one in enumerate(cases) if not kind or one.kind == kind]
        cells = [rate(sum(kept[at] for at in places), len(places)) for kept in (half, quarter)]
        lines.append([kind or "all", *cells])
    about = (
        "Short texts (400 to 4,000 tokens) with questions in other words (`written`), a second look: no weight"
        " was chosen by them, but the length of the note of what was left out was. What is made short enough without an"
        " extract counts as kept. The way of selecting before this one kept 58.7 % and 35.0 %."
    )
    return Table("Compression: a second look", ["kind", "half of the tokens", "quarter of the tokens"], lines, [about])
