from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.detection.finder import BEHIND_CHARS, PIECE_CHARS, Finder
from proxy.detection.secrets import Secrets
from proxy.detection.span import Span

FINDER = Finder()
DIGITS = "0123456789"


def found(text: str, finder: Finder = FINDER) -> list[tuple[str, str]]:
    return [(span.type, text[span.start : span.end]) for span in finder.find(text)]


def digits(count: int) -> st.SearchStrategy[str]:
    return st.text(DIGITS, min_size=count, max_size=count)


def groups(*sizes: int) -> st.SearchStrategy[list[str]]:
    return st.tuples(*map(digits, sizes)).map(list)


WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=8)
SSN = st.builds(
    lambda area, group, serial: f"{area:03}-{group:02}-{serial:04}",
    st.integers(1, 899).filter(lambda area: area != 666), st.integers(1, 99), st.integers(1, 9999),
)  # fmt: skip
CARD = st.builds(lambda sign, parts: sign.join(parts), st.sampled_from(" -"), groups(4, 4, 4, 4))
PHONE = st.builds(
    lambda before, form, parts: before + form.format(*parts),
    st.sampled_from(["", "", "1-", "1 ", "+1 ", "+1-", "+1"]),
    st.sampled_from(["{}-{}-{}", "{}.{}.{}", "({}) {}-{}", "({}){}-{}", "{} {} {}", "{} {}-{}"]),
    groups(3, 3, 4),
)
EMAIL = st.builds(
    lambda one, sign, two, host, top: f"{one}{sign}{two}@{host}.{top}",
    WORD, st.sampled_from(["", ".", "_", "-", "+"]), WORD, WORD,
    st.sampled_from(["com", "org", "co.uk", "de", "io", "travel", "xn--p1ai"]),
)  # fmt: skip
KINDS = (("SSN", SSN), ("CREDIT_CARD", CARD), ("PHONE", PHONE), ("EMAIL", EMAIL))
SEPARATED = st.one_of(*(st.tuples(st.just(kind), values) for kind, values in KINDS))
_BEFORE = """¦my ssn is ¦Number: ¦order ¦id ¦(¦[¦"¦{"v":"¦<b>¦x=¦- ¦1. ¦Ann, ¦über ¦電話¦の¦— ¦$¦#¦
¦\t¦id,¦a|¦call ¦zip 12345 ¦at 10:30 ¦2024-01-02 ¦tel:¦«"""
_BEHIND = """¦.¦,¦!¦)¦]¦"¦"}¦</b>¦ x¦;¦:¦
¦\t¦|x¦です¦ 12/27¦ cvv 123¦/¦\\¦…¦'s¦-¦ - ok¦ 5"""
BEFORE, BEHIND = st.sampled_from(_BEFORE.split("¦")), st.sampled_from(_BEHIND.split("¦"))


@given(SEPARATED, BEFORE, BEHIND)
def test_separated_forms_of_the_four_types_are_always_found(value: tuple[str, str], before: str, behind: str) -> None:
    kind, written = value
    text = before + written + behind
    spans = [span for span in FINDER.find(text) if span.type == kind]
    covered = set[int]().union(*(range(span.start, span.end) for span in spans))
    own = set(range(len(before), len(before) + len(written)))
    assert own - covered <= set(range(len(before), len(before) + len(written) - len(written.lstrip("+1 -"))))


@pytest.mark.parametrize(
    "text",
    [
        "851203944",
        "order 2125551234",
        "4111111111111112",
        "1700000000",
        "id 4929123412341234567",
        "epoch 1661310343786",
    ],
)
def test_bare_digits_need_a_validator_or_a_label(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [("851203944", "SSN"), ("order 2125551234", "PHONE"), ("4111111111111112", "CREDIT_CARD")],
)
def test_classic_finds_bare_digits_as_the_specification_had_it(text: str, kind: str) -> None:
    assert [name for name, _ in found(text, Finder(classic=True))] == [kind]


def test_only_the_types_wanted_are_found() -> None:
    text = "ann@example.org from 84.17.3.9"
    assert found(text, Finder(frozenset({"IP"}))) == [("IP", "84.17.3.9")]


def test_a_text_without_anything_gives_nothing() -> None:
    assert FINDER.find("") == []
    assert FINDER.find("The quarterly review covered 3 topics, in 2024.") == []


class Told:
    """Finds every `word` it is told of."""

    def __init__(self, word: str, kind: str, score: float) -> None:
        self.word, self.kind, self.score = word, kind, score

    def find(self, text: str) -> Iterable[Span]:
        place = text.find(self.word)
        while place >= 0:
            yield Span(place, place + len(self.word), self.kind, self.score)
            place = text.find(self.word, place + 1)


def test_a_recogniser_adds_names() -> None:
    finder = Finder(recogniser=Told("Ann Lee", "PERSON", 0.8))
    assert found("Ann Lee, ann@example.org", finder) == [("PERSON", "Ann Lee"), ("EMAIL", "ann@example.org")]


