"""The audit trail as it grows: numbers and signs entries, notices lost ones, keeps the signed head, erases texts.

Belongs to the writer's thread. Workers number their entries; a number that does not come within `GRACE_S` of its
successor is lost, and a signed entry says so. Everything an administrator does is an entry as well.
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
from proxy.control.chain import NONE, Checkpoint
from proxy.errors import ConfigError
from proxy.ports import Clock
from proxy.store.journal import Journal, Link

LOG = logging.getLogger("weir.audit")
GRACE_S = 5.0
SALT_BYTES = 16
APART = ("content", "user", "session", "call")
"""Of a worker's entry: not in the manifest, but erasable (or the reference) beside it."""

Entry = Mapping[str, Any]


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
        """Chains the workers' entries that are not there yet, commits, and returns how many those were."""
        now_s = self._clock.monotonic_s()
        touched: dict[str, Any] = {}
        links: list[Link] = []
        count, mac = self._count, self._mac
        at_s = round(self._clock.wall_s(), 3)
        for entry in entries:
            ref, worker, seq = str(entry.get("call") or ""), str(entry.get("worker") or ""), _number(entry.get("seq"))
            numbering = self._workers.setdefault(worker, Numbering())
            if not numbering.see(seq, now_s) and (
                self.journal.has(ref, seq, worker) or _among(links, ref, seq, worker)
            ):
                continue
            touched[worker] = numbering
            link = self._link(count + 1, mac, {**entry, "worker": worker, "seq": seq}, at_s)
            count, mac = link.n, link.mac
            links.append(link)
        self._commit(links, touched, durable=durable)
        return len(links)

    def append_admin(self, who: str, action: str, details: Mapping[str, Any]) -> int:
        """An entry about what an administrator, or Weir itself, did. Durable at once; returns its number."""
        entry = {"action": action, "by": who, "details": dict(details)}
        link = self._link(self._count + 1, self._mac, entry, round(self._clock.wall_s(), 3))
        self._commit([link], {}, durable=True)
        return link.n

    def settle(self, *, all_of_them: bool = False) -> int:
        """Writes a `lost` entry for every gap that has waited long enough. Returns how many entries are lost."""
        before_s = self._clock.monotonic_s() - (0.0 if all_of_them else GRACE_S)
        lost = [(name, gap) for name, numbering in self._workers.items() for gap in numbering.overdue(before_s)]
        for worker, (first, last) in lost:
            LOG.error("audit entries %d..%d of worker %s never came", first, last, worker)
            entry = {"action": "lost", "by": "weir", "details": {"worker": worker, "from": first, "to": last}}
            link = self._link(self._count + 1, self._mac, entry, round(self._clock.wall_s(), 3))
            self._commit([link], {worker: self._workers[worker]}, durable=True)
        return sum(last - first + 1 for _, (first, last) in lost)

    def erase(self, numbers: Sequence[int], who: str, why: str, *, texts: bool = True, persons: bool = False) -> int:
        """Erases texts, and persons too where asked, of these entries; the chain stays whole and says what is gone."""
        if not numbers:
            return 0
        details = {"entries": _ranges(numbers), "texts": texts, "persons": persons, "why": why}
        entry = {"action": "erase", "by": who, "details": details}
        link = self._link(self._count + 1, self._mac, entry, round(self._clock.wall_s(), 3))
        self.journal.erase(link, numbers, texts=texts, persons=persons)
        self._count, self._mac = link.n, link.mac
        return len(numbers)

    def expire_texts(self, keep_s: float) -> int:
        """Erases the texts of entries older than `keep_s`."""
        last = self.journal.last_before(self._clock.wall_s() - keep_s)
        return self.erase(self.journal.with_text(last), "weir", "kept long enough")

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
        self.journal.write([], facts={name: value}, durable=True)

    def _commit(self, links: list[Link], touched: Mapping[str, Numbering], *, durable: bool) -> None:
        if not links and not touched:
            return
        try:
            self.journal.write(links, {name: each.state() for name, each in touched.items()}, durable=durable)
        except Exception:
            # What was noted of the numbers must not outlive a batch that will be sent again.
            self._workers = self._restored()
            raise
        if links:
            self._count, self._mac = links[-1].n, links[-1].mac

    def _restored(self) -> dict[str, Numbering]:
        now_s = self._clock.monotonic_s()
        return {
            name: Numbering(state["last"], [(first, last, now_s) for first, last in state["gaps"]])
            for name, state in self.journal.workers().items()
        }

    def _link(self, n: int, previous: bytes, entry: Entry, at_s: float) -> Link:
        manifest = {**entry, "chained": at_s}
        for name in APART:
            manifest.pop(name, None)
        signed = _canonical(manifest)
        ref = str(entry.get("call") or "").replace("\0", "")
        salt = private = who = person = body_salt = body = content = None
        user, session = entry.get("user"), entry.get("session")
        if user is not None or session is not None:
            salt, who = os.urandom(SALT_BYTES), orjson.dumps({"user": _name(user), "session": _name(session)})
            person, private = chain.seal(salt, who), who.decode()
        if (said := entry.get("content")) is not None:
            body_salt, body = os.urandom(SALT_BYTES), orjson.dumps(said)
            content = chain.seal(body_salt, body)
        mac = chain.sign(self._key, previous, n, ref.encode(), signed, (person or NONE) + (content or NONE))
        return Link(n, ref, signed.decode(), person, content, mac, salt, private, body_salt, body)


def _canonical(manifest: dict[str, Any]) -> bytes:
    """What is signed, byte for byte. An entry that cannot be written (nested without end) still takes its place."""
    try:
        return orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        kept = {name: manifest.get(name) for name in ("worker", "seq", "chained")}
        return orjson.dumps({**kept, "action": "unreadable"}, option=orjson.OPT_SORT_KEYS)


def reason(error: BaseException) -> str:
    """Why the disk said no, without any path: a full one is said to be full."""
    if isinstance(error, sqlite3.Error):
        return str(error)
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def _name(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


def _number(value: Any) -> int:
    return value if isinstance(value, int) and 0 < value < 2**53 else 0


def _among(links: list[Link], ref: str, seq: int, worker: str) -> bool:
    """Whether this very batch holds the entry already."""
    found = (orjson.loads(link.manifest) for link in links if link.ref == ref)
    return any(entry.get("seq") == seq and entry.get("worker") == worker for entry in found)


def _ranges(numbers: Sequence[int]) -> list[list[int]]:
    """Sorted numbers as [first, last] runs."""
    runs: list[list[int]] = []
    for n in sorted(numbers):
        if runs and n == runs[-1][1] + 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    return runs
