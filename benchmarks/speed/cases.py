"""The rows: what is sent, how, to whom, and which figure of it counts. A new row is one more `Case` here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.speed.calls import Call

Way = Literal["saturated", "alone", "rate", "paced"]
Figure = Literal["cpu_us", "p50_ms", "first_ms"]
BURST, PACED = 50, (50, 10)
"""Texts of a burst stream; of the long and the short paced one, whose difference is the cost of the texts alone."""
CHUNKS = PACED[0] - PACED[1]
PACE_MS = 10
RATE = 200.0
"""Calls/s: far below what any of ours can do, so that nothing queues."""
BOTH = ("bare", "weir")
ALL = ("bare", "floor", "weir", "looking", "watching", "unaudited")
TIMED = ("provider", "bare", "floor", "weir")


@dataclass(frozen=True, slots=True)
class Case:
    """saturated: `connections` at a time, as fast as it goes; alone: one at a time; rate: begun at a fixed rate;
    paced: streams that come slowly, a long and a short one, far below saturation."""

    key: str
    title: str
    call: Call
    way: Way = "saturated"
    figure: Figure = "cpu_us"
    subjects: tuple[str, ...] = BOTH
    connections: int = 32
    headline: bool = False
    """In every mode, against peers, and also with a TLS 1.3 provider."""
    tls: bool = False

    @property
    def unit(self) -> str:
        if self.figure != "cpu_us":
            return "ms added"
        return "CPU us/chunk" if self.way == "paced" else "CPU us/call"


def short(call: Call) -> Call:
    """The other stream of a paced pair."""
    return replace(call, answer=f"paced-{PACED[1]}-{PACE_MS}")


SLOW = Call(answer=f"paced-{PACED[0]}-{PACE_MS}", stream=True)
FAST = Call(answer=f"burst-{BURST}", stream=True)
GUARDED = ("bare", "weir", "guarded")
CACHED = ("bare", "weir", "cached")
SAVING = ("bare", "weir", "saving")
PLAIN = (
    Case("json-1.5", "JSON call, 1.5 KB", Call(), subjects=ALL, headline=True),
    Case("json-50", "JSON call, 50 KB", Call(size=50_000), subjects=ALL, headline=True),
    Case("burst", "stream, 50 chunks at once", FAST, subjects=ALL, headline=True),
    Case("paced", "stream, chunk every 10 ms", SLOW, "paced", subjects=ALL, connections=50, headline=True),
    Case("c1", "latency, one call at a time", Call(), "alone", "p50_ms", TIMED, 1, headline=True),
    Case("rate", "latency, 200 calls/s", Call(), "rate", "p50_ms", TIMED, headline=True),
    Case("first", "first byte of a stream", replace(SLOW, answer="paced-2-5"), "alone", "first_ms", TIMED, 1),
    Case("json-500", "JSON call, 500 KB", Call(size=500_000), connections=16),
    Case("answer-50", "JSON answer, 50 KB", Call(answer="json-50000")),
    Case("same", "the same call again", Call(sort="same")),
    Case("talk", "conversations, 12 turns", Call(sort="talk")),
    Case("responses", "responses, JSON", Call(surface="responses")),
    Case("completions", "completions, JSON", Call(surface="completions")),
    Case("embeddings", "embeddings, JSON", Call(surface="embeddings")),
    Case("messages", "messages, JSON", Call(surface="messages")),
    Case("responses-stream", "responses, 50 chunks", replace(FAST, surface="responses")),
    Case("completions-stream", "completions, 50 chunks", replace(FAST, surface="completions")),
    Case("messages-stream", "messages, 50 chunks", replace(FAST, surface="messages")),
    Case("guards", "1.5 KB of new text, guards on", Call(sort="prose"), subjects=GUARDED),
    Case("guards-next", "next turn of 20, guards on", Call(sort="next"), subjects=GUARDED),
    Case(
        "guards-stream",
        "stream with a name to restore, guards on",
        Call(answer=f"named-{BURST}", stream=True, person=True),
        subjects=GUARDED,
    ),
    Case("hit", "JSON call answered from the cache", Call(sort="same", settled=True), subjects=CACHED),
    Case("hit-stream", "stream from the cache, 50 chunks", replace(FAST, sort="same", settled=True), subjects=CACHED),
    Case("miss", "JSON call that the cache keeps", Call(sort="prose", settled=True), subjects=SAVING),
)
TLS = tuple(
    replace(case, key=f"{case.key}-tls", title=f"{case.title}, TLS 1.3", tls=True,
            subjects=TIMED if case.subjects == TIMED else ("bare", "weir", "looking"))
    for case in PLAIN if case.headline
)  # fmt: skip
CASES = (*PLAIN, *TLS)
START = "start"
"""The row of start-up and memory: every round is a fresh start, so it is measured apart."""


def chosen(only: str, quick: bool) -> list[Case]:
    """By their keys, or the headline alone."""
    if only:
        names = only.split(",")
        if strange := set(names) - {case.key for case in CASES} - {START}:
            known = ", ".join([START, *(case.key for case in CASES)])
            raise SystemExit(f"no such case: {', '.join(sorted(strange))} (there are {known})")
        return [case for case in CASES if case.key in names]
    if quick:
        return [replace(case, subjects=tuple(name for name in case.subjects if name not in ("watching", "unaudited")))
                for case in PLAIN if case.headline]  # fmt: skip
    return list(CASES)
