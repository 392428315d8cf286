"""Logs as a table of templates: what lines have in common is told once, what differs stands in every line.

How it reads
------------
`A: @* INFO worker * done in * ms` is a template; the line `A 01.123 3 12` is one of its lines, its values in the places
of the stars in order; `"` is the value of the line above. A line `@2026-01-02 10:00:` gives what `@` stands for in the
lines below it. Every other line stands as it was (behind `=` where it could be taken for one of the former). Lines keep
their order, and nothing of them is lost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

LEAST_LINES = 6
LEAST_GROUP = 3
LEAST_WORDS = 3
MOST_TEMPLATES = 26
MOST_CLUSTERS = 24
"""Templates of one length that a line is compared with."""
ALIKE = 0.6
"""Share of the words that lines of a template have in common."""
LONG_LINE = 2000
MANY_LINES, SHORT_CHARS = 20, 120
DITTO = '"'
_WITH_DIGIT = re.compile(r"(?<![^ \n])[^ \n\d]*+\d[^ \n]*+")
"""A word with a digit in it."""
_ENTRY = re.compile(
    r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d|^\W{0,2}(?:\d{4}[-/]\d\d[-/]\d\d|\d\d[:/]\d\d[:/]\d\d|[A-Z][a-z]{2} [ \d]?\d \d\d:"
    r"|\d{1,3}(?:\.\d{1,3}){3}\s|\d{10}[.\d]*\s|[IWEF]\d{4} \d\d:"
    r"|(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|CRITICAL)\b)|\b(?:level|ts|time|lvl)=\S"
)
_FRAME = re.compile(r'^\s+(?:at \S|File "|\.\.\. \d+ more|from \S+:\d+)|^(?:Traceback |Caused by: )')
_STAMP = re.compile(
    r"\[?(?:\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:|[A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:"
    r"|[IWEF]\d{4} \d\d:\d\d:|\d\d:\d\d:)(?=\d)"
)
_PLACEHOLDER = re.compile(r"\[[A-Z][A-Z0-9_]*_\w+\]|(?<![\w+.-])[A-Za-z][\w+.-]*+://")
_LABELLED = re.compile(r"^(?:=|@|[A-Z][: ]|[A-Z]$)")
_EDGES = frozenset("+=:/\"'(),;@|<>{}#&?[]")
_DATE = re.compile(r"\d{4}-\d\d-\d\d[T_]")


def looks(lines: Sequence[str]) -> bool:
    """Whether most of these lines are entries of a log, or of a stack's trace."""
    if len(lines) < LEAST_LINES:
        return False
    sample = lines if len(lines) <= 60 else [*lines[:30], *lines[-30:]]
    filled = [line for line in sample if line.strip()]
    entries = sum([_ENTRY.search(line[:80]) is not None for line in filled])
    frames = sum([(2 if line.lstrip()[:5] == "File " else 1) for line in filled if _FRAME.match(line) is not None])
    return entries + frames >= 0.6 * len(filled) and (entries >= 3 or frames >= 6)


def uniform(lines: Sequence[str]) -> bool:
    """Whether these are many short lines that begin alike, as commands write them, and no sentences."""
    filled = [line for line in lines if line.strip()]
    if len(filled) < MANY_LINES or sum(map(len, filled)) > SHORT_CHARS * len(filled):
        return False
    begins = [line.lstrip().partition(" ")[0] for line in filled]
    if 2 * len(set(begins)) > len(filled) or 2 * sum([line.rstrip()[-1] in ".!?" for line in filled]) > len(filled):
        return False
    return 4 * sum([begin[:1].isalnum() for begin in begins]) >= 3 * len(filled)


