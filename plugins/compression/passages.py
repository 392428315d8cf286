"""A text in passages: sentences, lines of lists, logs and tables, fenced blocks, each with what stands above it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

LONG_LINE = 240
"""Longer lines are cut into sentences."""
TITLE_CHARS = 70
TITLE_WORDS = 9
LEAD_CHARS = 48
"""What stands before the first colon, point or mark of a paragraph is its title where it is no longer."""
WRAPPED_CHARS = 140
LEAST_CHARS = 24
"""Shorter sentences go with the next."""
SHORT_CHARS = 10
"""Longer words are not cut short."""
MOST_CHARS, PART_CHARS = 800, 400
"""Of a sentence, and of the parts of longer ones."""
LEAST_ROWS = 4
LEAST_CELLS = 3
MARK_CHARS = 400
"""Longer lines are no rules and no headings."""
_ABBREVIATED = re.compile(
    r"(?:^|[\s(\"'.])(?:[A-Zv]|Mrs?|Ms|Drs?|Prof|St|Sr|Jr|No|Nos|vs|etc|e\.g|i\.e|cf|ca|approx|Fig|Inc|Ltd|Co|al|pp?)\.$"
)
_SENTENCE = re.compile(r"[.!?…][\"'”’)\]*]*\s+(?=\S)|[。！？]+\s*")
_LISTED = re.compile(r"[ \t]*(?:[-*+•#]|\d{1,3}[.)]|\([a-z\d]\)) ")
_RULED = re.compile(r"[-=~*_+|: ]{3,}$")
_HEADING = re.compile(r"#{1,6} \S|={1,6} .*=$|={2,6}[^=\s].*=$")
_LEAD = re.compile(
    r"[^\w\n]*(?:(?P<named>(?:[^\s.:!?]+ ){0,7}[^\s.:!?]+)\s*(?:\*\*)?[:?](?:\*\*)?"
    r"|(?P<short>(?:[^\s.:!?]+ ){0,3}[^\s.:!?]+)\.)(?:\*\*)?\s+\S"
)
_CELLS = (",", "|", "\t", ";")


@dataclass(slots=True)
class Passage:
    """A part of a text; all parts joined are the text."""

    text: str
    block: int
    """The paragraph that it stands in."""
    title: tuple[int, ...] = ()
    """The passages that are its headings, the nearest last."""
    lead: str = ""
    """What its paragraph begins with, where that names it."""
    header: int = -1
    """The passage that names the columns of its row."""


@dataclass(slots=True)
class _Building:
    """Passages so far."""

    done: list[Passage] = field(default_factory=list)
    heads: list[tuple[int, int]] = field(default_factory=list)
    """Headings that hold here: level, and which passage."""
    block: int = 0

    def add(self, text: str, **more: object) -> Passage:
        made = Passage(text, self.block, tuple(at for _, at in self.heads), **more)  # type: ignore[arg-type]
        self.done.append(made)
        return made

    def title(self, text: str, level: int) -> None:
        while self.heads and self.heads[-1][0] >= level:
            self.heads.pop()
        self.add(text)
        self.heads.append((level, len(self.done) - 1))


def passages(text: str) -> list[Passage]:
    """In order. A fenced block is one passage; so is a sentence of prose, and a line of anything else."""
    made = _Building()
    for block in _blocks(text):
        made.block += 1
        lines = block.splitlines(keepends=True)
        filled = [line for line in lines if line.strip()]
        if not filled:
            _append(made, block)
        elif filled[0].lstrip().startswith(("```", "~~~")):
            made.add(block)
        else:
            _block(made, lines, filled)
    return made.done


def _append(made: _Building, blank: str) -> None:
    if made.done:
        made.done[-1].text += blank
    else:
        made.add(blank)


def _blocks(text: str) -> Iterator[str]:
    """What stands between empty lines, with those behind it; fences whole."""
    block: list[str] = []
    fence = ""
    ended = False
    for line in text.splitlines(keepends=True):
        bare = line.strip()
        if fence:
            block.append(line)
            if bare.startswith(fence) and not bare.strip(fence[0]):
                fence, ended = "", True
            continue
        opens = bare[:3] in ("```", "~~~")
        heads = bare[:1] in ("#", "=") and _heads(bare)
        if block and bare and (opens or heads or ended):
            yield "".join(block)
            block, ended = [], False
        block.append(line)
        if opens:
            fence = bare[:3]
        ended = ended or not bare or heads
    if block:
        yield "".join(block)


def _block(made: _Building, lines: Sequence[str], filled: Sequence[str]) -> None:
    level = _level(lines, filled)
    if level:
        made.title(lines[0] if len(lines) < 2 or not _ruled(lines[1]) else lines[0] + lines[1], level)
        used = 1 if len(lines) < 2 or not _ruled(lines[1]) else 2
        lines = lines[used:]
        filled = [line for line in lines if line.strip()]
        if not filled:
            _append(made, "".join(lines))
            return
        if any(_level([line], [line]) for line in filled if line.startswith("#")):
            _block(made, lines, filled)
            return
    if _is_table(filled):
        _rows(made, lines)
    elif _is_wrapped(filled):
        _sentences(made, "".join(lines), _lead(filled[0]))
    else:
        _lines(made, lines)


def _level(lines: Sequence[str], filled: Sequence[str]) -> int:
    """How deep the heading is that a block begins with; 0: none. Lines that only look like one are the deepest."""
    first = filled[0].strip()
    if lines[0] != filled[0] or len(first) > TITLE_CHARS + 20:
        return 0
    if first[0] == "#" and (depth := len(first) - len(first.lstrip("#"))) <= 6 and first[depth : depth + 1] == " ":
        return depth
    if first[0] == "=" and _heads(first):
        return min(6, (len(first) - len(first.lstrip("= ")) + 1) // (2 if first[1] == " " else 1))
    if len(lines) > 1 and len(first) > 2 and _ruled(lines[1]) and len(lines[1].strip()) >= 0.6 * len(first):
        return 2 if lines[1].strip()[0] == "=" else 3 if "|" not in first and "  " not in first else 0
    if len(first) > TITLE_CHARS or first[-1] in ".,;!?|" or _LISTED.match(first) or len(first.split()) > TITLE_WORDS:
        return 0
    if ": " in first or "|" in first or "\t" in first or first.count(",") > 2 or first[0] in "<[{\"'(":
        return 0
    if len(filled) == 1:
        return 7
    return 7 if len(filled[1].strip()) > 1.3 * len(first) and filled[1][:1] not in " \t" and len(first) < 50 else 0


def _heads(bare: str) -> bool:
    return len(bare) <= MARK_CHARS and _HEADING.match(bare) is not None


def _ruled(line: str) -> bool:
    return len(line) <= MARK_CHARS and _RULED.match(line.strip()) is not None


def _is_table(filled: Sequence[str]) -> bool:
    if len(filled) < LEAST_ROWS:
        return filled[0].lstrip()[0] == "|" and len(filled) > 1
    if sum(line.lstrip()[0] == "|" for line in filled) > 0.8 * len(filled):
        return True
    if any(_ruled(line) and line.count(" ") > 1 for line in filled[1:3]):
        return True
    return any(_columns(filled, mark) for mark in _CELLS)


def _columns(filled: Sequence[str], mark: str) -> bool:
    cells = filled[0].count(mark)
    if cells < LEAST_CELLS - 1 or (mark == "," and ", " in filled[0]):
        return False
    return sum([line.count(mark) >= cells for line in filled]) >= 0.8 * len(filled)


def _rows(made: _Building, lines: Sequence[str]) -> None:
    header = len(made.done)
    for number, line in enumerate(lines):
        if not line.strip():
            _append(made, line)
        elif number and _ruled(line) and len(made.done) == header + 1:
            made.done[-1].text += line
        else:
            made.block += 1
            made.add(line, header=header if len(made.done) > header else -1)


def _is_wrapped(filled: Sequence[str]) -> bool:
    """Whether sentences go on from line to line."""
    if len(filled) < 2:
        return True
    inner = [len(line) for line in filled[:-1]]
    if (
        any(map(_LISTED.match, filled))
        or not 40 <= max(inner) <= WRAPPED_CHARS
        or 2 * sum(inner) < max(inner) * len(inner)
    ):
        return False
    begins = [line.lstrip()[:4] for line in filled]
    going_on = sum([begin[:1].islower() for begin in begins[1:]])
    return 2 * going_on >= len(filled) - 1 and 2 * len(set(begins)) > len(filled)


def _lines(made: _Building, lines: Sequence[str]) -> None:
    """Each line for itself; those that stand further in belong to the one above."""
    above, deep = -1, 0
    for line in lines:
        bare = line.strip()
        if not bare:
            _append(made, line)
            continue
        inset = len(line) - len(line.lstrip())
        outer = made.heads
        if above >= 0 and inset > deep:
            made.heads = [*outer, (9, above)]
        else:
            above, deep = len(made.done), inset
        made.block += 1  # what stands in lines is no paragraph
        if len(line) > LONG_LINE:
            _sentences(made, line, _lead(line))
        else:
            made.add(line, lead=_lead(line))
        made.heads = outer


def _sentences(made: _Building, text: str, lead: str) -> None:
    start = 0
    for found in _SENTENCE.finditer(text):
        end = found.end()
        if end - start < LEAST_CHARS or _abbreviated(text, start, found.start() + 1):
            continue
        _sentence(made, text[start:end], lead)
        start = end
    rest = text[start:]
    if rest.strip():
        _sentence(made, rest, lead)
    elif rest:
        _append(made, rest)


def _abbreviated(text: str, start: int, end: int) -> bool:
    """Whether what ends here is a word cut short, and no sentence."""
    return _ABBREVIATED.search(text[max(start, end - SHORT_CHARS) : end]) is not None


def _sentence(made: _Building, text: str, lead: str) -> None:
    """One that never ends is cut at blanks."""
    start = 0
    while len(text) - start > MOST_CHARS:
        end = max(
            text.rfind(mark, start + PART_CHARS // 2, start + PART_CHARS) for mark in ("\n", ", ", "; ", " ", ",")
        )
        end = start + PART_CHARS if end < 0 else end + 1
        made.add(text[start:end], lead=lead)
        start = end
    made.add(text[start:], lead=lead)


def _lead(line: str) -> str:
    found = _LEAD.match(line[: LEAD_CHARS + 20])
    return (found["named"] or found["short"]) if found is not None else ""
