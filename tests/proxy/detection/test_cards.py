from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.detection.cards import brand, luhn, sure
from proxy.detection.finder import Finder

FINDER = Finder(frozenset({"CREDIT_CARD"}))


def found(text: str) -> list[str]:
    return [text[span.start : span.end] for span in FINDER.find(text)]


@given(st.text("0123456789", min_size=11, max_size=18))
def test_just_one_last_digit_is_right(digits: str) -> None:
    assert sum(luhn(digits + last) for last in "0123456789") == 1


@pytest.mark.parametrize(
    ("digits", "name"),
    [
        ("4111111111111111", "visa"),
        ("5500000000000004", "mastercard"),
        ("2223000048400011", "mastercard"),
        ("340000000000009", "amex"),
        ("30000000000004", "diners"),
        ("6011000000000004", "discover"),
        ("3530111333300000", "jcb"),
        ("6200000000000005", "unionpay"),
        ("2200000000000004", "mir"),
        ("9999999999999995", ""),
    ],
)
def test_brands_are_told_by_prefix_and_length(digits: str, name: str) -> None:
    assert brand(digits) == name


@pytest.mark.parametrize(
    "card",
    [
        "4111111111111111",
        "378282246310005",
        "6011000990139424",
        "4111 1111 1111 1111",
        "3782 822463 10005",
        "4111-1111-1111-1111",
        "4111.1111.1111.1111",
        "4111_1111_1111_1111",
        "4111 - 1111 - 1111 - 1111",
        "1234 5678 9012 3456",
    ],
)
def test_cards_are_found_whole(card: str) -> None:
    assert found(card) == [card]
    assert found(f'{{"card": "{card}", "x": 1}}') == [card]


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",
        "order 4111111111111111",
        "tracking 9400 6680 9983 1714 4544 63",
        "1700000000000",
        "https://x.example/status/1261456317489028048",
        "0000000000000000",
        "4.111111111111111",
        "id_4111111111111111",
    ],
)
def test_other_numbers_stay(text: str) -> None:
    assert found(text) == []


def test_a_label_makes_any_number_with_a_right_sum_a_card() -> None:
    assert found("card number 060426070011") == ["060426070011"]
    assert sure("060426070011", labelled=False) == 0


def test_cards_beside_each_other_are_all_found() -> None:
    cards = ["4111 1111 1111 1111", "5500 0000 0000 0004", "6011 0009 9013 9424"]
    assert found(" ".join(cards)) == cards
