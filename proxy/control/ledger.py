"""The audit trail as it grows: numbers and signs entries, notices lost ones, keeps the signed head, erases texts.

Belongs to the writer's thread. Workers number their entries; a number that does not come within `GRACE_S` of its
successor is lost, and a signed entry says so. Everything an administrator does is an entry as well. What is committed
together is signed together, as one block.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from proxy.control import chain
from proxy.control.chain import Checkpoint, seal, sign
from proxy.errors import ConfigError
from proxy.ports import Clock
from proxy.store.block import Block, packed, parsed
from proxy.store.journal import Journal, Part, Writing

LOG = logging.getLogger("weir.audit")
GRACE_S = 5.0
SAVE_S = 1.0
NUMBERED = "numbered"
"""The fact that says up to which entry the saved states of the workers' numbers go."""
SALT_BYTES = 16
SALTS = 256
"""Drawn at once."""
BLOCK_ENTRIES = 1_000
"""More than that become several blocks: one block is unpacked to read one entry."""
APART = frozenset(("content", "user", "session", "call", "worker", "seq", "chained"))
"""Of a worker's entry: erasable (or the reference) beside the manifest, or set in its line here."""

Entry = Mapping[str, Any]
Prepared = tuple[str, str, int, str, Any, Any, Any]
"""A worker's entry as its line has it: reference, worker (a JSON string), number, manifest (an object without the two;
both stay as they are), user, session, content. There is no tab and no newline in the first four."""


@dataclass(slots=True)
class Numbering:
    """A worker's highest number so far, and the gaps below it: [first, last, since when (monotonic)]."""

    last: int = 0
    gaps: list[tuple[int, int, float]] = field(default_factory=list)

    def see(self, seq: int, now_s: float) -> bool:
        """Notes a number; False where it was seen before or given up as lost."""
        if seq > self.last:
            if seq > self.last + 1:
                self.gaps.append((self.last + 1, seq - 1, now_s))
            self.last = seq
            return True
        for place, (first, last, since_s) in enumerate(self.gaps):
            if first <= seq <= last:
                halves = ((first, seq - 1, since_s), (seq + 1, last, since_s))
                self.gaps[place : place + 1] = [half for half in halves if half[0] <= half[1]]
                return True
        return False

    def overdue(self, before_s: float) -> list[tuple[int, int]]:
        """Gives up the gaps that opened before this moment."""
        lost = [(first, last) for first, last, since_s in self.gaps if since_s <= before_s]
        self.gaps = [gap for gap in self.gaps if gap[2] > before_s]
        return lost

    def state(self) -> dict[str, Any]:
        return {"last": self.last, "gaps": [[first, last] for first, last, _ in self.gaps]}


