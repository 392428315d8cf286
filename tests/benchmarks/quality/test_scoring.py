from __future__ import annotations

from benchmarks.quality.invented import Inventor
from benchmarks.quality.report import Table, held_out, rate, wilson
from benchmarks.quality.scoring import Document, Place, score

TEXT = "ann@example.org and 212-555-1234 and nothing"
MAIL, PHONE = Place(0, 15, "EMAIL"), Place(20, 32, "PHONE")


def document(*places: Place) -> Document:
    return Document("d", TEXT, places, "chat", "en")


def test_what_is_found_whole_counts() -> None:
    total = score([(document(MAIL, PHONE), [MAIL, PHONE])])
    assert (total.true["EMAIL"], total.gold["EMAIL"], total.f1(), total.masked_chars) == (1, 1, 1.0, 0)


def test_nine_tenths_are_enough_and_less_is_missed_but_not_wrong() -> None:
    total = score([(document(MAIL), [Place(1, 15, "EMAIL")]), (document(MAIL), [Place(3, 15, "EMAIL")])])
    assert (total.true["EMAIL"], total.gold["EMAIL"], total.false["EMAIL"], len(total.missed)) == (1, 2, 0, 1)


def test_another_type_is_wrong() -> None:
    total = score([(document(MAIL), [Place(0, 15, "IBAN")])])
    assert (total.true["EMAIL"], total.false["IBAN"], total.f1()) == (0, 1, 0.0)


def test_optional_places_and_neutral_types_are_neither_here_nor_there() -> None:
    optional = Place(20, 32, "OTHER", optional=True)
    total = score([(document(optional), [PHONE, Place(37, 44, "DATE")])])
    assert (total.gold.total(), total.false.total(), total.masked_chars) == (0, 0, 7)


def test_clean_documents_are_touched_by_what_is_wrong() -> None:
    total = score([(document(), [PHONE]), (document(), [])])
    assert (total.clean, total.touched) == (2, 1)
    assert total.masked_chars == 12


def test_an_interval_holds_its_rate() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(9, 10)
    assert 0.59 < low < 0.6 and 0.98 < high < 0.99
    assert rate(9, 10) == "90.0 % [59.6, 98.2] of 10"


def test_a_split_is_for_good() -> None:
    assert [held_out(str(number)) for number in range(8)] == [held_out(str(number)) for number in range(8)]
    assert 400 < sum(held_out(str(number)) for number in range(1000)) < 600


def test_a_table_is_markdown() -> None:
    assert Table("T", ("a", "b"), [("1", "2")]).markdown().splitlines()[2:5] == [
        "| a | b |",
        "| --- | ---: |",
        "| 1 | 2 |",
    ]


def test_inventions_are_the_same_each_time_and_say_where_what_is() -> None:
    one, other = list(Inventor().documents(1)), list(Inventor().documents(1))
    assert one == other
    places = [(place.type, document.text[place.start : place.end]) for document in one for place in document.places]
    assert all(
        "@" in value or " at" in value or "[at]" in value or "(at)" in value
        for kind, value in places
        if kind == "EMAIL"
    )
    assert {kind for kind, _ in places} >= {"EMAIL", "PHONE", "SSN", "CREDIT_CARD", "IBAN", "IP", "CRYPTO", "DOB"}
