from __future__ import annotations

from proxy.store.breaker import Breaker


def test_it_opens_after_failures_in_a_row_and_tells_each_change_once() -> None:
    told: list[tuple[bool, str]] = []
    breaker = Breaker(3, lambda is_open, why: told.append((is_open, why)))
    for _ in range(2):
        breaker.failed("late")
    breaker.succeeded()
    for _ in range(2):
        breaker.failed("late")
    assert not breaker.open and told == []
    for _ in range(5):
        breaker.failed("gone")
    assert breaker.open
    breaker.succeeded()
    breaker.succeeded()
    assert told == [(True, "gone"), (False, "it answers again")]