class Ledger:
    """Opens the trail under `data`, beginning it where there is none; ConfigError where the key is another one or the
    file is no trail."""

    def __init__(self, data: Path, key: bytes, clock: Clock) -> None:
        self._key = key
        self._clock = clock
        self._head_path = data / "audit.head"
        self._written: Checkpoint | None = None
        self._saved_s = 0.0
        self._salts: list[bytes] = []
        try:
            self.journal = Journal(data / "audit.db")
            self._count, mac = self.journal.head()
            self._mac = mac or chain.genesis(key)
            self._workers = self._restored()
            self._begin()
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise ConfigError(
                f"the audit trail cannot be opened ({reason(error)}): if audit.db is damaged, restore it, or move it "
                "and audit.head away to begin another"
            ) from error

    @property
    def count(self) -> int:
        return self._count

    def append(self, entries: Iterable[Entry], *, durable: bool = False) -> int:
        """As `extend`, of entries as plain mappings."""
        return self.extend([prepared(entry) for entry in entries], durable=durable)

    def extend(self, entries: Sequence[Prepared], *, durable: bool = False) -> int:
        """Chains the workers' entries that are not there yet, commits, and returns how many those were."""
        now_s = self._clock.monotonic_s()
        touched, by_worker = self._touched, self._by_worker
        seen: list[int] = []
        for place, entry in enumerate(entries):
            worker, seq = entry[1], entry[2]
            name, numbering = by_worker.get(worker) or self._numbering(worker)
            if seq == numbering.last + 1:
                numbering.last = seq
            elif not numbering.see(seq, now_s):
                seen.append(place)
            touched[name] = numbering
        if seen:
            entries = self._new(entries, seen)
        if entries:
            self._commit(self._blocks(entries), save=now_s - self._saved_s >= SAVE_S, durable=durable)
        return len(entries)

    def _numbering(self, worker: str) -> tuple[str, Numbering]:
        name = str(orjson.loads(worker))
        found = self._by_worker[worker] = (name, self._workers.setdefault(name, Numbering()))
        return found

    def _new(self, entries: Sequence[Prepared], seen: list[int]) -> list[Prepared]:
        """The entries without those that are in the chain already, or earlier in this very batch. `seen`: the places
        of those whose number came before, or was given up."""
        marks = [f"{ref}\t{worker}\t{seq}".encode() for ref, worker, seq, *_ in entries]
        doubtful = set(seen)
        there = self.journal.present({marks[place] for place in seen})
        there |= {mark for place, mark in enumerate(marks) if place not in doubtful}
        kept = []
        for place, entry in enumerate(entries):
            if place not in doubtful or marks[place] not in there:
                there.add(marks[place])
                kept.append(entry)
        return kept

    def _blocks(self, entries: Sequence[Prepared]) -> Writing:
        """The entries as blocks, and what is erasable of them."""
        writing, n = Writing(), self._count
        lines = []
        for entry in entries:
            n += 1
            ref, worker, seq, manifest, user, session, content = entry
            person = said = ""
            if user is not None or session is not None:
                person = self._apart(writing.persons, n, _person(user, session))
            if content is not None:
                said = self._apart(writing.texts, n, _text(content))
            lines.append(f"{ref}\t{worker}\t{seq}\t{person}\t{said}\t{manifest}")
        count, mac = self._count, self._mac
        for first in range(0, len(lines), BLOCK_ENTRIES):
            part = lines[first : first + BLOCK_ENTRIES]
            refs = [entry[0] for entry in entries[first : first + BLOCK_ENTRIES]]
            block = self._block((count, mac), "\n".join(part).encode(), len(part), (min(refs), max(refs)))
            writing.blocks.append(block)
            count, mac = block.last, block.mac
        return writing

    def _apart(self, parts: list[Part], n: int, body: bytes) -> str:
        """Puts an erasable part beside the chain; its hash."""
        if not self._salts:
            drawn = os.urandom(SALT_BYTES * SALTS)
            self._salts = [drawn[at : at + SALT_BYTES] for at in range(0, len(drawn), SALT_BYTES)]
        salt = self._salts.pop()
        parts.append((n, salt, body))
        return seal(salt, body).hex()

    def _block(self, head: tuple[int, bytes], text: bytes, entries: int, refs: tuple[str, str]) -> Block:
        """So many entries behind this head, signed."""
        if text.count(b"\n") != entries - 1:
            raise ValueError("an entry has one line")
        count, mac = head
        body, chained = packed(text), round(self._clock.wall_s(), 3)
        place = (count + 1, count + entries, chained)
        signature = sign(self._key, mac, place, (refs[0].encode(), refs[1].encode()), body)
        return Block(count + entries, count + 1, chained, *refs, signature, body)

    def append_admin(self, who: str, action: str, details: Mapping[str, Any]) -> int:
        """An entry about what an administrator, or Weir itself, did. Durable at once; returns its number."""
        entry = {"action": action, "by": who, "details": dict(details)}
        self._commit(Writing([self._own(entry)]), durable=True)
        return self._count

    def settle(self, *, all_of_them: bool = False) -> int:
        """Writes a `lost` entry for every gap that has waited long enough. Returns how many entries are lost."""
        before_s = self._clock.monotonic_s() - (0.0 if all_of_them else GRACE_S)
        lost = [(name, gap) for name, numbering in self._workers.items() for gap in numbering.overdue(before_s)]
        for worker, (first, last) in lost:
            LOG.error("audit entries %d..%d of worker %s never came", first, last, worker)
            entry = {"action": "lost", "by": "weir", "details": {"worker": worker, "from": first, "to": last}}
            self._touched[worker] = self._workers[worker]
            self._commit(Writing([self._own(entry)]), save=True, durable=True)
        return sum(last - first + 1 for _, (first, last) in lost)

    def erase(
        self, numbers: Sequence[int], who: str, why: str, *, texts: bool = True, persons: bool = False, calls: int = 0
    ) -> int:
        """Erases texts, and persons too where asked, of these entries; the chain stays whole and says what is gone.
        `calls`: as many records will be erased along with it, which is noted even where there is no entry of them."""
        if not numbers and not calls:
            return 0
        details = {"entries": _ranges(numbers), "texts": texts, "persons": persons, "why": why}
        if calls:
            details["calls"] = calls
        entry = {"action": "erase", "by": who, "details": details}
        block = self._own(entry)
        self.journal.erase(block, numbers, texts=texts, persons=persons)
        self._count, self._mac = block.last, block.mac
        return len(numbers)

    def expire_texts(self, keep_s: float) -> int:
        """Erases the texts of entries older than `keep_s`."""
        last = self.journal.last_before(self._clock.wall_s() - keep_s)
        return self.erase(self.journal.with_text(last), "weir", "kept long enough")

    def expire_persons(self, keep_s: float) -> int:
        """Makes entries older than `keep_s` nobody's."""
        last = self.journal.last_before(self._clock.wall_s() - keep_s)
        return self.erase(self.journal.with_person(last), "weir", "kept long enough", texts=False, persons=True)

    def checkpoint(self) -> Checkpoint:
        """The signed head of now, to be kept elsewhere: with it a cut end is found."""
        return chain.checkpoint(self._key, self._count, self._mac, self._clock.wall_s())

    def write_head(self) -> None:
        """Puts the signed head beside the trail, if that has grown. The trail reaches the disk first."""
        if self._written is not None and self._written.count == self._count:
            return
        self.journal.sync()
        head = self.checkpoint()
        beside = self._head_path.with_suffix(".head.new")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(head.line() + "\n")
            file.flush()
            os.fsync(file.fileno())  # a head that a power cut left empty would look like a forged one
        beside.replace(self._head_path)
        self._written = head

    def close(self) -> None:
        self.settle(all_of_them=True)
        self.write_head()
        self.journal.close()

    def _begin(self) -> None:
        mine, known = chain.fingerprint(self._key), self.journal.fact("key")
        if known is not None and known != mine:
            raise ConfigError(
                "the audit trail was begun with another key: give that one, or move audit.db and audit.head away"
            )
        before = self._count
        if known is None:
            self._fact("key", mine)
            self.append_admin("weir", "chain.begin", {"id": os.urandom(8).hex(), "key": mine})
        self._compare_head(before)
        self.write_head()

    def _compare_head(self, count: int) -> None:
        """The next head must not make forgotten what the one found here says: a trail shorter than it was cut, and a
        trail without a genuine one may have been."""
        head, fault = self._found_head()
        if head is None and (fault != "missing" or count):
            LOG.error("audit.head is %s: whether the audit trail (%d entries) was cut cannot be seen", fault, count)
            self.append_admin("weir", "chain.headless", {"head": fault, "found": count})
        if head is not None and head.count > count:
            LOG.error("the audit trail had %d entries and has %d: it was cut", head.count, count)
            self.append_admin("weir", "chain.short", {"expected": head.count, "found": count, "mac": head.mac})

    def _found_head(self) -> tuple[Checkpoint | None, str]:
        """The genuine head beside the trail, or why there is none."""
        try:
            head = chain.parse_checkpoint(self._head_path.read_bytes())
        except FileNotFoundError:
            return None, "missing"
        except (ValueError, OSError):
            return None, "unreadable"
        return (head, "") if chain.genuine(self._key, head) else (None, "not genuine")

    def _fact(self, name: str, value: str) -> None:
        self.journal.write(Writing(facts={name: value}), durable=True)

    def _commit(self, writing: Writing, *, save: bool = False, durable: bool) -> None:
        """`save`: what is known of the workers' numbers goes along. Not every time: it would be one more page in every
        commit, and the entries since can tell it (`_restored`)."""
        end = writing.blocks[-1]
        if save:
            writing.workers = {name: each.state() for name, each in self._touched.items()}
            writing.facts = {NUMBERED: str(end.last)}
        try:
            self.journal.write(writing, durable=durable)
        except Exception:
            # What was noted of the numbers must not outlive a batch that will be sent again.
            self._workers = self._restored()
            raise
        if save:
            self._touched.clear()
            self._saved_s = self._clock.monotonic_s()
        self._count, self._mac = end.last, end.mac

    def _restored(self) -> dict[str, Numbering]:
        """What the file says of the workers' numbers: as last saved, and what the entries after that tell."""
        now_s = self._clock.monotonic_s()
        found = {
            name: Numbering(state["last"], [(first, last, now_s) for first, last in state["gaps"]])
            for name, state in self.journal.workers().items()
        }
        self._touched: dict[str, Numbering] = {}
        self._by_worker: dict[str, tuple[str, Numbering]] = {}
        saved = self.journal.fact(NUMBERED)
        for line in self.journal.lines(self._count if saved is None else int(saved)):
            entry = parsed(line)
            if entry.worker:
                name = str(orjson.loads(entry.worker))
                numbering = self._touched[name] = found.setdefault(name, Numbering())
                numbering.see(_number(int(entry.seq)), now_s)
        return found

    def _own(self, entry: dict[str, Any]) -> Block:
        """The next entry, of Weir's own: a block for itself, without reference and worker."""
        return self._block((self._count, self._mac), b"\t" * 5 + _canonical(entry), 1, ("", ""))


