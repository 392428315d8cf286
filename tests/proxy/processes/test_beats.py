"""Who is taken to hang, and who is forgiven."""

from __future__ import annotations

from proxy.processes.beats import BEATS, Beats
from proxy.processes.child import Child


def worker(heard_s: float, ready_fd: int = 5) -> Child:
    child = Child("worker 0", "worker", ())
    child.heard_s, child.ready_fd = heard_s, ready_fd
    return child


def test_a_worker_that_has_spoken_and_is_silent_for_too_long_hangs_and_is_told_of_once() -> None:
    silent, lively, starting, deaf = worker(100.0), worker(125.0), worker(0.0), worker(100.0, -1)
    beats = Beats(30.0, lambda: [silent, lively, starting, deaf])
    assert beats.arguments == ["--beat-s", f"{30 / BEATS:g}"]
    assert sorted(beats.moments()) == [130.0, 155.0]
    assert beats.hung(129.9, 125.0, 5.0) == []
    assert beats.hung(130.0, 129.9, 0.1) == [silent]
    assert beats.hung(140.0, 139.9, 0.1) == []


def test_a_supervisor_that_was_held_itself_forgives() -> None:
    """A machine that stood still, a container that was paused: nobody could speak."""
    child = worker(100.0)
    beats = Beats(30.0, lambda: [child])
    assert beats.hung(500.0, 100.0, 30.0) == [] and child.heard_s == 500.0
    assert beats.hung(530.0, 500.0, 30.0) == [child]


def test_nothing_is_asked_of_workers_where_it_is_off() -> None:
    beats = Beats(0.0, lambda: [worker(1.0)])
    assert not beats.arguments and not beats.moments() and not beats.hung(1e9, 1e9, None)
