from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.routing.language import language
from plugins.routing.options import Condition
from plugins.routing.rules import DAYS, Facts, Matcher, within
from proxy.exchange import Exchange
from tests import kit

SATURDAY_NOON_S = 1_700_308_800.0


def call(text: str = "hello", at_s: float = SATURDAY_NOON_S, **doc: Any) -> Exchange:
    made = kit.exchange(doc={"model": "m", "messages": [{"role": "user", "content": text}], **doc})
    made.at_s = at_s
    return made


def fits(condition: Condition, exchange: Exchange) -> bool:
    return Matcher.of(condition).fits(Facts(exchange))


@pytest.mark.parametrize(
    ("condition", "doc", "text"),
    [
        (Condition(tools=True), {"tools": [{"type": "function", "function": {"name": "f"}}]}, "x"),
        (Condition(tools=False), {}, "x"),
        (Condition(stream=True), {"stream": True}, "x"),
        (Condition(tokens_from=25), {}, "x" * 100),
        (Condition(tokens_below=25), {}, "x" * 99),
        (Condition(tags=("a", "b")), {"metadata": {"tags": ["b", "z"]}}, "x"),
        (Condition(tags=("b",)), {"metadata": {"tags": "a, b"}}, "x"),
        (Condition(hours="11:00-13:00"), {}, "x"),
        (Condition(hours="23:00-12:01"), {}, "x"),
        (Condition(days=("sat", "sun")), {}, "x"),
        (Condition(languages=("de",)), {}, "Was ist die Hauptstadt von Frankreich und wie komme ich hin?"),
        (Condition(images=False), {}, "x"),
    ],
)
def test_what_is_given_must_hold(condition: Condition, doc: dict[str, Any], text: str) -> None:
    assert fits(condition, call(text, **doc))


@pytest.mark.parametrize(
    "condition",
    [
        Condition(tools=True),
        Condition(stream=True),
        Condition(tokens_from=1000),
        Condition(tokens_below=1),
        Condition(tags=("a",)),
        Condition(headers={"x-team": "blue"}),
        Condition(hours="12:01-12:00"),
        Condition(days=("mon",)),
        Condition(languages=("ja",)),
        Condition(images=True),
        Condition(budget_below=0.5),
    ],
)
def test_what_does_not_hold_keeps_the_rule_away(condition: Condition) -> None:
    assert not fits(condition, call("How are you, and what is it that you want?"))


def test_tags_come_in_a_header_as_well() -> None:
    exchange = call()
    exchange.request.headers = [("X-Weir-Tags", "batch, nightly")]
    assert fits(Condition(tags=("nightly",)), exchange)


@pytest.mark.parametrize(("value", "holds"), [("blue-3", True), ("red", False)])
def test_headers_are_compared_by_patterns(value: str, holds: bool) -> None:
    exchange = call()
    exchange.request.headers = [("X-Team", value)]
    assert fits(Condition(headers={"x-team": "blue*"}), exchange) is holds


CONDITIONS = st.builds(
    Condition,
    tokens_from=st.none() | st.integers(0, 60),
    tokens_below=st.none() | st.integers(1, 60),
    tools=st.none() | st.booleans(),
    stream=st.none() | st.booleans(),
    days=st.lists(st.sampled_from(DAYS), max_size=3).map(tuple),
    hours=st.sampled_from(["", "00:00-12:00", "12:00-24:00", "22:00-06:00"]),
    tags=st.lists(st.sampled_from(["a", "b"]), max_size=2).map(tuple),
)
CALLS = st.builds(
    lambda text, at_s, stream, tools, tags: call(
        text, at_s, stream=stream, metadata={"tags": tags}, **({"tools": [{"type": "function"}]} if tools else {})
    ),
    st.text(max_size=200),
    st.floats(1.6e9, 1.8e9),
    st.booleans(),
    st.booleans(),
    st.lists(st.sampled_from(["a", "b", "c"]), max_size=2),
)


@given(CONDITIONS, CALLS)
def test_a_rule_fits_where_each_part_of_it_alone_does(condition: Condition, exchange: Exchange) -> None:
    names = ("tokens_from", "tokens_below", "tools", "stream", "days", "hours", "tags")
    parts = [Condition(**{name: getattr(condition, name)}) for name in names]
    assert fits(condition, exchange) == all(fits(part, exchange) for part in parts)


@given(st.integers(0, 1439), st.integers(0, 1439), st.integers(0, 1439))
def test_of_two_times_of_day_each_minute_lies_in_one_half(start: int, end: int, minute: int) -> None:
    def told(first: int, second: int) -> str:
        return f"{first // 60:02}:{first % 60:02}-{second // 60:02}:{second % 60:02}"

    if start != end:
        assert within(told(start, end), minute) != within(told(end, start), minute)
    else:
        assert within(told(start, end), minute)


@given(st.text(max_size=300))
def test_any_text_has_a_language_or_none(text: str) -> None:
    assert len(language(text)) in (0, 2)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("en", "What is the best way to learn that?"),
        ("de", "Schreibe mir ein Gedicht auf Deutsch, das von der See handelt."),
        ("fr", "Quelle est la capitale de la France et pour quoi?"),
        ("es", "¿Cómo se hace el pan con los ingredientes que tengo?"),
        ("it", "Che cosa sono gli spaghetti e come si fanno nella cucina di casa?"),
        ("pt", "Como você faz isso e não se cansa do trabalho?"),
        ("nl", "Wat is het beste boek van de wereld en hoe heet dat?"),
        ("ja", "今日の天気はどうですか"),
        ("zh", "今天的天气怎么样"),
        ("ko", "오늘 날씨가 어때요"),
        ("ru", "Какая сегодня погода?"),
        ("ar", "كيف حالك اليوم"),
        ("el", "Τι καιρό κάνει σήμερα"),
        ("he", "מה שלומך היום"),
        ("hi", "आज मौसम कैसा है"),
        ("th", "วันนี้อากาศเป็นอย่างไร"),
        ("", "12345 + 67890"),
    ],
)
def test_languages_are_told_by_script_or_small_words(code: str, text: str) -> None:
    assert language(text) == code