def prepared(entry: Entry) -> Prepared:
    """A worker's entry that came as a plain mapping."""
    manifest = {name: value for name, value in entry.items() if name not in APART}
    return (
        reference(str(entry.get("call") or "")),
        orjson.dumps(str(entry.get("worker") or "")).decode(),
        _number(entry.get("seq")),
        _canonical(manifest).decode(),
        entry.get("user"),
        entry.get("session"),
        entry.get("content"),
    )


def reference(call: str) -> str:
    """The id of a call, as it may stand in a line."""
    return call if call.isprintable() else "".join(filter(str.isprintable, call))


def _person(user: Any, session: Any) -> bytes:
    return orjson.dumps({"user": _name(user), "session": _name(session)})


def _text(content: Any) -> bytes:
    try:
        return orjson.dumps(content)
    except TypeError:  # nested beyond what JSON is written in
        return b'{"mode":"unreadable"}'


def _canonical(manifest: dict[str, Any]) -> bytes:
    """What is signed, byte for byte. An entry that cannot be written (nested without end) still takes its place."""
    try:
        return orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return b'{"action":"unreadable"}'


def reason(error: BaseException) -> str:
    """Why the disk said no, without any path: a full one is said to be full."""
    if isinstance(error, sqlite3.Error):
        return str(error)
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def _name(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


def _number(value: Any) -> int:
    return value if isinstance(value, int) and 0 < value < 2**53 else 0


def _ranges(numbers: Sequence[int]) -> list[list[int]]:
    """Sorted numbers as [first, last] runs."""
    runs: list[list[int]] = []
    for n in sorted(numbers):
        if runs and n == runs[-1][1] + 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    return runs
