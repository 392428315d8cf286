from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from proxy.store.bucket import Level, refill, take, wait
from tests.contracts.store import Allowance


def test_an_absent_bucket_is_full_and_a_clock_that_goes_back_refills_nothing() -> None:
    bucket = Allowance("b", 10, 2.0)
    assert refill(bucket, None, 5.0) == 10
    assert refill(bucket, Level(3.0, 100.0), 50.0) == 3
    assert refill(bucket, Level(3.0, 100.0), 101.5) == 6
    assert refill(bucket, Level(3.0, 100.0), 1e9) == 10


@given(st.floats(0, 100), st.integers(0, 100), st.floats(0.01, 1000))
def test_after_the_wait_there_is_enough(units: float, amount: int, rate: float) -> None:
    bucket = Allowance("b", 100, rate)
    level = Level(units, 0.0)
    assert wait(bucket, refill(bucket, level, wait(bucket, units, amount)), amount) < 1e-6


def test_one_that_lacks_refuses_all_and_the_longest_wait_counts() -> None:
    fast, slow = Allowance("f", 10, 10.0), Allowance("s", 10, 1.0)
    taken, after = take([fast, slow], [5, 5], [0.0, 3.0])
    assert not taken.ok and taken.wait_s == 2.0 and after == [0.0, 3.0]
    assert math.isinf(take([fast, slow], [11, 1], [10.0, 10.0])[0].wait_s)
