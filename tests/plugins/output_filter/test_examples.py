from __future__ import annotations

import pytest

from plugins.output_filter import examples
from plugins.output_filter.examples import example
from proxy.detection.accounts import mod97
from proxy.detection.cards import luhn


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("PHONE", "555-0123"),
        ("PHONE", "+1 (212) 555-0187"),
        ("PHONE", "800-123-4567"),
        ("PHONE", "+44 7700 900123"),
        ("PHONE", "01632 960001"),
        ("PHONE", "01 99 00 12 34"),
        ("PHONE", "+61 491 570 156"),
        ("CREDIT_CARD", "4242-4242-4242-4242"),
        ("CREDIT_CARD", "4000 0025 0000 3155"),
        ("IBAN", "gb82 west 1234 5698 7654 32"),
        ("SSN", "078-05-1120"),
        ("SSN", "000-12-3456"),
        ("SSN", "987-65-4321"),
    ],
)
def test_what_documentation_is_written_with_is_nobodys(kind: str, value: str) -> None:
    assert example(kind, value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("PHONE", "212-664-7665"),
        ("PHONE", "+44 20 7925 0918"),
        ("PHONE", "664-7665"),
        ("CREDIT_CARD", "4539 1488 0343 6467"),
        ("IBAN", "DE44 5001 0517 5407 3249 31"),
        ("SSN", "536-22-8413"),
    ],
)
def test_what_somebody_may_have_is_not(kind: str, value: str) -> None:
    assert not example(kind, value)


def test_examples_are_such_as_the_finder_takes_for_real() -> None:

    assert all(luhn(number) for number in examples._CARDS)
    assert all(mod97(number) for number in examples._IBANS)