@pytest.mark.parametrize(("score", "kind"), [(0.5, "PHONE"), (1.0, "SECRET")])
def test_of_two_that_overlap_the_surer_stays(score: float, kind: str) -> None:
    finder = Finder(secrets=Told("212-555-1234-xyz", "SECRET", score))
    assert [name for name, _ in found("call 212-555-1234-xyz", finder)] in ([kind], [])
    finder = Finder(secrets=Told("call 212-555-1234", "SECRET", score))
    assert [name for name, _ in found("call 212-555-1234", finder)] == [kind]


def test_a_secret_across_the_pieces_of_a_long_text_is_found_whole_and_once() -> None:
    secret = "s" * (BEHIND_CHARS - 1)
    finder = Finder(secrets=Told(secret, "SECRET", 1.0))
    for start in (PIECE_CHARS - 10, PIECE_CHARS - 1, PIECE_CHARS, 2 * PIECE_CHARS - 100):
        text = "." * start + secret + "." * 100
        assert finder.find(text) == [Span(start, start + len(secret), "SECRET", 1.0)]


def drive(work: Generator[None, None, list[Span]]) -> tuple[list[Span], int]:
    rests = 0
    while True:
        try:
            next(work)
        except StopIteration as done:
            return list(done.value), rests
        rests += 1


_PIECES = """ann@example.org¦123-45-6789¦4111 1111 1111 1111¦+49 30 1234567¦84.17.3.9¦2001:db8::7¦word¦12¦
¦ ¦, ¦call ¦order ¦GB82WEST12345698765432¦name at host dot com¦x@¦1.2.3¦é¦電話¦|¦(¦)"""
PIECES = st.sampled_from(_PIECES.split("¦"))


@given(st.lists(PIECES, max_size=40).map("".join))
def test_spans_are_in_order_and_do_not_overlap_and_slices_change_nothing(text: str) -> None:
    spans = FINDER.find(text)
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    assert all(one.end <= other.start for one, other in pairwise(spans))
    assert drive(FINDER.sliced(text))[0] == spans


_SAID = (
    "password = hunter2zx9¦AKIAIOSFODNN7EXAMPLF¦token: ¦ghp_q8Zt4LmX2vRk7NcB1sWd9YhJ5fPg3TaE6uQo¦fe80::1¦10:20:30¦::¦"
    "0x¦DE89370400440532013000¦ at a dot com¦(at)¦1.2.3.4¦555-123-4567¦passport A1234567¦12 May 1990¦born ¦\n"
)


@given(st.lists(PIECES | st.sampled_from(_SAID.split("¦")), max_size=30).map("".join))
def test_one_look_at_all_that_could_begin_something_misses_nothing(text: str) -> None:
    finder = Finder(secrets=Secrets.packaged())
    every = [span for look in finder._every for span in look(text) if span is not None]
    assert finder._settled([span for span in finder._all(text) if span is not None]) == finder._settled(every)


@given(st.text(max_size=80))
def test_any_text_at_all_may_come(text: str) -> None:
    FINDER.find(text)


def test_a_long_text_is_worked_on_in_many_small_slices() -> None:
    text = "Call Ann on 212-555-1234 or write to ann@example.org; order 8837263512 came from 84.17.3.9.\n" * 2000
    _, rests = drive(FINDER.sliced(text))
    assert rests > 50


_WORST = """
1¦1 ¦1-¦1.¦1 1¦12 ¦123 ¦1234 ¦12345 ¦0¦00 ¦+1¦+¦(1¦((¦1)¦(1)¦1/¦1_¦12-34-¦01 ¦0123 4567 ¦123-45-¦1.2.3.¦
1.2.3.4.¦4111 ¦4111-1111-¦4111 1111 1111 1111 ¦1-800-¦1x1¦@¦a@¦a@a.¦a@a¦@a.¦a.¦a-¦%¦'a¦a@b.co ¦"@¦//a@¦[at]¦
 at ¦a at b¦ dot ¦ at a.b¦ at a dot ¦(at)a(dot)¦::¦:¦a:¦:a:¦1:2:¦a::¦:::¦f:f¦DE¦DE12¦DE12 ¦DE12A¦de12 3¦0x¦
0xa¦bc1¦bc1q¦1A¦13Lm¦T1¦AB¦ABC123¦A1-¦A123-¦12 May ¦May 1 ¦é¦é1¦電話1¦電¦⏎¦1⏎¦1,¦1;¦1|¦a,¦a|1|¦values (¦
VALUES (1,¦(a,b) VALUES (¦phone 1¦phone: 12345678 ¦call ¦ssn 123456789 ¦born 01/02/1990 ¦passport A¦
passport A1234567 ¦19900101-1234 ¦123.456.789-00 ¦12/34/56¦
"""
WORST = _WORST.replace("\n", "").replace("⏎", "\n").split("¦")[:-1]


@pytest.mark.parametrize("worst", WORST)
def test_no_text_makes_it_run_away(worst: str) -> None:
    """Four times the text takes about four times as long; what backtracks takes sixteen times as long, and more."""

    def least_s(length: int) -> float:
        text, times = worst * (length // len(worst)), []
        for _ in range(2):
            start = time.thread_time()
            FINDER.find(text)
            times.append(time.thread_time() - start)
        return min(times)

    assert least_s(20_000) < 9 * least_s(5_000) + 0.003
