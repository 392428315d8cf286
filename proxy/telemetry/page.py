"""The metrics page: one memory-mapped file per process, written by its owner alone, read by control.

Layout
------
A header of 32 bytes (magic, bytes used, pid, a random id), then entries, each a multiple of 8 bytes: size (u32), key
length (u16), number of doubles (u16), the key (JSON: kind, name, labels), the doubles. Entries are only appended.
`used` is moved last, so a reader never meets half an entry; the doubles change in place. The owner holds a flock on
the file for life: whoever can take it knows that the owner is dead, without trusting pids, which are given out again.
A histogram's doubles are its buckets' own counts (not cumulative), the one above all buckets, and the sum.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import re
import struct
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

import orjson

from proxy.ports import Counter, Histogram
from proxy.telemetry.metrics import METRICS, Metric, MetricKind, metric_of

Pairs = tuple[tuple[str, str], ...]
Key = tuple[MetricKind, str, Pairs]

MAGIC = b"WEIRPG01"
PAGE_BYTES = 1024 * 1024
LEAST_BYTES = 256
SERIES_PER_METRIC = 1000
OWN_METRICS = 100
"""Metrics that are not in the table (a plugin's own) which one page takes."""
LABEL_CHARACTERS = 128
OTHER = "other"
TELLING = re.compile(
    r"[^@\s]@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2}|(?<![a-z])(?:[spr]k-[\w-]{12}|gh[a-z]_\w{20}|AKIA[0-9A-Z]{16})"
)
"""Callers write models into labels, and anybody reads those: an address or a key is none that is shown."""
FEW = frozenset({"outcome", "surface", "stream", "type", "source"})
"""Labels of our own metrics that have few values: they keep them where the others become `other`."""
FULL = "weir_metrics_page_full_total"
_HEADER = struct.Struct("=8sQQ8s")
_ENTRY = struct.Struct("=IHH")
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Series:
    """One entry as read."""

    kind: MetricKind
    name: str
    labels: tuple[tuple[str, str], ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page as read: its random id, its owner's pid, whether the owner is dead, and what it counted."""

    id: str
    pid: int
    dead: bool
    series: tuple[Series, ...]


class _Cell:
    """A counter's place on the page."""

    __slots__ = ("add",)

    def __init__(self, doubles: memoryview[float], index: int) -> None:
        def add(amount: float = 1.0) -> None:
            doubles[index] += amount

        self.add = add
        """(closed over, not looked up: every call adds to five of them)"""


class _Spread:
    """A histogram's place on the page."""

    __slots__ = ("observe",)

    def __init__(self, doubles: memoryview[float], first: int, bounds: tuple[float, ...]) -> None:
        total = first + len(bounds) + 1

        def observe(value: float) -> None:
            doubles[first + bisect_left(bounds, value)] += 1.0
            doubles[total] += value

        self.observe = observe


class _Lost:
    """What a metric becomes when the page is full: every use is counted as lost."""

    __slots__ = ("_lost",)

    def __init__(self, lost: Counter) -> None:
        self._lost = lost

    def add(self, amount: float = 1.0) -> None:
        self._lost.add()

    def observe(self, value: float) -> None:
        self._lost.add()

    def set(self, value: float) -> None:
        self._lost.add()


class Page:
    """Implements `ports.Metrics` on a page. Once it is full, new series count into `weir_metrics_page_full_total`.

    `path` is None where no file could be made (disk full): the process works on, its figures are not seen.
    """

    def __init__(self, path: Path | None, size_bytes: int = PAGE_BYTES, series: int = SERIES_PER_METRIC) -> None:
        if size_bytes < LEAST_BYTES or size_bytes % 8:
            raise ValueError(f"a page has at least {LEAST_BYTES} bytes, in eights")
        self._limit = series
        self._handles: dict[Key, Any] = {}
        self._counts: dict[str, int] = {}
        self._own: dict[str, Metric] = {}
        self._fd = -1
        self.path = path
        self._map = self._make(size_bytes)
        whole = memoryview(self._map)
        self._bytes = whole
        self._doubles = whole.cast("d")
        self._words = whole.cast("Q")
        _HEADER.pack_into(self._map, 0, MAGIC, _HEADER.size, os.getpid(), os.urandom(8))
        self._lost = _Lost(_Cell(self._doubles, self._place("counter", FULL, (), 1)))
        self._publish()

    @classmethod
    def create(cls, run: Path, slot: int | str) -> Page:
        """The page of this process in the run directory: `page-<slot>-<pid>.bin`."""
        return cls(run / f"page-{slot}-{os.getpid()}.bin")

    def _make(self, size_bytes: int) -> mmap.mmap:
        """The blocks are reserved at once: on a full disk, touching a hole of a mapped file kills the process."""
        if self.path is None:
            return mmap.mmap(-1, size_bytes)
        draft = self.path.with_name(f".{self.path.name}.new")
        try:
            self._fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._fd, 0, size_bytes)
            else:
                os.ftruncate(self._fd, size_bytes)
            return mmap.mmap(self._fd, size_bytes)
        except OSError:
            with suppress(OSError):
                draft.unlink()
            self.close()
            self.path = None
            return mmap.mmap(-1, size_bytes)

    def _publish(self) -> None:
        """Under its name the page appears only when it is locked and has its header."""
        if self.path is not None:
            os.replace(self.path.with_name(f".{self.path.name}.new"), self.path)

    def close(self) -> None:
        """Gives the page to control, which adds it to its base. Handles stay usable, to no effect."""
        if self._fd >= 0:
            fcntl.flock(self._fd, fcntl.LOCK_UN)  # the mapping keeps a duplicate open, so closing would not do
            os.close(self._fd)
            self._fd = -1

    def counter(self, name: str, **labels: str) -> Counter:
        handle: Counter = self._handle("counter", name, labels)
        return handle

    def histogram(self, name: str, **labels: str) -> Histogram:
        handle: Histogram = self._handle("histogram", name, labels)
        return handle

    def gauge(self, name: str, **labels: str) -> Callable[[float], None]:
        handle: Callable[[float], None] = self._handle("gauge", name, labels)
        return handle

    def _handle(self, kind: MetricKind, name: str, labels: dict[str, str]) -> Any:
        key = (kind, name, tuple(sorted(labels.items())))
        handle = self._handles.get(key)
        return self._resolve(key) if handle is None else handle

    def _resolve(self, key: Key) -> Any:
        """A new series, or the one that stands for all beyond the bound. What is lost is not remembered: it may come
        in any number."""
        kind, name, asked = key
        metric = metric_of(name, kind, tuple(label for label, _ in asked))
        if not self._admits(metric, key):
            return self._lost.set if kind == "gauge" else self._lost
        pairs = tuple((label, _plain(value)) for label, value in asked)
        if self._counts.get(name, 0) >= self._limit:
            kept = FEW if name in METRICS else ()
            pairs = tuple((label, value if label in kept else OTHER) for label, value in pairs)
        if (handle := self._handles.get((kind, name, pairs))) is not None:
            return handle
        first = self._place(kind, name, pairs, len(metric.buckets) + 2 if kind == "histogram" else 1)
        if first < 0:
            return self._lost.set if kind == "gauge" else self._lost
        self._counts[name] = self._counts.get(name, 0) + 1
        handle = self._build(metric, first)
        self._handles[kind, name, pairs] = handle
        return handle

    def _admits(self, metric: Metric, key: Key) -> bool:
        """Raises where the metric is used as it was not defined; False where a plugin defines too many of its own."""
        kind, name, asked = key
        defined = self._own.get(name, metric)
        if defined.kind != kind:
            raise ValueError(f"{name} is a {defined.kind}, not a {kind}")
        if sorted(defined.labels) != [label for label, _ in asked]:
            raise ValueError(f"{name} has the labels {sorted(defined.labels)}, not {[label for label, _ in asked]}")
        if name in METRICS or name in self._own:
            return True
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name for a metric")
        if len(self._own) >= OWN_METRICS:
            return False
        self._own[name] = metric
        return True

    def _build(self, metric: Metric, first: int) -> Any:
        if metric.kind == "counter":
            return _Cell(self._doubles, first)
        if metric.kind == "histogram":
            return _Spread(self._doubles, first, metric.buckets)
        return partial(self._doubles.__setitem__, first)

    def _place(self, kind: MetricKind, name: str, pairs: Pairs, count: int) -> int:
        """Appends an entry; the index of its first double, or -1 where the page is full."""
        key = orjson.dumps([kind, name, pairs])
        values = _ENTRY.size + (len(key) + 7) // 8 * 8
        size = values + 8 * count
        start = self._words[1]
        if start + size > len(self._bytes):
            return -1
        _ENTRY.pack_into(self._bytes, start, size, len(key), count)
        self._bytes[start + _ENTRY.size : start + _ENTRY.size + len(key)] = key
        self._words[1] = start + size
        return (start + values) // 8


def _plain(value: str) -> str:
    """A label's value as it may be shown: short, printable, and nobody's address or key."""
    if TELLING.search(value):
        return OTHER
    cut = value[:LABEL_CHARACTERS]
    return cut if cut.isprintable() else "".join(one if one.isprintable() else "?" for one in cut)


def read(path: Path) -> Sheet | None:
    """A page as it is now; None for what is no page (any more). A page without owner is `dead`, its figures final."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        dead = _ownerless(fd)  # asked first: what a dead owner's page says after that is its last word
        head = os.pread(fd, _HEADER.size, 0)
        if len(head) < _HEADER.size:
            return None
        magic, used, pid, nonce = _HEADER.unpack(head)
        if magic != MAGIC:
            return None
        raw = os.pread(fd, min(used, os.fstat(fd).st_size), 0)
    except OSError:
        return None
    finally:
        os.close(fd)
    return Sheet(nonce.hex(), pid, dead, tuple(parse(raw)))


def _ownerless(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def parse(raw: bytes) -> Iterator[Series]:
    """The entries of a page, header included, as far as they make sense. Never raises."""
    start = _HEADER.size
    while start + _ENTRY.size <= len(raw):
        size, key_bytes, count = _ENTRY.unpack_from(raw, start)
        values = _ENTRY.size + (key_bytes + 7) // 8 * 8
        if size != values + 8 * count or start + size > len(raw):
            return
        key = raw[start + _ENTRY.size : start + _ENTRY.size + key_bytes]
        series = _series(key, struct.unpack_from(f"={count}d", raw, start + values))
        if series is None:
            return
        yield series
        start += size


def _series(key: bytes, values: tuple[float, ...]) -> Series | None:
    try:
        kind, name, pairs = orjson.loads(key)
        labels = tuple((label, value) for label, value in pairs)
    except (ValueError, TypeError):
        return None
    texts = (name, *(text for pair in labels for text in pair))
    if not all(isinstance(text, str) for text in texts) or not all(map(isfinite, values)):
        return None
    metric = metric_of(name, kind, tuple(label for label, _ in labels))
    right = len(metric.buckets) + 2 if kind == "histogram" else 1
    if metric.kind != kind or kind not in ("counter", "histogram", "gauge") or len(values) != right:
        return None
    return Series(kind, name, labels, values)
