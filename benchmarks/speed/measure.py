"""One round of one case on one subject, and the rounds of a case: subjects take turns, so that all meet the same noise.

After the last answer of a round comes a pause before CPU is read: a relay that puts work off (Weir sends its records in
batches every 50 ms and writes them in another process) has it counted all the same. Every subject gets that pause.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from benchmarks.speed import proc
from benchmarks.speed.calls import Call, source
from benchmarks.speed.cases import CHUNKS, RATE, Case, short
from benchmarks.speed.figures import percentile
from benchmarks.speed.load import Source, Tally, fixed, saturated
from benchmarks.speed.subjects import Running

FLUSH_S = 0.3
WARM_S = 0.3
LONG_WARM_S = 2.0
"""Where texts differ: every one has been seen once, so that what is built for its kind of text is built."""
STREAMS_S = 1000.0
"""Paced streams begin at this rate."""
Sample = dict[str, float]


@dataclass(slots=True)
class Measured:
    """A case's samples, by subject: one a round, None where nothing came of it."""

    case: Case
    samples: dict[str, list[Sample | None]] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    """Why a subject has none."""

    def series(self, subject: str, figure: str) -> list[float | None]:
        return [None if one is None else one.get(figure) for one in self.samples.get(subject, [])]

    def added(self, subject: str) -> list[float | None]:
        """The case's own figure, round by round; latencies less the provider's own."""
        found = self.series(subject, self.case.figure)
        if self.case.figure == "cpu_us" or subject == "provider":
            return found
        own = self.series("provider", self.case.figure)
        return [None if one is None or two is None else one - two for one, two in zip(found, own, strict=False)]


@dataclass(slots=True)
class Place:
    """A subject with its calls of one case, made ahead."""

    running: Running
    source: Source
    shorter: Source | None


def rounds(measured: Measured, running: Mapping[str, Running], count: int, window_s: float) -> None:
    """Adds `count` rounds to what was measured; the order turns round every time."""
    case = measured.case
    places = {key: _place(case, one) for key, one in running.items() if key in _wanted(case, running)}
    for key, place in list(places.items()):
        if why := _warm(case, place):
            measured.why[key] = why
            del places[key]
    for number in range(count):
        keys = list(places) if number % 2 == 0 else list(reversed(places))
        for key in keys:
            measured.samples.setdefault(key, []).append(sample(case, places[key], window_s))


def _wanted(case: Case, running: Mapping[str, Running]) -> Sequence[str]:
    """The case's subjects; the peers and another tree, where they run, take part in every case."""
    ours = {"provider", "bare", "floor", "weir", "looking", "watching", "unaudited", "guarded"}
    return [key for key in running if key in case.subjects or key not in ours]


def _place(case: Case, running: Running) -> Place:
    made = source(case.call, running.subject)
    return Place(running, made, source(short(case.call), running.subject) if case.way == "paced" else None)


def _warm(case: Case, place: Place) -> str:
    """Calls that are not counted, which also tell what the subject can do; or why it cannot be measured."""
    connections = 1 if case.way == "alone" else min(8, case.connections)
    warm_s = LONG_WARM_S if case.call.sort == "prose" else WARM_S
    seen = asyncio.run(saturated(place.running.port, place.shorter or place.source, warm_s, connections))
    if not seen.calls or seen.failed:
        return f"{seen.failed} of {seen.failed + seen.calls} calls failed"
    able = seen.calls / seen.seconds
    if case.way == "rate" and able < 2 * RATE:
        return f"does {able:.0f} calls/s at most"
    return ""


def sample(case: Case, place: Place, window_s: float) -> Sample | None:
    """None where calls failed, or processes ended meanwhile."""
    try:
        return _sample(case, place, window_s)
    except (ProcessLookupError, ConnectionError):
        return None


def _sample(case: Case, place: Place, window_s: float) -> Sample | None:
    port = place.running.port
    if case.way == "paced":
        return _paced(case, place)
    if case.way == "rate":
        return _sampled(place, lambda: asyncio.run(fixed(port, place.source, int(RATE * window_s), RATE)))
    return _sampled(place, lambda: asyncio.run(saturated(port, place.source, window_s, case.connections)))


def _paced(case: Case, place: Place) -> Sample | None:
    """The same number of long and of short streams: what differs is the chunks alone. They begin one after the other:
    streams in step would hand the relay their chunks by the dozen, which is cheaper than life."""
    assert place.shorter is not None
    count = streams(case.connections, place.running.capacity)
    found = []
    for made in (place.source, place.shorter):
        load = partial(fixed, place.running.port, made, count, STREAMS_S, count)
        found.append(_sampled(place, lambda load=load: asyncio.run(load())))  # type: ignore[misc]
    long, brief = found
    if long is None or brief is None:
        return None
    return {**long, "stream_us": long["cpu_us"], "cpu_us": (long["cpu_us"] - brief["cpu_us"]) / CHUNKS}


def streams(wished: int, capacity: float) -> int:
    """Fewer for the slow ones: past saturation chunks arrive joined, and joined chunks look cheap."""
    return max(1, min(wished, int(capacity / 40))) if capacity else wished


def _sampled(place: Place, run: Callable[[], Tally]) -> Sample | None:
    with _undisturbed():
        before, begun = proc.reading(place.running.pids()), time.perf_counter()
        tally = run()
        running_s = time.perf_counter() - begun
        time.sleep(FLUSH_S)
        spent = proc.spent_s(before, proc.reading(place.running.pids()))
    if not tally.calls or tally.failed:
        return None
    each = 1e6 / tally.calls
    own = {"own_ms": statistics.median(tally.own_ms)} if tally.own_ms else {}
    return own | {
        "cpu_us": sum(spent.values()) * each,
        "busiest_us": max(spent.values()) * each,
        "busy": sum(spent.values()) / running_s,
        "calls": float(tally.calls),
        "calls_s": tally.calls / tally.seconds,
        "p50_ms": statistics.median(tally.latencies_s) * 1000,
        "p99_ms": percentile(tally.latencies_s, 0.99) * 1000,
        "first_ms": statistics.median(tally.first_s) * 1000,
        "reads": tally.reads / tally.calls,
    }


@contextmanager
def _undisturbed() -> Iterator[None]:
    """The caller's own collector stays out of what it measures."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def capacity(running: Running) -> float:
    """Calls/s of small JSON calls: by this the slow ones are spared what they cannot do."""
    seen = asyncio.run(saturated(running.port, source(Call(), running.subject), WARM_S, 8))
    return seen.calls / seen.seconds if seen.calls else 0.0
