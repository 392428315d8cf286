"""Numbers in words and digits, units, money, times and dates: one form for each."""

from __future__ import annotations

import pytest

from plugins.cache.semantic.numbers import written


def said(text: str) -> list[str]:
    return written(text).split()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("twenty-five", "25"),
        ("one hundred and five", "105"),
        ("two thousand", "2,000"),
        ("two-year plan", "2 year plan"),
        ("10gb", "10 gigabytes"),
        ("15%", "fifteen percent"),
        ("£5", "5 pounds"),
        ("2 kilos", "2kg"),
        ("11am", "11 am"),
        ("7pm", "19:00"),
        ("3 may", "may 3rd"),
        ("3rd of may 2024", "2024-05-03"),
    ],
)
def test_two_ways_of_writing_are_one(one: str, other: str) -> None:
    assert said(one) == said(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3.1", "3.10"),
        ("007", "7"),
        ("11am", "11pm"),
        ("10 gb", "10 mb"),
        ("£5", "$5"),
        ("1 2", "12"),
        ("one two", "three"),
        ("2024-05-03", "2024-03-05"),
        ("3rd", "3"),
        ("1st", "21st"),
        ("twenty one hundred", "2001"),
    ],
)
def test_what_is_not_the_same_number_is_another(one: str, other: str) -> None:
    assert said(one) != said(other)
