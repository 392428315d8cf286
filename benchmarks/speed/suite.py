"""A whole run: who is started when, which rounds are made, and what is said meanwhile."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.speed import measure, starting, subjects
from benchmarks.speed.cases import Case
from benchmarks.speed.gates import PAIRS, Found, undecided
from benchmarks.speed.machine import OTHERS, machine, pin
from benchmarks.speed.measure import Measured
from benchmarks.speed.results import document
from benchmarks.speed.subjects import Running, Subject, start
from tests.certificates import certificates

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of a run."""

    cases: tuple[Case, ...]
    starts: bool
    rounds: int
    window_s: float
    decide: bool
    """Whether cases with a gate nearby get rounds until it is decided."""
    whole: bool = False
    """Nothing is left out: fit to be published."""
    beside: Path | None = None
    peers: bool = False
    among: tuple[str, ...] = ()
    folder: Path = Path(".venvs")

    @property
    def mode(self) -> str:
        return f"{self.rounds} rounds of {self.window_s:g} s" + (f", {PAIRS + 1} near gates" if self.decide else "")


@dataclass(slots=True)
class Suite:
    """A run under way."""

    plan: Plan
    work: Path
    found: Found = field(default_factory=Found)
    names: dict[str, str] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    begun: float = field(default_factory=time.perf_counter)

    def say(self, what: str) -> None:
        print(f"[{time.perf_counter() - self.begun:5.0f} s] {what}", file=sys.stderr, flush=True)


def run(plan: Plan, work: Path) -> Json:
    suite = Suite(plan, work)
    others = _peers(suite)
    pin(OTHERS)  # the caller is this process
    with _started(suite, [subjects.provider(OTHERS)], "plain") as near:
        provider = near["provider"]
        url = f"http://127.0.0.1:{provider.port}"
        if plan.starts:
            _starts(suite, url, others)
        plain = [case for case in plan.cases if not case.tls]
        if plain:
            _group(suite, plain, provider, [*_ours(plain, url, "", plan.beside), *_made(others, plan, url)])
        tls = [case for case in plan.cases if case.tls]
        if tls and not plan.peers:
            made = certificates(work)
            with _started(suite, [subjects.provider(OTHERS, str(made.server))], "far") as far:
                url = f"https://127.0.0.1:{far['provider'].port}"
                _group(suite, tls, provider, _ours(tls, url, str(made.authority), plan.beside))
    about: Json = {"machine": machine().fields(), "mode": plan.mode, "peers": plan.peers}
    about |= {"whole": plan.whole, "took_s": round(time.perf_counter() - suite.begun)}
    return document(suite.found, suite.names, suite.why, about)


def _peers(suite: Suite) -> list[subjects.Peer]:
    """Those that can be had; the others with the reason."""
    there = []
    for peer in subjects.peers() if suite.plan.peers else ():
        if suite.plan.among and peer.name.lower() not in suite.plan.among:
            continue
        suite.say(f"{peer.name} {peer.version} ({peer.scope})")
        folder = suite.plan.folder / peer.name.lower()
        folder.mkdir(parents=True, exist_ok=True)
        reason = peer.install(folder)
        if reason is None:
            there.append(peer)
        else:
            suite.why[f"{peer.name} {peer.version}"] = reason
    return there


def _made(peers: Sequence[subjects.Peer], plan: Plan, url: str) -> list[Subject]:
    return [subjects.of_peer(peer, plan.folder / peer.name.lower(), url) for peer in peers]


def _ours(cases: Sequence[Case], url: str, ca_file: str, beside: Path | None) -> list[Subject]:
    wanted = {name for case in cases for name in case.subjects} | {"beside"}
    raw = [] if ca_file else [subjects.floor(url)]
    made = [subjects.bare(url, ca_file), *raw, *subjects.weirs(url, ca_file, beside)]
    return [subject for subject in made if subject.key in wanted]


def _starts(suite: Suite, url: str, peers: Sequence[subjects.Peer]) -> None:
    own = _ours([], url, "", suite.plan.beside)
    those = [subjects.bare(url), subjects.weirs(url)[0], *own, *_made(peers, suite.plan, url)]
    those = list({subject.key: subject for subject in those}.values())
    suite.say("start and memory")
    suite.names |= {subject.key: subject.name for subject in those}
    count = min(suite.plan.rounds, 3 if peers else 7)
    suite.found.starts, why = starting.measure(those, suite.work, count)
    suite.why |= {suite.names[key]: reason for key, reason in why.items()}


def _group(suite: Suite, cases: Sequence[Case], provider: Running, made: Sequence[Subject]) -> None:
    """Cases that share their subjects; all of these run all the while."""
    suite.names |= {subject.key: subject.name for subject in (provider.subject, *made)}
    with _started(suite, made, "case") as started:
        running = {"provider": provider, **started}
        for case in cases:
            suite.say(case.title)
            measured = suite.found.cases[case.key] = Measured(case)
            measure.rounds(measured, running, suite.plan.rounds, suite.plan.window_s)
            needed = undecided(case.key, suite.found) if suite.plan.decide else set()
            if needed := {key for key in needed if measured.samples.get(key)}:
                suite.say("  a gate is near: more rounds")
                few = {key: one for key, one in running.items() if key in needed}
                measure.rounds(measured, few, PAIRS + 1 - suite.plan.rounds, suite.plan.window_s)


@contextmanager
def _started(suite: Suite, made: Sequence[Subject], name: str) -> Iterator[dict[str, Running]]:
    """All of them started, with what they can do; those that do not start are left out, with the reason."""
    with ExitStack() as stack:
        running: dict[str, Running] = {}
        for subject in made:
            try:
                one = start(subject, suite.work / f"{name}-{subject.key}")
            except (RuntimeError, OSError) as error:
                if subject.key in ("provider", "bare", "weir"):
                    raise SystemExit(str(error)) from None
                suite.why[subject.name] = str(error)
                continue
            stack.callback(one.stop)
            running[subject.key] = one
        for one in running.values():
            if one.subject.key != "provider":
                one.capacity = measure.capacity(one)
        yield running
