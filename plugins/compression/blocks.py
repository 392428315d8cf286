"""Repeated blocks of lines: the first stands between marks, each further one is its mark alone.

`[A>` and `<A]` on lines of their own enclose block A; `[A]` stands for it again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

LEAST_LINES = 3
LEAST_CHARS = 120
MOST_BLOCKS = 60
MOST_TRIES = 2000
RUN = 3
"""From so many equal lines on, all but the first are told by their number."""
ABOUT = (
    "[Repeated lines, told once: [A> to <A] encloses block A, [A] is block A again, [=2] the line above 2 times more]"
)
_MARK = re.compile(r"\[[A-Z]{1,2}[>\]]|<[A-Z]{1,2}\]|\[=\d+\]")


def folded(lines: Sequence[str]) -> list[str] | None:
    """The lines with repeated blocks told once; None where nothing is repeated, or lines look like our marks."""
    if any(_MARK.fullmatch(line) is not None for line in lines if len(line) < 12):
        return None
    copies = _copies(lines)
    out = _written(lines, copies) if copies else list(lines)
    runs = _runs(out)
    if runs is None and not copies:
        return None
    return [ABOUT, *(out if runs is None else runs)]


def _copies(lines: Sequence[str]) -> list[tuple[int, int, int]]:
    """(start, source, length) of blocks that stood before, in order, none over another."""
    seen: dict[tuple[str, ...], int] = {}
    found: list[tuple[int, int, int]] = []
    sources: dict[int, int] = {}
    at, tries = 0, 0
    while at <= len(lines) - LEAST_LINES and tries < MOST_TRIES:
        key = tuple(lines[at : at + LEAST_LINES])
        source = seen.setdefault(key, at)
        if source == at:
            at += 1
            continue
        if source in sources:
            length = sources[source] - source
            same = lines[at : at + length] == lines[source : source + length]
        else:
            tries += 1
            length = _length(lines, source, at, sources, found)
            same = length >= LEAST_LINES and sum(map(len, lines[source : source + length])) >= LEAST_CHARS
            if same and len(sources) >= MOST_BLOCKS:
                break
        if not same:
            at += 1
            continue
        sources[source] = source + length
        found.append((at, source, length))
        at += length
    return found


def _length(
    lines: Sequence[str], source: int, at: int, sources: dict[int, int], copies: list[tuple[int, int, int]]
) -> int:
    """How long the block is that begins at both; blocks do not overlap, nor does one hold a part of another."""
    if any(start <= source < stop for start, stop in sources.items()):
        return 0
    later = [start for start in sources if start > source] + [start for start, _, _ in copies if start > source]
    end = min([at, *later])
    length = 0
    while source + length < end and at + length < len(lines) and lines[source + length] == lines[at + length]:
        length += 1
    return length


def _written(lines: Sequence[str], copies: list[tuple[int, int, int]]) -> list[str]:
    numbers: dict[tuple[int, int], int] = {}
    for _, source, length in copies:
        numbers.setdefault((source, source + length), len(numbers) + 1)
    opens = {source: _letters(number) for (source, _), number in numbers.items()}
    closes = {stop: _letters(number) for (_, stop), number in numbers.items()}
    instead = {start: (_letters(numbers[source, source + length]), length) for start, source, length in copies}
    out: list[str] = []
    at = 0
    while at < len(lines):
        if at in closes:
            out.append(f"<{closes[at]}]")
        if at in instead:
            number, length = instead[at]
            out.append(f"[{number}]")
            at += length
            continue
        if at in opens:
            out.append(f"[{opens[at]}>")
        out.append(lines[at])
        at += 1
    if at in closes:
        out.append(f"<{closes[at]}]")
    return out


def _letters(number: int) -> str:
    first, second = divmod(number - 1, 26)
    return (chr(ord("A") + first - 1) if first else "") + chr(ord("A") + second)


def _runs(lines: Sequence[str]) -> list[str] | None:
    """Equal lines one after the other; None where there are none."""
    out: list[str] = []
    at, any_run = 0, False
    while at < len(lines):
        line = lines[at]
        stop = at + 1
        while stop < len(lines) and lines[stop] == line:
            stop += 1
        out.append(line)
        if stop - at >= RUN and line.strip():
            out.append(f"[={stop - at - 1}]")
            any_run = True
        else:
            out.extend(lines[at + 1 : stop])
        at = stop
    return out if any_run else None


def unfolded(lines: Sequence[str]) -> list[str]:
    """What `folded` was made of: for whoever has to be sure that nothing is lost."""
    flat: list[str] = []
    for line in lines[1:]:
        if line.startswith("[=") and _MARK.fullmatch(line):
            flat.extend([flat[-1]] * int(line[2:-1]))
        else:
            flat.append(line)
    out: list[str] = []
    known: dict[str, list[str]] = {}
    open_at: dict[str, int] = {}
    for line in flat:
        if _MARK.fullmatch(line) is None:
            out.append(line)
        elif line.endswith(">"):
            open_at[line[1:-1]] = len(out)
        elif line.startswith("<"):
            known[line[1:-1]] = out[open_at[line[1:-1]] :]
        else:
            out.extend(known[line[1:-1]])
    return out
