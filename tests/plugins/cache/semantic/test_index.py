"""What was asked before is found by its words, within its part alone; memory is bounded."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from plugins.cache.semantic.index import Index, Row
from plugins.cache.semantic.lexicon import packaged
from plugins.cache.semantic.reading import read


def row(key: int, text: str, part: bytes = b"p") -> Row:
    return Row(key.to_bytes(8, "big"), part, text, read(text, packaged()))


def test_the_nearest_comes_first_and_other_parts_are_not_looked_at() -> None:
    index = Index(100)
    index.add(row(1, "How do I bake a chocolate cake?"))
    index.add(row(2, "How do I bake rye bread?"))
    index.add(row(3, "How do I bake rye bread?", b"other"))
    found = index.near(b"p", read("how can i bake rye bread", packaged()))
    assert found[0].key == (2).to_bytes(8, "big")
    assert all(each.part == b"p" for each in found)
    assert index.near(b"nobody's", read("how can i bake rye bread", packaged())) == []


def test_what_asks_the_same_is_found_though_it_shares_few_words() -> None:
    index = Index(100)
    index.add(row(1, "What is photosynthesis?"))
    index.add(row(2, "Trains from Paris to Lyon"))
    for number in range(3, 40):
        index.add(row(number, f"Trains from Paris to town {number}"))
    asked = read("Could you please explain photosynthesis to me?", packaged())
    assert index.near(b"p", asked)[0].key[-1] == 1
    assert index.near(b"p", read("Trains to Lyon from Paris", packaged()))[0].key[-1] == 2
    index.drop((1).to_bytes(8, "big"))
    assert (1).to_bytes(8, "big") not in [each.key for each in index.near(b"p", asked)]


def test_it_is_bounded_in_rows_and_bytes_and_what_was_used_stays() -> None:
    index = Index(10)
    for number in range(10):
        index.add(row(number, f"Where is shelf {number}?"))
    index.used(index.near(b"p", read("Where is shelf 0?", packaged()))[0])
    index.add(row(10, "Where is shelf 10?"))
    kept = {int.from_bytes(key, "big") for key in index._rows}
    assert (len(index), 0 in kept, 1 in kept) == (10, True, False)
    small = Index(1000, 3000)
    for number in range(50):
        small.add(row(number, f"Where is shelf {number}?"))
    assert 0 < small.used_bytes <= 3000


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("ab"), st.booleans()), max_size=30))
def test_what_is_dropped_leaves_nothing_behind(steps: list[tuple[int, str, bool]]) -> None:
    index = Index(4)
    for number, part, add in steps:
        if add:
            index.add(row(number, f"Where is shelf {number}?", part.encode()))
        else:
            index.drop(number.to_bytes(8, "big"))
    assert index.used_bytes == sum(each.size_bytes for each in index._rows.values())
    index.prune(lambda key: False)
    assert (len(index), index.used_bytes, index._parts) == (0, 0, {})


def test_a_vector_that_is_learned_counts() -> None:
    index = Index(4)
    one = row(1, "Where is it?")
    index.add(one)
    before = index.used_bytes
    index.learn(one, (0.6, 0.8), "some embedder")
    assert index.used_bytes == one.size_bytes > before


def test_in_many_texts_the_one_is_found() -> None:
    index, draw = Index(3000), random.Random(1)
    things = [
        "bread",
        "cake",
        "soup",
        "salad",
        "curry",
        "noodles",
        "pizza",
        "pasta",
        "risotto",
        "stew",
        "pie",
        "tart",
        "omelette",
        "pancake",
        "waffle",
    ]
    ways = ["bake", "fry", "boil", "grill", "roast", "steam", "poach", "smoke"]
    for number in range(2000):
        index.add(row(number, f"How do I {draw.choice(ways)} {draw.choice(things)} for {number} guests?"))
    index.add(row(5000, "How do I sharpen a kitchen knife?"))
    found = index.near(b"p", read("How can I sharpen a kitchen knive?", packaged()))
    assert found[0].key == (5000).to_bytes(8, "big")
