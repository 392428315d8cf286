"""When a child is started again."""

from __future__ import annotations

from proxy.processes.child import SETTLED_S, Child


def waits(lives_s: list[float]) -> list[float]:
    child, now_s, found = Child("worker 0", "worker", ()), 100.0, []
    for life_s in lives_s:
        child.started_s = now_s
        now_s += life_s
        child.postpone(now_s)
        assert child.due_s is not None
        found.append(round(child.due_s - now_s, 6))
        now_s = child.due_s
    return found


def test_the_first_restart_is_at_once_and_further_ones_wait_longer_and_longer() -> None:
    assert waits([1.0] * 9) == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert waits([0.0] * 2000)[-1] == 5.0


def test_a_settled_life_is_a_new_beginning() -> None:
    assert waits([0.0, 0.0, 0.0, SETTLED_S, 0.0]) == [0.0, 0.1, 0.2, 0.0, 0.1]