@dataclass(slots=True)
class Cluster:
    """Lines of one template: what is common to their words, and where they stand."""

    words: list[str]
    """A NUL where they differ, or may."""
    lines: list[int] = field(default_factory=list)

    def alike(self, key: list[str], plain: list[int]) -> bool:
        """Whether the plain words (those without digits, by their places) are mostly the same."""
        own = self.words
        return sum([own[at] == key[at] for at in plain]) >= ALIKE * len(plain)

    def widen(self, key: list[str]) -> None:
        """Lines with these words belong to it, too."""
        self.words = [mine if mine == theirs else "\0" for mine, theirs in zip(self.words, key, strict=True)]


def folded(lines: Sequence[str]) -> list[str] | None:
    """The lines as templates and values; None where that gains nothing."""
    star = next((mark for mark in ("*", "<*>", "§") if not any(mark in line for line in lines)), None)
    if star is None:
        return None
    stamps = _stamps(lines)
    split = [_words(line, stamp) for line, stamp in zip(lines, stamps, strict=True)]
    clusters = [one for one in _clusters(split) if len(one.lines) >= LEAST_GROUP]
    clusters.sort(key=lambda one: -len(one.lines) * sum(len(word) for word in one.words))
    clusters = clusters[:MOST_TEMPLATES]
    if not clusters:
        return None
    clusters.sort(key=lambda one: one.lines[0])
    told: dict[int, tuple[str, list[str]]] = {}
    templates: list[str] = []
    for number, cluster in enumerate(clusters):
        label = chr(ord("A") + number)
        template, rows = _template([split[at] for at in cluster.lines], star)
        templates.append(f"{label}: {template}")
        told.update({at: (label, row) for at, row in zip(cluster.lines, rows, strict=True) if _sayable(row)})
    stamped = ", @ for the last @ line" if any(stamps) else ""
    about = (
        f'[Log folded, nothing lost: "A x y" is template A with x, y for each {star}{stamped}; " for the value above]'
    )
    return [about, *templates, *_body(lines, stamps, told)]


def _stamps(lines: Sequence[str]) -> list[str]:
    """What each line begins with of date and time, to the minute; empty where that does not repeat."""
    found = [begin[0] if (begin := _STAMP.match(line)) is not None else "" for line in lines]
    stamped = [stamp for stamp in found if stamp]
    changes = sum(one != other for one, other in pairwise(stamped))
    return found if len(stamped) > 3 * (changes + 1) else [""] * len(lines)


def _words(line: str, stamp: str) -> list[str]:
    """What stands between blanks, the stamp as an @; lines that are not to be taken apart as one word."""
    if len(line) > LONG_LINE or line[:1] == "@":
        return [line]
    return f"@{line[len(stamp) :]}".split(" ") if stamp else line.split(" ")


def _clusters(split: Sequence[list[str]]) -> list[Cluster]:
    by_length: dict[int, list[Cluster]] = {}
    known: dict[tuple[str, ...], Cluster | None] = {}
    places = [at for at, words in enumerate(split) if len(words) >= LEAST_WORDS]
    masked = _WITH_DIGIT.sub("\0", "\n".join([" ".join(split[at]) for at in places])).split("\n")
    for at, line in zip(places, masked, strict=True):
        key = tuple(line.split(" "))
        cluster = known.get(key)
        if cluster is None:
            if key in known:
                continue
            cluster = known[key] = _nearest(by_length.setdefault(len(key), []), list(key))
            if cluster is None:
                continue
        cluster.lines.append(at)
    return [cluster for near in by_length.values() for cluster in near]


def _nearest(near: list[Cluster], key: list[str]) -> Cluster | None:
    """The cluster that these words belong to, made where there is none; None where there are too many."""
    plain = [at for at, word in enumerate(key) if word and word != "\0"]
    found = next((cluster for cluster in near if cluster.alike(key, plain)), None)
    if found is not None:
        found.widen(key)
    elif len(near) < MOST_CLUSTERS:
        found = Cluster(key)
        near.append(found)
    return found


