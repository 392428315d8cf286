"""What the routing benchmark calls good: chance is .50, knowing all is the most, and the order alone counts."""

from __future__ import annotations

import numpy as np

from benchmarks.quality.routing import KEPT, Pair

DRAW = np.random.default_rng(5)
STRONG = (DRAW.random(2000) < 0.8).astype(np.float64)
WEAK = (DRAW.random(2000) < 0.6).astype(np.float64)
PAIR = Pair(STRONG, WEAK)


def test_chance_recovers_half_of_the_gap() -> None:
    found = [PAIR.apgr(np.random.default_rng(seed).random(2000)) for seed in range(30)]
    assert abs(float(np.mean(found)) - 0.5) < 0.03


def test_nobody_does_better_than_who_knows_all_or_worse_than_who_knows_it_the_wrong_way() -> None:
    best, worst = PAIR.apgr(STRONG - WEAK), PAIR.apgr(WEAK - STRONG)
    assert best > 1.0
    assert worst < 0.0
    for seed in range(5):
        assert worst < PAIR.apgr(np.random.default_rng(seed).random(2000)) < best


def test_the_order_alone_counts() -> None:
    gain = np.random.default_rng(1).random(2000)
    assert PAIR.apgr(gain) == PAIR.apgr(100 * gain - 7)
    assert PAIR.saved(gain) == PAIR.saved(np.exp(gain))


def test_money_is_spared_where_the_weak_model_keeps_the_quality() -> None:
    same = Pair(STRONG, STRONG * (1.0 - (1.0 - KEPT) / 2))
    assert same.saved(np.zeros(2000)) > 0.98
    assert PAIR.saved(STRONG - WEAK) > PAIR.saved(np.random.default_rng(1).random(2000))
