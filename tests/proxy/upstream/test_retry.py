from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstream.retry import Again, Counts, Failure, GiveUp, Next, Policy, decide, fails, retry_after_s


@pytest.mark.parametrize("status", [None, 408, 429, 500, 502, 503, 504, 529])
def test_a_failure_that_another_provider_might_not_have_goes_to_the_next_target(status: int | None) -> None:
    assert decide(Failure(status), Counts(1, 1, 1), Policy()) == Next()


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 409, 413, 422, 501])
def test_an_answer_about_the_call_itself_is_final(status: int) -> None:
    assert not fails(status)
    assert decide(Failure(status), Counts(1, 1, 3), Policy()) == GiveUp(exhausted=False)


def test_one_attempt_on_one_target_leaves_repeating_to_the_caller() -> None:
    assert decide(Failure(503), Counts(1, 1, 0), Policy()) == GiveUp(exhausted=False)


def test_the_last_of_several_targets_ends_it_for_the_caller_too() -> None:
    assert decide(Failure(503), Counts(2, 1, 0), Policy()) == GiveUp(exhausted=True)


def test_attempts_are_bounded_over_all_targets() -> None:
    assert decide(Failure(503), Counts(4, 1, 9), Policy(total=4)) == GiveUp(exhausted=False)


def test_nothing_is_tried_after_the_deadline() -> None:
    assert decide(Failure(503, now_s=5, deadline_s=5), Counts(1, 1, 2), Policy()) == GiveUp(exhausted=False)
    assert decide(Failure(503, now_s=4, deadline_s=5), Counts(1, 1, 2), Policy()) == Next()


def test_a_policy_may_try_a_target_again_after_the_pause_it_asks_for() -> None:
    policy = Policy(same=3, pause_s=0.5, patience_s=5, total=9)
    assert decide(Failure(503), Counts(1, 1, 1), policy) == Again(0.5)
    assert decide(Failure(503), Counts(2, 2, 1), policy) == Again(1.0)
    assert decide(Failure(503), Counts(3, 3, 1), policy) == Next()
    assert decide(Failure(429, [("Retry-After", "2")]), Counts(1, 1, 1), policy) == Again(2.0)
    assert decide(Failure(429, [("Retry-After", "60")]), Counts(1, 1, 1), policy) == Next()
    assert decide(Failure(503, now_s=0, deadline_s=0.4), Counts(1, 1, 1), policy) == Next()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([("Retry-After", "7")], 7.0),
        ([("retry-after", "7"), ("Retry-After-Ms", "250")], 0.25),
        ([("retry-after", "Thu, 01 Jan 1970 00:01:40 GMT")], 40.0),
        ([("retry-after", "Thu, 01 Jan 1970 00:00:10 GMT")], 0.0),
        ([("retry-after", "soon")], None),
        ([("retry-after", "-1")], None),
        ([("retry-after", "9" * 400)], None),
        ([("retry-after", "nan")], None),
        ([], None),
    ],
)
def test_the_pause_is_read_in_every_form_that_providers_use(
    headers: list[tuple[str, str]], seconds: float | None
) -> None:
    assert retry_after_s(headers, 60.0) == seconds


@given(st.text(max_size=40))
def test_no_header_breaks_the_reading(text: str) -> None:
    after = retry_after_s([("retry-after", text)], 0.0)
    assert after is None or after >= 0
