from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.control.redaction import MARKS, Redactor, find

redact = Redactor()


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("my ssn is 123-45-6789.", "my ssn is [SSN_REDACTED]."),
        ("card 4111 1111 1111 1111 or 4111-1111-1111-1111", "card [CREDIT_CARD_REDACTED] or [CREDIT_CARD_REDACTED]"),
        ("4111111111111111", "[CREDIT_CARD_REDACTED]"),
        ("mail ann.o'neil+x@mail.example.co.uk!", "mail [EMAIL_REDACTED]!"),
        ("an max.müller@firma.de", "an [EMAIL_REDACTED]"),
        ("邮箱a@b.co电话", "邮箱[EMAIL_REDACTED]电话"),
        ("from 84.17.3.9 to 2a02:7f2c:fcb::68:738f", "from [IP_REDACTED] to [IP_REDACTED]"),
        ("pay GB82 WEST 1234 5698 7654 32 now", "pay [IBAN_REDACTED] now"),
        ("ann (at) example (dot) org", "[EMAIL_REDACTED]"),
        ("Passport No. F81461643, born 07/09/1989", "Passport No. [PASSPORT_REDACTED], born [DOB_REDACTED]"),
        (
            "call (212) 555-1234, 212-555-1234, +1 212.555.1234",
            "call [PHONE_REDACTED], [PHONE_REDACTED], [PHONE_REDACTED]",
        ),
        ("2125551234", "[PHONE_REDACTED]"),
        ("key sk-proj-abcDEF0123456789", "key [SECRET_REDACTED]"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer [SECRET_REDACTED]"),
        ("a@b.co c@d.co", "[EMAIL_REDACTED] [EMAIL_REDACTED]"),
    ],
)
def test_what_must_not_be_kept_is_taken_out(text: str, kept: str) -> None:
    assert redact(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gpt-4o-2024-08-06",
        "claude-3-5-sonnet-20241022",
        "/v1/responses/resp_1234567890",
        "risk-averse",
        "a @ b",
        "12:34",
    ],
)
def test_what_is_harmless_stays(text: str) -> None:
    assert redact(text) == text


def test_types_are_counted() -> None:
    assert dict(redact.redact("a@b.co, c@d.co, 123-45-6789").counts) == {"EMAIL": 2, "SSN": 1}


@given(
    st.lists(
        st.sampled_from(["123-45-6789", "4111 1111 1111 1111", "x@y.org", "212-555-1234", "word", "sk-" + "a" * 20])
    )
)
def test_nothing_is_left_whatever_stands_beside_it(words: list[str]) -> None:
    text = redact(" ".join(words))
    assert not find(text)
    assert sum(text.count(mark) for mark in MARKS.values()) == len([word for word in words if word != "word"])


@pytest.mark.parametrize(
    "worst",
    [
        "a",
        "1",
        "@",
        "a@a.",
        "a@",
        "a.",
        "123-45-",
        "1 1 ",
        "(123) ",
        "sk-",
        "-eyJa",
        "eyJaaaaaaaaaa.",
        "bearer ",
        "a@b.co ",
    ],
)
def test_no_text_makes_it_run_away(worst: str) -> None:
    """Four times the text takes about four times as long; what backtracks takes sixteen times as long, and more."""

    def least_s(length: int) -> float:
        text, times = worst * (length // len(worst)), []
        for _ in range(5):
            start = time.thread_time()
            find(text)
            times.append(time.thread_time() - start)
        return min(times)

    assert least_s(100_000) < 9 * least_s(25_000) + 0.002
