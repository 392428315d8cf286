from __future__ import annotations

import random

from plugins.routing.choice import SIZE
from plugins.routing.learner import MODELS, SAVE_AFTER, Learner, Traits
from plugins.routing.quality import chance, logit
from proxy.errors import StoreDown
from proxy.store.memory import MemoryStore
from tests import kit


def features(draw: random.Random, base: float = 0.8) -> list[float]:
    return [
        logit(base),
        1.0,
        draw.gauss(0, 0.5),
        float(draw.random() < 0.3),
        *[draw.gauss(0, 1) for _ in range(SIZE - 3)],
    ]


def truth(one: Traits) -> float:
    """A model that is much worse on calls with tools, and better on the rest than was foretold."""
    return 0.15 if one[3] else 0.95


def regret(learner: Learner, draw: random.Random, calls: int, bar: float = 0.82) -> float:
    """The mean distance of what is foretold from what is true."""
    missed = 0.0
    for _ in range(calls):
        one = features(draw)
        missed += abs(chance(one[0] + learner.correction("t", "m", one)) - truth(one))
    return missed / calls


def taught(learner: Learner, draw: random.Random, calls: int) -> Learner:
    for _ in range(calls):
        one = features(draw)
        learner.learn("t", "m", one, float(draw.random() < truth(one)))
    return learner


def store() -> MemoryStore:
    return MemoryStore(kit.FakeClock())


def test_what_is_foretold_comes_nearer_to_the_truth_with_each_hundred_answers() -> None:
    draw, learner = random.Random(7), Learner(store())
    missed = [regret(learner, draw, 300)]
    for _ in range(3):
        taught(learner, draw, 300)
        missed.append(regret(learner, draw, 300))
    assert missed[0] > 0.25
    assert missed[1] < missed[0] * 0.7
    assert missed[-1] < missed[0] * 0.5


def test_what_changes_is_learnt_anew() -> None:
    draw, learner = random.Random(3), taught(Learner(store()), random.Random(7), 1500)
    for _ in range(1500):
        learner.learn("t", "m", features(draw), float(draw.random() < 0.3))
    told = [chance(one[0] + learner.correction("t", "m", one)) for one in (features(draw) for _ in range(300))]
    assert 0.15 < sum(told) / len(told) < 0.45


def test_answers_that_end_as_foretold_teach_nothing() -> None:
    learner, draw = Learner(store()), random.Random(1)
    for _ in range(500):
        one = features(draw)
        learner.learn("t", "m", one, chance(one[0]), 0.25)
    one = features(draw)
    assert abs(learner.correction("t", "m", one)) < 1e-9


def test_a_model_that_often_fails_to_end_is_taken_for_worse_by_as_much() -> None:
    learner, draw = Learner(store()), random.Random(1)
    for number in range(4000):
        one = features(draw)
        learner.learn("t", "m", one, 0.0 if number % 4 == 0 else chance(one[0]), 0.25)
    one = [logit(0.8), 1.0, *[0.0] * (SIZE - 1)]
    assert 0.5 < chance(one[0] + learner.correction("t", "m", one)) < 0.7


def test_tenants_and_models_learn_apart() -> None:
    learner, one = taught(Learner(store()), random.Random(7), 300), features(random.Random(2))
    assert learner.correction("t", "m", one) != 0.0
    assert learner.correction("t", "n", one) == learner.correction("u", "m", one) == 0.0


async def test_what_was_learnt_outlives_the_process() -> None:
    shared, one = store(), features(random.Random(2))
    first = taught(Learner(shared), random.Random(7), 300)
    await first.save_all()
    second = Learner(shared)
    await second.load("t", "m", SIZE)
    assert second.correction("t", "m", one) != 0.0
    assert abs(second.correction("t", "m", one) - first.correction("t", "m", one)) < 1e-9


async def test_what_two_workers_learn_is_added_up() -> None:
    shared, draw = store(), random.Random(5)
    one, other = Learner(shared), Learner(shared)
    for _ in range(12):
        taught(one, draw, SAVE_AFTER)
        taught(other, draw, SAVE_AFTER)
        await one.save("t", "m")
        await other.save("t", "m")
    alone = regret(taught(Learner(store()), random.Random(5), 12 * SAVE_AFTER), random.Random(9), 400)
    assert regret(other, random.Random(9), 400) < alone


async def test_what_is_learnt_while_it_is_saved_stays_new() -> None:
    shared = store()
    learner = taught(Learner(shared), random.Random(7), 30)
    await learner.save("t", "m")
    taught(learner, random.Random(8), 10)
    before = learner.correction("t", "m", features(random.Random(2)))
    await learner.save("t", "m")
    assert abs(learner.correction("t", "m", features(random.Random(2))) - before) < 0.05


async def test_a_store_that_is_away_costs_nothing_but_memory_of_the_fleet() -> None:
    class Away(MemoryStore):
        async def get(self, key: str) -> bytes | None:
            raise StoreDown("away")

    learner = taught(Learner(Away(kit.FakeClock())), random.Random(7), 50)
    await learner.save("t", "m")
    await learner.load("t", "m", SIZE)
    assert learner.correction("t", "m", features(random.Random(2))) != 0.0


async def test_what_the_store_has_of_another_version_is_not_read() -> None:
    shared = store()
    await shared.put("routing:t:m", b"something else")
    learner = Learner(shared)
    await learner.load("t", "m", SIZE)
    assert learner.correction("t", "m", features(random.Random(2))) == 0.0


def test_so_many_models_are_known_and_no_more() -> None:
    learner = Learner(store())
    for number in range(MODELS + 50):
        learner.learn(f"t{number}", "m", features(random.Random(2)), 1.0)
    assert len(learner._known) == MODELS


def test_a_word_in_anothers_place_leaves_as_much_known_and_turns_it_round() -> None:
    learner, draw = Learner(None), random.Random(4)
    calls = [features(draw) for _ in range(60)]
    for one in calls:
        learner.learn("t", "m", one, 0.0)
    low, known = learner.correction("t", "m", calls[0]), learner.known("t", "m")
    assert known is not None
    sure = list(known.precision)
    for one in calls:
        learner.relearn("t", "m", one, 1.0, 0.0)
    assert known.precision == sure
    assert low < 0.0 < learner.correction("t", "m", calls[0])


def test_the_same_words_in_the_same_order_teach_the_same() -> None:
    one, other = (taught(Learner(None), random.Random(7), 300) for _ in range(2))
    asked = features(random.Random(2))
    assert one.correction("t", "m", asked) == other.correction("t", "m", asked) != 0.0


async def test_without_a_store_nothing_is_loaded_or_saved() -> None:
    learner = taught(Learner(None), random.Random(7), 30)
    before = learner.correction("t", "m", features(random.Random(2)))
    await learner.save_all()
    await learner.load("t", "m", SIZE)
    assert learner.correction("t", "m", features(random.Random(2))) == before
    assert len(learner) == 1
