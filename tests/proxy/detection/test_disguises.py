from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.detection import disguises
from proxy.detection.finder import Finder
from proxy.detection.span import Span

FINDER = Finder()


def found(text: str) -> list[tuple[str, str]]:
    return [(span.type, text[span.start : span.end]) for span in FINDER.find(text)]


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("EMAIL", "ann%40example.org"),
        ("EMAIL", "ann%2540example%2Eorg"),
        ("EMAIL", "ann&#64;example.org"),
        ("EMAIL", "ann&#x40;example&#46;org"),
        ("EMAIL", "ann&amp;#64;example.org"),
        ("EMAIL", "ann&commat;example&period;org"),
        ("EMAIL", r"ann\u0040example.org"),
        ("EMAIL", r"ann\x40example.org"),
        ("EMAIL", "ann＠example.org"),
        ("EMAIL", "ａｎｎ＠ｅｘａｍｐｌｅ．ｏｒｇ"),
        ("EMAIL", "ann@example。org"),
        ("EMAIL", "a\u00adnn@exam\u200bple.o\u2060rg"),
        ("EMAIL", "ann&shy;@exam&#8203;ple.org"),
        ("SSN", "123–45–6789"),
        ("SSN", "123\u201145\u20116789"),
        ("SSN", "123\u00ad-45-67\u200b89"),
        ("SSN", "１２３－４５－６７８９"),
        ("SSN", "123&#45;45&#x2D;6789"),
        ("SSN", "123%2D45%2D6789"),
        ("CREDIT_CARD", "4111\u00a01111\u00a01111\u00a01111"),
        ("CREDIT_CARD", "4111&nbsp;1111&nbsp;1111&nbsp;1111"),
        ("CREDIT_CARD", "4111  1111  1111  1111"),
        ("CREDIT_CARD", "3782  822463  10005"),
        ("CREDIT_CARD", "٤١١١ ١١١١ ١١١١ ١١١١"),
        ("CREDIT_CARD", "４１１１-１１１１-１１１１-１１１１"),
        ("CREDIT_CARD", "4111\u200b1111\u200b1111\u200b1111"),
        ("PHONE", "555\u2011123\u20114567"),
        ("PHONE", "(555)\u00a0123–4567"),
        ("PHONE", "+49\u202f30\u202f901820"),
        ("PHONE", "٥٥٥-١٢٣-٤٥٦٧"),
        ("IBAN", "GB82\u00a0WEST\u00a01234\u00a05698\u00a07654\u00a032"),
        ("IP", "84.17\u200b.3.9"),
        ("IP", "８４．１７．１３．９"),
    ],
)
@pytest.mark.parametrize(("before", "behind"), [("", ""), ("So: ", "."), ("[", "]"), ("é ", " – ok")])
def test_what_is_disguised_is_found_where_it_stands(kind: str, written: str, before: str, behind: str) -> None:
    assert found(before + written + behind) == [(kind, written)]


@pytest.mark.parametrize(
    "text",
    [
        "1️⃣ first, 2️⃣ second 👩\u200d💻 50% & more",
        "2019–2021, pp. 123–145, 10\u00a0000\u00a0km, 3–5 % von 1\u202f234\u202f567 €",
        "https://example.org/a%20b?q=%3D1&x=2 &nbsp;&amp;&#8217; \\u2019 \\x1b[0m",
        "set width=100%40 and height=50%30",
        "٢٠٢٤ في العام ١٩٩٩",
        "1001  1002  1003  1004  1005  1006",
        "4111  1111  1111  1112",
        "npm i %40babel/core&#10;&#9;x",
    ],
)
def test_what_is_no_ones_stays(text: str) -> None:
    assert found(text) == []


def test_a_text_that_says_what_it_says_is_not_copied() -> None:
    for text in ("", "plain, 50 % & so – on", "mail ann@example.org", "電話は 555-123-4567 です", r"C:\users\ann"):
        assert disguises.read(text) is None


def test_what_a_value_says() -> None:
    assert disguises.undone("ann%40example.org") == "ann@example.org"
    assert disguises.undone("ann＠example.org") == "ann@example.org"
    assert disguises.undone("ann@example.org") == "ann@example.org"
    assert disguises.undone("&#55296;%40 &#1114112;&#64;") == "&#55296;@ &#1114112;@"


PIECES = st.lists(
    st.sampled_from(
        ["a", "1", "@", ".", " ", "é", "%40", "%2540", "&#64;", "&#x2e;", "&shy;", "\u200b", "\u00ad", "＠", "１", "–",
         r"\u0040", "%zz", "&#0;", "ann%40example.org", "😀", "\ud800"]
    ),
    max_size=30,
).map("".join)  # fmt: skip


@given(PIECES)
def test_every_place_of_a_copy_is_one_of_the_text(text: str) -> None:
    found = disguises.read(text)
    if found is None:
        return
    assert len(found.plain) == len(text)
    if found.again is None:
        return
    copy, end = found.again, 0
    for at in range(len(copy.text)):
        placed = copy.placed(Span(at, at + 1, "X"))
        assert end <= placed.start < placed.end <= len(text)
        assert placed.end - placed.start == 1 or copy.text[at] == disguises.undone(text[placed.start : placed.end])
        end = placed.end


@given(PIECES)
def test_spans_are_in_order_and_inside_the_text(text: str) -> None:
    end = 0
    for span in FINDER.find(text):
        assert end <= span.start < span.end <= len(text)
        end = span.end
