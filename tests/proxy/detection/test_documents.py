from __future__ import annotations

import pytest

from proxy.detection.documents import chinese, finnish, nif
from proxy.detection.finder import Finder

FINDER = Finder()


def found(text: str) -> list[tuple[str, str]]:
    return [(span.type, text[span.start : span.end]) for span in FINDER.find(text)]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("Passport No. F81461643", "PASSPORT", "F81461643"),
        ("passport number: 799084349", "PASSPORT", "799084349"),
        ("Reisepass C01X00T47", "PASSPORT", "C01X00T47"),
        ("my driver's license is I9788655.", "DRIVER_LICENSE", "I9788655"),
        ("driver's license number is 962 821 443", "DRIVER_LICENSE", "962 821 443"),
        ("licence TEIIF263753EP3QD", "DRIVER_LICENSE", "TEIIF263753EP3QD"),
        ("NHS number 537 811 5809", "NATIONAL_ID", "537 811 5809"),
        ("NI number: KK 07 79 23 A", "NATIONAL_ID", "KK 07 79 23 A"),
        ("Aadhaar 5994 7681 1514", "NATIONAL_ID", "5994 7681 1514"),
        ("PESEL 55050527508", "NATIONAL_ID", "55050527508"),
        ("643.805.980-39", "NATIONAL_ID", "643.805.980-39"),
        ("mi DNI es 54340961B y", "NATIONAL_ID", "54340961B"),
        ("RSSMRA85T10A562S", "NATIONAL_ID", "RSSMRA85T10A562S"),
        ("11010519491231002X", "NATIONAL_ID", "11010519491231002X"),
        ("131052-308T", "NATIONAL_ID", "131052-308T"),
        ("756.1234.5678.97", "NATIONAL_ID", "756.1234.5678.97"),
        ("880101-1234567", "NATIONAL_ID", "880101-1234567"),
        ("Account number 34810768, routing", "BANK_ACCOUNT", "34810768"),
        ("born 07/09/1989", "DOB", "07/09/1989"),
        ("DOB: 1966-07-20", "DOB", "1966-07-20"),
        ("born on September 14, 2002", "DOB", "September 14, 2002"),
        ("geboren am 14. März 1990", "DOB", "14. März 1990"),
        ("née le 3 février 1990", "DOB", "3 février 1990"),
        ("bin am 22.05.1955 geboren", "DOB", "22.05.1955"),
        ("name,dob\nAnn,1979-11-25", "DOB", "1979-11-25"),
        ("ssn 852280133", "SSN", "852280133"),
        ("my social is 811 41 7897", "SSN", "811 41 7897"),
    ],
)
def test_papers_are_found_by_form_or_label(text: str, kind: str, value: str) -> None:
    assert found(text) == [(kind, value)]


@pytest.mark.parametrize(
    "text",
    [
        "F81461643",
        "released on September 14, 2002",
        "on 07/09/1989",
        "54340961A",
        "110105194912310021",
        "131052-308U",
        "ABCDEFGH",
        "license: MIT",
        "the driver version",
        "Passport to Paris",
        "born free",
    ],
)
def test_without_either_they_stay(text: str) -> None:
    assert found(text) == []


def test_check_characters() -> None:
    assert nif("12345678Z")
    assert not nif("12345678A")
    assert chinese("11010519491231002X")
    assert finnish("131052-308T")
