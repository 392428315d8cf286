from __future__ import annotations

from collections import Counter
from itertools import product
from math import sqrt

import pytest

from plugins.variants.assignment import Assignment, unit_of
from plugins.variants.options import Trial, Variant

UNITS = [unit_of("user", "default", f"user-{number}") for number in range(40_000)]


def trial(name: str = "t", weights: tuple[float, ...] = (1, 1), **other: object) -> Trial:
    arms = tuple(Variant(chr(97 + place), weight) for place, weight in enumerate(weights))
    return Trial(name, arms, **other)  # type: ignore[arg-type]


def assigned(test: Trial, units: list[bytes] = UNITS) -> list[str]:
    of = Assignment(test).of
    return ["" if (arm := of(unit)) is None else arm.variant.name for unit in units]


def chi_square(seen: Counter[str], expected: dict[str, float]) -> float:
    return sum((seen[name] - wanted) ** 2 / wanted for name, wanted in expected.items())


def bound(degrees: int) -> float:
    """The 99.99 % quantile of chi-square, nearly (Wilson and Hilferty)."""
    return float(degrees * (1 - 2 / (9 * degrees) + 3.72 * sqrt(2 / (9 * degrees))) ** 3)


@pytest.mark.parametrize("weights", [(1, 1), (9, 1), (1, 2, 3, 4), (0.5, 0.25, 0.25), (5, 0, 5)])
def test_units_are_divided_as_the_weights_say(weights: tuple[float, ...]) -> None:
    whole = sum(weights)
    expected = {chr(97 + at): len(UNITS) * one / whole for at, one in enumerate(weights) if one}
    seen = Counter(assigned(trial(weights=weights)))
    assert seen.keys() == expected.keys()
    assert chi_square(seen, expected) < bound(len(expected) - 1)


def test_names_and_salts_that_look_alike_divide_evenly_too() -> None:
    for number in range(30):
        seen = Counter(assigned(trial(f"t{number}", salt="1"), UNITS[:10_000]))
        assert chi_square(seen, {"a": 5000, "b": 5000}) < bound(1)


@pytest.mark.parametrize("other", [trial("u"), trial("t", salt="2"), trial("t2", (1, 1))])
def test_what_one_test_assigns_says_nothing_of_another(other: Trial) -> None:
    pairs = Counter(f"{one}{two}" for one, two in zip(assigned(trial()), assigned(other), strict=True))
    expected = {f"{one}{two}": len(UNITS) / 4 for one, two in product("ab", "ab")}
    assert chi_square(pairs, expected) < bound(3)


def test_who_is_in_one_test_says_nothing_of_who_is_in_another_or_of_its_variant() -> None:
    half, other = assigned(trial("half", share=0.5)), assigned(trial("other"))
    pairs = Counter(f"{bool(one)}{two}" for one, two in zip(half, other, strict=True))
    assert chi_square(pairs, dict.fromkeys(("Truea", "Trueb", "Falsea", "Falseb"), len(UNITS) / 4)) < bound(3)
    inside = Counter(name for name in half if name)
    assert chi_square(inside, {"a": len(UNITS) / 4, "b": len(UNITS) / 4}) < bound(1)


def test_the_same_unit_always_gets_the_same() -> None:
    assert assigned(trial()) == assigned(trial())


def test_a_share_that_grows_moves_nobody_between_variants() -> None:
    small, large = assigned(trial(share=0.1)), assigned(trial(share=0.6))
    assert all(now == then for then, now in zip(small, large, strict=True) if then)
    assert abs(Counter(small)[""] / len(UNITS) - 0.9) < 0.01


def test_a_share_of_nothing_assigns_nobody_and_a_whole_one_everybody() -> None:
    assert set(assigned(trial(share=0))) == {""}
    assert "" not in assigned(trial(share=1))


def test_a_weight_that_changes_moves_no_more_than_it_must_and_only_to_the_one_that_gained() -> None:
    before, after = assigned(trial(weights=(1, 1, 1))), assigned(trial(weights=(1, 1, 2)))
    moved = Counter((then, now) for then, now in zip(before, after, strict=True) if then != now)
    assert {now for _, now in moved} == {"c"}
    assert abs(sum(moved.values()) / len(UNITS) - (1 / 2 - 1 / 3)) < 0.01


def test_a_variant_that_comes_takes_from_all_and_moves_nobody_else() -> None:
    before, after = assigned(trial(weights=(1, 1))), assigned(trial(weights=(1, 1, 1)))
    assert {now for then, now in zip(before, after, strict=True) if then != now} == {"c"}


def test_a_weight_of_zero_is_nobodys() -> None:
    before, after = assigned(trial(weights=(1, 1, 1))), assigned(trial(weights=(1, 1, 0)))
    assert "c" not in after
    assert all(now == then for then, now in zip(before, after, strict=True) if then != "c")


def test_users_of_two_tenants_are_two_people() -> None:
    ones = [unit_of("user", "one", f"u{number}") for number in range(2000)]
    twos = [unit_of("user", "two", f"u{number}") for number in range(2000)]
    alike = sum(one == two for one, two in zip(assigned(trial(), ones), assigned(trial(), twos), strict=True))
    assert 850 < alike < 1150


def test_any_name_of_a_unit_can_be_hashed() -> None:
    assert Assignment(trial()).of(unit_of("user", "default", "half \ud83d of a character")) is not None
