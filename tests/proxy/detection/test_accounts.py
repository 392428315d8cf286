from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.detection.accounts import LENGTHS, mod97
from proxy.detection.finder import Finder

FINDER = Finder(frozenset({"IBAN"}))


def found(text: str) -> list[str]:
    return [text[span.start : span.end] for span in FINDER.find(text)]


def checked(country: str, body: str) -> str:
    rest = int("".join(str(int(char, 36)) for char in body + country + "00")) % 97
    return f"{country}{98 - rest:02}{body}"


NUMBERS = st.sampled_from(sorted(LENGTHS)).flatmap(
    lambda country: st.text("0123456789ABCXYZ", min_size=LENGTHS[country] - 4, max_size=LENGTHS[country] - 4).map(
        lambda body: checked(country, body)
    )
)


@given(NUMBERS, st.sampled_from(["plain", "fours", "dashes", "small"]))
def test_every_country_is_found_in_every_writing(number: str, writing: str) -> None:
    fours = [number[place : place + 4] for place in range(0, len(number), 4)]
    written = {"plain": number, "fours": " ".join(fours), "dashes": "-".join(fours), "small": number.lower()}[writing]
    assert mod97(number)
    assert found(f"to {written}, please") == [written]
    assert found(f'{{"iban":"{written}"}}') == [written]


@pytest.mark.parametrize(
    "text",
    ["GB82WEST12345698765431", "GB82WEST1234569876543", "DE12 3456", "XGB82WEST12345698765432", "ES 779696", "NO23"],
)
def test_what_has_wrong_check_digits_or_another_length_stays(text: str) -> None:
    assert found(text) == []
