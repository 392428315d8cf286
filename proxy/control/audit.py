"""Verifies the audit trail: finds any change, removal, insertion, reordering or cut, and says where.

Entries are signed by the block, so a change is told as that of all entries of its block.
`verify` reads the file alone, so it works while Weir runs and long after. It trusts the signed head beside the trail;
whoever puts both files back to an older state is found by a checkpoint that was exported, and only by that.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from struct import error as StructError
from typing import Any, Literal

import orjson

from proxy.control import chain
from proxy.control.chain import NONE, Checkpoint, load_key, parse_checkpoint
from proxy.store.block import Block, lines, parsed
from proxy.store.journal import reader, refuse_old, scan, scan_parts

__all__ = ["Problem", "Report", "load_key", "parse_checkpoint", "verify"]

Kind = Literal["changed", "missing", "cut", "fork", "head", "text", "person", "short", "headless", "key", "unreadable"]
MAX_PROBLEMS = 1_000
LAST = 2**63 - 1
"""The greatest number that an entry can have."""
SENTENCES: dict[Kind, str] = {
    "changed": "changed, moved or put in: not what was signed there",
    "missing": "missing: removed from the trail",
    "cut": "missing: the trail was cut behind its last entry",
    "fork": "another history: the signed head names another last entry",
    "head": "the signed head is missing or not genuine: a cut end could not be seen",
    "text": "its text was changed, or removed without an entry that says so",
    "person": "its user or session was changed, or removed without an entry that says so",
    "short": "says that the trail was found cut at start",
    "headless": "says that the signed head was missing or not genuine at start: a cut before that could not be seen",
    "key": "signed with another key",
    "unreadable": "the file cannot be read as an audit trail",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with the entries `first` to `last`."""

    kind: Kind
    first: int
    last: int

    def __str__(self) -> str:
        where = f"entry {self.first}" if self.first == self.last else f"entries {self.first} to {self.last}"
        return f"{where}: {SENTENCES[self.kind]}"


@dataclass(slots=True)
class Report:
    """`ok` means: every entry stands as it was signed, in its place, and none is missing."""

    entries: int = 0
    lost: int = 0
    """Entries that workers made and that never arrived: signed, so no problem of the trail, but worth knowing."""
    erased_texts: int = 0
    erased_persons: int = 0
    mac: str = ""
    """Signature of the last block (hex)."""
    checkpoint: int = 0
    """Entries that a signed head vouches for."""
    problems: list[Problem] = field(default_factory=list)
    more: int = 0
    """Problems beyond those listed."""

    @property
    def ok(self) -> bool:
        return not self.problems

    def add(self, kind: Kind, first: int, last: int | None = None) -> None:
        last = first if last is None else last
        newest = self.problems[-1] if self.problems else None
        if newest is not None and newest.kind == kind and newest.last + 1 == first:
            self.problems[-1] = Problem(kind, newest.first, last)
        elif len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(kind, first, last))
        else:
            self.more += 1

    def sentences(self) -> list[str]:
        found = [str(problem) for problem in self.problems]
        return [*found, f"and {self.more} more"] if self.more else found


@dataclass(slots=True)
class Erasures:
    """What signed entries say was erased, and what is gone: the second must lie within the first."""

    said: dict[str, list[list[int]]] = field(default_factory=lambda: {"texts": [], "persons": []})
    gone: dict[str, list[int]] = field(default_factory=lambda: {"texts": [], "persons": []})

    def unsaid(self, part: str) -> Iterable[int]:
        runs = sorted(self.said[part])
        starts = [run[0] for run in runs]
        reach: list[int] = []
        for _, last in runs:
            reach.append(max(last, reach[-1] if reach else last))
        for n in self.gone[part]:
            place = bisect_right(starts, n) - 1
            if place < 0 or reach[place] < n:
                yield n


class Beside:
    """The erasable parts of one kind as they are left, read along with the blocks."""

    def __init__(self, kind: Literal["text", "person"], rows: Iterator[tuple[Any, ...]]) -> None:
        self.kind: Literal["text", "person"] = kind
        self.hashes: dict[int, bytes] = {}
        """What the block at hand has signed of them."""
        self._rows = rows
        self._next = next(rows, None)

    def compare(self, last: int, report: Report, gone: list[int], *, known: bool) -> None:
        """The parts up to this entry; not `known`: it was told already that their entries are not what was signed."""
        while self._next is not None and self._next[0] <= last:
            n, salt, body, sound = self._next
            self._next = next(self._rows, None)
            signed = self.hashes.pop(n, None)
            if known and not (sound and _sealed(salt, body) == signed):
                report.add(self.kind, n)
        gone.extend(self.hashes)
        self.hashes.clear()


def _sealed(salt: bytes, body: bytes) -> bytes:
    try:
        return chain.seal(salt, body).hex().encode()
    except ValueError:  # no salt is that long
        return b""