def _template(members: list[list[str]], star: str) -> tuple[str, list[list[str]]]:
    """The template of lines, given as their words, and the values of each of them."""
    parts: list[str] = []
    columns: list[list[str]] = []
    for column in zip(*members, strict=True):
        distinct = set(column)
        if len(distinct) == 1:
            parts.append(column[0])
            continue
        before, after = _shared(distinct)
        parts.append(f"{before}{star}{after}")
        begin, end = len(before), len(after)
        columns.append([value[begin : len(value) - end] for value in column] if begin or end else list(column))
    rows = [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in members]
    return " ".join(parts), rows


def _shared(values: set[str]) -> tuple[str, str]:
    """What all values begin and end with, cut where no number, name, address or placeholder is cut; something of each
    is left."""
    low, high = min(values), max(values)
    room = min(map(len, values)) - 1
    if room < 1:
        return "", ""
    told = "\n".join(values)
    cut = "[" in told or "://" in told
    whole = [at for value in values if (at := _begin_of_whole(value)) >= 0] if cut else []
    begin, most = 0, min([room, *whole])
    while begin < most and low[begin] == high[begin]:
        begin += 1
    date = _DATE.match(low)
    while begin and low[begin - 1] not in _EDGES and not (date and begin == date.end()):
        begin -= 1
    if whole:
        return low[:begin], ""
    end, room, first = 0, room - begin, low
    while end < room and all(value[-1 - end] == first[-1 - end] for value in values):
        end += 1
    while end and first[-end] not in _EDGES:
        end -= 1
    return low[:begin], first[len(first) - end :] if end else ""


def _begin_of_whole(value: str) -> int:
    """Where an address or a placeholder begins in it, which is not to be cut; -1: nowhere."""
    if "[" not in value and "://" not in value:
        return -1
    found = _PLACEHOLDER.search(value)
    return -1 if found is None else found.start()


def _body(lines: Sequence[str], stamps: list[str], told: dict[int, tuple[str, list[str]]]) -> list[str]:
    out: list[str] = []
    above: tuple[str, list[str]] = ("", [])
    stamp = ""
    for at, line in enumerate(lines):
        row = told.get(at)
        if row is None:
            out.append(f"={line}" if _LABELLED.match(line) else line)
            above = ("", [])
            continue
        if stamps[at] and stamps[at] != stamp:
            stamp = stamps[at]
            out.append(f"@{stamp}")
        label, values = row
        if label == above[0]:
            shown = [DITTO if _ditto(value, old) else value for value, old in zip(values, above[1], strict=True)]
        else:
            shown = values
        out.append(" ".join([label, *shown]))
        above = row
    return out


def _sayable(values: list[str]) -> bool:
    return "" not in values and DITTO not in values


def _ditto(value: str, above: str) -> bool:
    return value == above and len(value) > 2


def unfolded(lines: Sequence[str]) -> list[str]:
    """What `folded` was made of: for whoever has to be sure that nothing is lost."""
    star = lines[0].partition("for each ")[2].partition(";")[0].partition(",")[0]
    templates: dict[str, list[str]] = {}
    at = 1
    while at < len(lines) and re.match(r"[A-Z]: ", lines[at]) and lines[at][0] not in templates:
        templates[lines[at][0]] = lines[at][3:].split(star)
        at += 1
    out: list[str] = []
    above: tuple[str, list[str]] = ("", [])
    stamp = ""
    for line in lines[at:]:
        if line.startswith("@"):
            stamp = line[1:]
        elif line[:1] == "=" or not _LABELLED.match(line):
            out.append(line.removeprefix("="))
            above = ("", [])
        else:
            label, *values = line.split(" ")
            if label == above[0]:
                values = [old if value == DITTO else value for value, old in zip(values, above[1], strict=True)]
            pieces = templates[label]
            whole = pieces[0] + "".join([value + piece for value, piece in zip(values, pieces[1:], strict=True)])
            out.append(stamp + whole[1:] if whole[:1] == "@" else whole)
            above = (label, values)
    return out
