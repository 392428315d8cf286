"""What models make of a placeholder is recognised, prose never is, and nothing depends on how the text was cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.pii.restore import Awaited, Restore
from plugins.pii.shapes import HOLD_CHARS
from proxy.plugin import Hold

VALUES = {"EMAIL_1": "a@b.io", "EMAIL_12": "z@b.io", "CREDIT_CARD_3": "4111", "PERSON_1": "Ann",
          "EMAIL_KABCDEFGHIJ23": "keyed@b.io"}  # fmt: skip
KNOWN = frozenset({"EMAIL", "CREDIT_CARD", "PERSON"})
MANGLED = (
    "[EMAIL_1]", "(EMAIL_1)", "[email_1]", "[Email_1]", "[Email 1]", "[EMAIL-1]", "[ EMAIL_1 ]", "EMAIL_1", "email_1",
    "<EMAIL_1>", "{EMAIL_1}", "［EMAIL_1］", "【EMAIL_1】", "【email 1】", "（EMAIL_1）", "「EMAIL_1」",
    "\\[EMAIL\\_1\\]", "[EMAIL\\_1]",
)  # fmt: skip
PROSE = (
    "email 1", "Email 1", "(email 1)", "(person 1)", "Person 1 said", "credit card 3", "emails_1", "xEMAIL_1",
    "EMAIL_1x", "EMAIL_123456789", "EMAIL_", "EMAIL", "[EMAIL]", "[1]", "[EMAIL_]", "[EMAIL_0]", "EMAIL_2", "[EMAIL_2]",
    "user_email_1", "the e-mail_1",
)  # fmt: skip


def restored(text: str, *cuts: int) -> str:
    made, at, out = Restore(VALUES, KNOWN), 0, []
    for cut in (*cuts, len(text)):
        out.append(made.feed(text[at:cut]))
        at = cut
    return "".join(out) + made.close()


@pytest.mark.parametrize("mangled", MANGLED)
@pytest.mark.parametrize("frame", ["{}", "mail {} now", "**{}**", "`{}`", '"{}"', "to:{}.", "日本{}語", "{},{}"])
def test_a_mangled_placeholder_is_recognised(mangled: str, frame: str) -> None:
    assert restored(frame.replace("{}", mangled)) == frame.replace("{}", "a@b.io")


@pytest.mark.parametrize("prose", PROSE)
def test_prose_and_what_was_never_masked_stay(prose: str) -> None:
    for frame in ("{}", "see {}.", "**{}**"):
        assert restored(frame.format(prose)) == frame.format(prose)


def test_names_of_several_words_and_tokens_are_read_in_any_form() -> None:
    told = "[CREDIT_CARD_3] [Credit Card 3] credit_card_3 [CREDIT CARD_3] [email_KABCDEFGHIJ23] EMAIL_12 [EMAIL_12]"
    assert restored(told) == "4111 4111 4111 4111 keyed@b.io z@b.io z@b.io"


def test_round_brackets_of_a_call_are_left_to_it() -> None:
    assert restored("send(EMAIL_1) and (EMAIL_1)") == "send(a@b.io) and a@b.io"


def test_what_is_put_in_is_not_read_again() -> None:
    made = Restore({"EMAIL_1": "[EMAIL_2]", "EMAIL_2": "x"}, KNOWN)
    assert made.feed("[EMAIL_1][EMAIL_2] ") + made.close() == "[EMAIL_2]x "


ODDS = st.sampled_from((*MANGLED, *PROSE, " ", "[", "]", "(", "\\", "_", "1", "E", "e", "\n", "é"))


@settings(max_examples=1500, deadline=None)
@given(st.lists(ODDS, max_size=8).map("".join), st.lists(st.integers(0, 80), max_size=12))
def test_nothing_depends_on_the_cuts(text: str, cuts: list[int]) -> None:
    places = sorted(min(cut, len(text)) for cut in cuts)
    assert restored(text, *places) == restored(text)
    assert restored(text, *range(1, len(text))) == restored(text)


@settings(max_examples=300, deadline=None)
@given(st.lists(ODDS, max_size=8).map("".join))
def test_no_more_is_held_back_than_a_placeholder_is_long(text: str) -> None:
    made, given_, came = Restore({}, KNOWN), 0, 0
    for letter in text:
        given_ += 1
        came += len(made.feed(letter))
        assert given_ - came <= 40 < HOLD_CHARS
    assert came + len(made.close()) == given_


async def test_text_waits_for_what_has_to_be_done_first() -> None:
    done = []

    async def ready() -> Restore:
        done.append(True)
        return Restore(VALUES, KNOWN)

    waiting = Awaited(ready)
    assert waiting.feed("") == "" and not done
    first = waiting.feed("to [EMA")
    assert isinstance(first, Hold) and first.text == "to [EMA" and not done
    assert await first.check() == "to " and done == [True]
    assert waiting.feed("IL_1]") == "a@b.io" and waiting.close() == ""


async def test_without_a_map_everything_passes() -> None:
    async def ready() -> None:
        return None

    waiting = Awaited(ready)
    first = waiting.feed("[EMAIL_1]")
    assert isinstance(first, Hold) and await first.check() == "[EMAIL_1]"
    assert (waiting.feed("x"), waiting.close()) == ("x", "")


def test_nobody_sees_an_original_in_what_is_shown_of_it() -> None:
    assert "a@b.io" not in repr(Restore(VALUES, KNOWN))
