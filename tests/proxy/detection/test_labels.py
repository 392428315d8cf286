from __future__ import annotations

import pytest

from proxy.detection.columns import Columns
from proxy.detection.labels import CALL, CARD, DOB, OTHER, PHONE, SSN, after, kind_of, nearest


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("Phone", PHONE),
        ("telefonnummer", PHONE),
        ("ordernumber", OTHER),
        ("ssn", SSN),
        ("携帯電話", PHONE),
        ("née", DOB),
        ("tree", None),
    ],
)
def test_words_name_kinds(word: str, kind: str | None) -> None:
    assert kind_of(word) == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("phone: ", PHONE),
        ("phone for order ", OTHER),
        ("order status by phone ", PHONE),
        ('{"cardNumber": "', CARD),
        ("card_no=", CARD),
        ("call ", CALL),
        ("call me at ", PHONE),
        ("my number is ", PHONE),
        ("my order number is ", OTHER),
        ("Phone:\n", PHONE),
        ("Phone: 12\n", None),
        ("Your phone rang. Then ", None),
        ("phone" + " " * 60, None),
        ("the customer read it out ", None),
        ("", None),
    ],
)
def test_the_nearest_label_decides(text: str, kind: str | None) -> None:
    assert nearest(text + "123456789", len(text)) == kind


@pytest.mark.parametrize(
    ("text", "kind"), [(" office", PHONE), ("-Fax", PHONE), (" (mobile)", PHONE), (" and", None), ("", None)]
)
def test_a_label_may_follow(text: str, kind: str | None) -> None:
    assert after("123" + text, 3) == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("id,phone,sum\n1,#,3", PHONE),
        ("id,phone,sum\n1,2,#", OTHER),
        ("id;card\n1;#", CARD),
        ("a\tdob\n1\t2\n3\t#", DOB),
        ("| n | cell |\n|---|---|\n| x | # |", PHONE),
        ("id,name,phone\n1,Lee, Ann,#", PHONE),
        ("INSERT INTO t (a, dob) VALUES ('x, y', '#')", DOB),
        ("INSERT INTO t (a, dob) VALUES (1, 2), (3, '#')", DOB),
        ("INSERT INTO t (a, dob) VALUES (1, 2); UPDATE t SET a = #", None),
        ("phone, or mail\nyes, #", None),
        ("#", None),
    ],
)
def test_the_head_of_a_column_tells_what_is_under_it(text: str, kind: str | None) -> None:
    assert Columns(text).kind(text.index("#")) == kind


def test_rows_are_asked_for_one_after_another() -> None:
    text = "id,phone\n" + "1,2\n" * 50
    columns = Columns(text)
    places = [place for place in range(9, len(text)) if text[place] == "2"]
    assert [columns.kind(place) for place in places] == [PHONE] * 50
