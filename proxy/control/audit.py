"""Verifies the audit trail: finds any change, removal, insertion, reordering or cut, and says where.

`verify` reads the file alone, so it works while Weir runs and long after. It trusts the signed head beside the trail;
whoever puts both files back to an older state is found by a checkpoint that was exported, and only by that.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import orjson

from proxy.control import chain
from proxy.control.chain import NONE, Checkpoint, load_key, parse_checkpoint
from proxy.store.journal import reader, scan, scan_texts

__all__ = ["Problem", "Report", "load_key", "parse_checkpoint", "verify"]

Kind = Literal["changed", "missing", "cut", "fork", "head", "text", "person", "short", "headless", "key", "unreadable"]
MAX_PROBLEMS = 1_000
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
    """Signature of the last entry (hex)."""
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


def verify(path: Path, key: bytes, checkpoint: Checkpoint | None = None) -> Report:
    """Reads the whole trail. `checkpoint`: a head that was exported earlier; else the one beside the file counts."""
    report = Report()
    heads = [head for head in (checkpoint, _head_beside(path)) if head is not None]
    marks = {head.count: head.mac for head in heads if chain.genuine(key, head)}
    if not heads or not all(chain.genuine(key, head) for head in heads):
        report.add("head", 0)
    try:
        with closing(reader(path)) as file:
            file.text_factory = bytes
            if not _same_key(file, key):
                return Report(problems=[Problem("key", 1, 1)])
            erasures = Erasures()
            _entries(file, key, report, marks, erasures)
            _texts(file, report, erasures)
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


def _entries(file: sqlite3.Connection, key: bytes, report: Report, marks: dict[int, str], erasures: Erasures) -> None:
    """One pass over the chain. After a problem it goes on from both signatures, the one stored and the one that should
    be there, so that each problem is told once and at its place."""
    expected, previous, repaired = 1, chain.genesis(key), b""
    for n, ref, manifest, person, content, mac, salt, private in scan(file):
        if n < 1:
            report.add("changed", n)
            continue
        if n != expected:
            report.add("missing", expected, n - 1)
        parts = (person or NONE, content or NONE, ref, manifest)
        signature = _signature(key, previous, n, parts)
        genuine = signature == mac
        if not genuine and repaired:
            genuine = _signature(key, repaired, n, parts) == mac
        if not genuine and n == expected:
            report.add("changed", n)
        if person is not None or private is not None:
            _person(n, person, salt, private, report, erasures)
        if genuine and b'"by":' in manifest:
            _told(n, orjson.loads(manifest), report, erasures)
        expected, previous, repaired = n + 1, mac if isinstance(mac, bytes) else NONE, b"" if genuine else signature
        if n in marks and marks[n] != previous.hex():
            report.add("fork", n)
    report.entries = expected - 1
    report.mac = previous.hex() if report.entries else ""


def _signature(key: bytes, previous: bytes, n: int, parts: tuple[Any, ...]) -> bytes:
    """`chain.sign`, spelled out for speed; empty where a column holds something that was never written there."""
    person, content, ref, manifest = parts
    try:
        message = b"".join((previous, n.to_bytes(8, "big"), person, content, ref, b"\0", manifest))
    except TypeError:
        return b""
    return blake2b(message, key=key, digest_size=32, person=chain.ENTRY).digest()


def _person(n: int, person: Any, salt: Any, private: Any, report: Report, erasures: Erasures) -> None:
    if private is None and salt is None:
        erasures.gone["persons"].append(n)
    elif not isinstance(private, bytes) or not isinstance(salt, bytes) or chain.seal(salt, private) != person:
        report.add("person", n)


def _texts(file: sqlite3.Connection, report: Report, erasures: Erasures) -> None:
    for n, content, salt, body in scan_texts(file):
        if body is None and salt is None:
            erasures.gone["texts"].append(n)
        elif not isinstance(body, bytes) or not isinstance(salt, bytes) or chain.seal(salt, body) != content:
            report.add("text", n)


def _told(n: int, entry: dict[str, Any], report: Report, erasures: Erasures) -> None:
    """What Weir's own entries say: erased, lost, cut. A worker's entry (it names its worker) has no say in that."""
    if "worker" in entry:
        return
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
