from __future__ import annotations

import pytest

from proxy.detection.finder import Finder

FINDER = Finder()


def found(text: str) -> list[str]:
    return [text[span.start : span.end] for span in FINDER.find(text) if span.type == "PHONE"]


@pytest.mark.parametrize(
    "number",
    [
        "212-555-1234",
        "(212) 555-1234",
        "(212)555-1234",
        "212.555.1234",
        "212 555 1234",
        "1-212-555-1234",
        "+1 212 555 1234",
        "+1 (212) 555-1234",
        "(305) 375-1586 x 1479",
        "305-789-8735 ext. 611",
        "345-899-3560x4587",
        "+12125551234",
        "+44 20 7946 0958",
        "+44 (0)20 7946 0958",
        "+4915201234567",
        "+49 30 1234567",
        "0049 152 04074516",
        "+33 6 12 34 56 78",
        "+39 06 678 4343",
        "+55 11 98456 5666",
        "+86 135 6491 3552",
        "+819090767285",
        "+46 (0)8 928 571 38",
        "06 12 34 56 78",
        "06.12.34.56.78",
        "0151 82693760",
        "0171/1234567",
        "030 / 12345678",
        "010-6604-4852",
        "090-7433-6922",
        "07027 057 783",
        "(11) 98765-4321",
        "8 (912) 345-67-89",
        "138 1234 5678",
        "612 34 56 78",
        "98765 43210",
    ],
)
@pytest.mark.parametrize(("before", "behind"), [("", ""), ("Write it on the form: ", "."), ('"', '",')])
def test_a_number_with_a_form_is_found_whole(number: str, before: str, behind: str) -> None:
    assert found(before + number + behind) == [number]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("my phone is 2125551234", "2125551234"),
        ('{"phoneNumber": "2125551234"}', "2125551234"),
        ("phone_number=612345678&x=1", "612345678"),
        ("call me at 612345678", "612345678"),
        ("can someone call me on 9472 7916?", "9472 7916"),
        ("My CN number is 13812345678", "13812345678"),
        ("Phone:\n9469 9966\n", "9469 9966"),
        ("781 1704 office", "781 1704"),
        ("085175764-Fax", "085175764"),
        ("電話番号は0312345678です", "0312345678"),
        ("téléphone 0612345678", "0612345678"),
        ("mi móvil es 612345678", "612345678"),
        ("telefonnummer 070123456", "070123456"),
        ("id,name,phone,sum\n1,Ann,2125551234,7\n", "2125551234"),
        ("| Name | Phone |\n|---|---|\n| Ann | 2125551234 |", "2125551234"),
        ("INSERT INTO p (name, phone) VALUES ('Ann', '2125551234');", "2125551234"),
    ],
)
def test_a_number_without_a_form_is_found_by_its_label(text: str, number: str) -> None:
    assert found(text) == [number]


@pytest.mark.parametrize(
    "text",
    [
        "order 9351917864",
        "epoch 1608689737",
        "call f(76731915) then g(7965789)",
        'text = "74106985"  # cell 1980045',
        "2024-01-02 10:20:30",
        "12.03.2024",
        "1,234,567,890",
        "153.3003866",
        "192.168.100.200",
        "10.1109/5.771073",
        "0000010: 59 35 12",
        "ISBN 978-3-16-148410-0",
        "099-1311457-8265857",
        "9405 5618 7679 0669 2815 68",
        "07805-1121",
        "Bestellnummer 0171 2345678",
        "+1 point",
        "+20250126211830",
        "phone: 12",
        "v2.0.1.20240806",
        "resp_2125551234",
        "id,name,sum\n1,Ann,2125551234\n",
        "version of the phone:\norder 2125551234",
    ],
)
def test_other_numbers_stay(text: str) -> None:
    assert found(text) == []