def verify(path: Path, key: bytes, checkpoint: Checkpoint | None = None) -> Report:
    """Reads the whole trail. `checkpoint`: a head that was exported earlier; else the one beside the file counts.
    ConfigError where the trail is one of an older Weir."""
    report = Report()
    heads = [head for head in (checkpoint, _head_beside(path)) if head is not None]
    marks = {head.count: head.mac for head in heads if chain.genuine(key, head)}
    if not heads or not all(chain.genuine(key, head) for head in heads):
        report.add("head", 0)
    erasures = Erasures()
    try:
        with closing(reader(path)) as file:
            refuse_old(file)
            file.text_factory = bytes
            file.execute("BEGIN")  # all of it as of one moment, while Weir may be writing
            if not _same_key(file, key):
                return Report(problems=[Problem("key", 1, 1)])
            _blocks(file, key, report, marks, erasures)
    except (sqlite3.DatabaseError, ValueError, TypeError):
        report.add("unreadable", 1)
        return report
    for kind, part in (("text", "texts"), ("person", "persons")):
        for n in erasures.unsaid(part):
            report.add("text" if kind == "text" else "person", n)
    report.erased_texts, report.erased_persons = len(erasures.gone["texts"]), len(erasures.gone["persons"])
    report.checkpoint = max(marks, default=0)
    if report.checkpoint > report.entries:
        report.add("cut", report.entries + 1, report.checkpoint)
    return report


def _blocks(file: sqlite3.Connection, key: bytes, report: Report, marks: dict[int, str], erasures: Erasures) -> None:
    """One pass over the chain. After a problem it goes on from both signatures, the one stored and the one that should
    be there, so that each problem is told once and at its place."""
    persons, texts = Beside("person", scan_parts(file, "persons")), Beside("text", scan_parts(file, "texts"))
    end, previous, repaired = 0, chain.genesis(key), b""
    for row in scan(file):
        block, sound = Block(*row[:-1]), row[-1]
        if block.last < 1:
            report.add("changed", block.last)
            continue
        signature = _signature(key, previous, block)
        genuine = sound and signature == block.mac
        if sound and not genuine and repaired:
            genuine = _signature(key, repaired, block) == block.mac
        begin = end + 1
        if genuine:
            _signed(block, persons, texts, report, erasures)
        elif sound and begin < block.first <= block.last:
            report.add("missing", begin, block.first - 1)
            begin = block.first
        else:
            report.add("changed", begin, block.last)
        persons.compare(block.last, report, erasures.gone["persons"], known=genuine)
        texts.compare(block.last, report, erasures.gone["texts"], known=genuine)
        mac = block.mac if isinstance(block.mac, bytes) else NONE
        for n in marks:
            if begin <= n <= block.last and (n < block.last or marks[n] != mac.hex()):
                report.add("fork", n)
        end, previous, repaired = block.last, mac, b"" if genuine else signature
    report.entries, report.mac = end, previous.hex() if end else ""
    known = end >= max(marks, default=0)
    persons.compare(LAST, report, erasures.gone["persons"], known=known)
    texts.compare(LAST, report, erasures.gone["texts"], known=known)


def _signature(key: bytes, previous: bytes, block: Block) -> bytes:
    """What the block's should be."""
    refs: Any = (block.earliest, block.latest)
    try:
        return chain.sign(key, previous, (block.first, block.last, block.chained), refs, block.body)
    except (StructError, TypeError):  # columns of a kind that was never written there
        return NONE


def _signed(block: Block, persons: Beside, texts: Beside, report: Report, erasures: Erasures) -> None:
    """What a genuine block says: of the parts beside it, and in Weir's own entries."""
    for n, line in enumerate(lines(block), block.first):
        _, worker, _, person, content, manifest = parsed(line)
        if person:
            persons.hashes[n] = person
        if content:
            texts.hashes[n] = content
        if not worker:
            _told(n, orjson.loads(manifest), report, erasures)


def _told(n: int, entry: dict[str, Any], report: Report, erasures: Erasures) -> None:
    """What Weir's own entries say: erased, lost, cut. A worker's entry (it names its worker) has no say in that."""
    details = entry.get("details") or {}
    match entry.get("action"):
        case "erase":
            for part in ("texts", "persons"):
                if details.get(part):
                    erasures.said[part].extend(details["entries"])
        case "lost":
            report.lost += details["to"] - details["from"] + 1
        case "chain.short":
            report.add("short", n)
        case "chain.headless":
            report.add("headless", n)


def _same_key(file: sqlite3.Connection, key: bytes) -> bool:
    row = file.execute("SELECT value FROM facts WHERE name = 'key'").fetchone()
    return row is None or row[0] == chain.fingerprint(key).encode()


def _head_beside(path: Path) -> Checkpoint | None:
    try:
        return parse_checkpoint(path.with_name("audit.head").read_bytes())
    except (OSError, ValueError):
        return None
