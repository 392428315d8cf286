from __future__ import annotations

import math
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from proxy.store.account import AWAY_SHARE, Account


@dataclass(frozen=True)
class Pool:
    key: str
    capacity: int
    refill_per_s: float = 0.0
    ttl_s: float = 0.0
    slots: bool = False


def account(capacity: int = 100, **other: float) -> Account:
    return Account(Pool("b", capacity, **other), float(capacity), 0.0, 0.0)  # type: ignore[arg-type]


def test_what_those_who_wait_need_is_ordered_and_no_more() -> None:
    one = account()
    one.wanted, one.held = 7, 2.0
    order = one.order(again=False, idle=False, now_s=0.0)
    assert (order.need, order.wish, order.charge) == (5, 5, 0.0)


def test_a_busy_account_leases_ahead_within_its_part() -> None:
    one = account(3200)
    one.taken = 500
    one.measure(0.25)
    assert one.spare == 100
    assert one.order(again=False, idle=False, now_s=0.0).wish == 100
    one.taken = 100_000
    one.measure(0.25)
    assert one.spare == 100


def test_what_was_spent_without_a_lease_is_told_and_told_again_if_nobody_heard() -> None:
    one = account()
    one.spend(30, 0.0)
    order = one.order(again=False, idle=False, now_s=0.0)
    assert (order.charge, one.held) == (30.0, 0.0)
    one.unheard(order)
    assert one.order(again=False, idle=False, now_s=0.0).charge == 30.0


def test_what_is_given_back_is_gone_even_if_nobody_heard() -> None:
    one = account()
    one.held = 40.0
    order = one.order(again=False, idle=True, now_s=0.0)
    assert (order.charge, one.held) == (-40.0, 0.0)
    one.unheard(order)
    assert one.order(again=False, idle=True, now_s=0.0).charge == 0.0


def test_a_store_that_may_have_forgotten_is_told_the_most_there_can_be() -> None:
    one = account(100, refill_per_s=1.0)
    one.heard(one.order(again=False, idle=False, now_s=0.0), 0, 20.0, 0.0)
    assert one.order(again=True, idle=False, now_s=5.0).cap == 25.0
    assert one.order(again=False, idle=False, now_s=5.0).cap is None
    assert account().order(again=True, idle=False, now_s=5.0).cap is None


def test_slots_in_use_stay_whatever_the_store_has_forgotten() -> None:
    one = account(8, slots=True)
    one.held = 3.0
    for _ in range(3):
        one.spend(1, 0.0)
    one.leave(2, 0.0)
    assert one.alone(1, 2, 0.0) == math.inf
    one.wanted = 1
    order = one.order(again=True, idle=False, now_s=0.0)
    assert (order.need, order.charge) == (4, 3)
    one.heard(order, 4, 4.0, 0.0)
    assert (one.held, one.lent) == (1.0, 3)


def test_a_slot_that_was_lent_alone_comes_back_alone() -> None:
    one = account(100, slots=True)
    one.leave(2, 0.0)
    assert one.extra == 5
    for _ in range(20):
        assert one.alone(1, 2, 0.0) == 0.0
        one.spend_alone(1, 0.0)
        one.spend(-1, 0.0)
    for _ in range(5):
        one.spend_alone(1, 0.0)
    assert one.alone(1, 2, 0.0) == math.inf


def test_who_has_a_bucket_alone_may_spend_all_that_was_left() -> None:
    one = account(100)
    one.heard(one.order(again=False, idle=False, now_s=0.0), 0, 60.0, 0.0)
    one.leave(1, 0.0)
    assert one.alone(60, 1, 0.0) == 0.0
    assert one.alone(61, 1, 0.0) == math.inf


def test_a_bucket_that_was_made_larger_has_more_left() -> None:
    one = account(100)
    one.heard(one.order(again=False, idle=False, now_s=0.0), 0, 10.0, 0.0)
    one.resize(Pool("b", 150))
    assert one.left(0.0) == 60.0


def test_no_more_is_left_than_the_bucket_holds() -> None:
    """What was leased and what came back to the shared bucket meanwhile are not to be had both."""
    one = account(100, refill_per_s=10.0)
    one.heard(one.order(again=False, idle=False, now_s=0.0), 50, 80.0, 0.0)
    assert one.left(60.0) == 100.0


@given(
    parties=st.integers(2, 9),
    capacity=st.integers(1, 10_000),
    rate=st.floats(0, 500),
    asks=st.lists(st.tuples(st.floats(0, 5), st.integers(1, 300)), max_size=40),
)
def test_a_share_is_never_exceeded_while_the_store_is_away(
    parties: int, capacity: int, rate: float, asks: list[tuple[float, int]]
) -> None:
    """All of them together: what they held, AWAY_SHARE of the capacity, and the refill."""
    one = account(capacity, refill_per_s=rate)
    one.held, spent, now_s = 5.0, 0, 0.0
    one.leave(parties, 0.0)
    for pause_s, amount in asks:
        now_s += pause_s
        if one.alone(amount, parties, now_s) <= 0:
            one.spend_alone(amount, now_s)
            spent += amount
    assert spent <= 5.0 + (capacity * AWAY_SHARE + rate * now_s) / parties + 1e-6
    assert one.owed >= spent - 5.0 - 1e-6
