"""Two answers: their texts in every dialect, and whether they say the same."""

from __future__ import annotations

import pytest

from plugins.cache.semantic.answers import same, text_of

CHAT = b'{"choices":[{"message":{"role":"assistant","content":"Hello there"}}]}'
COMPLETION = b'{"choices":[{"text":"Hello there"}]}'
MESSAGE = b'{"content":[{"type":"text","text":"Hello "},{"type":"text","text":"there"}]}'
RESPONSE = b'{"output":[{"type":"message","content":[{"type":"output_text","text":"Hello there"}]}]}'
CHAT_EVENTS = (
    b'data: {"choices":[{"delta":{"content":"Hello "}}]}\n\n'
    b'data: {"choices":[{"delta":{"content":"there"}}]}\n\ndata: [DONE]\n\n'
)
MESSAGE_EVENTS = (
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"Hello there"}}\n\n'
)
RESPONSE_EVENTS = (
    b'data: {"type":"response.output_text.delta","delta":"Hello there"}\n\n'
    b'data: {"type":"response.completed","response":{}}\n\n'
)


@pytest.mark.parametrize("body", [CHAT, COMPLETION, MESSAGE, RESPONSE])
def test_a_documents_text_is_found(body: bytes) -> None:
    assert text_of(body, False) == "Hello there"


@pytest.mark.parametrize("body", [CHAT_EVENTS, MESSAGE_EVENTS, RESPONSE_EVENTS])
def test_a_streams_text_is_found(body: bytes) -> None:
    assert text_of(body, True) == "Hello there"


def test_what_is_no_answer_has_no_text() -> None:
    assert text_of(b"[]", False) == text_of(b"nonsense", False) == text_of(b"data: nonsense", True) == ""


LONG = "You can reset the password in the settings under security, and a mail with a link is sent to you."


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        ("Paris.", "paris", True),
        ("Paris", "Rome", False),
        ("Paris", "It is Paris", None),
        (LONG, LONG.replace("mail", "message"), True),
        (f"It takes 3 days. {LONG}", f"It takes 5 days. {LONG}", False),
        ("Yes, you can do that whenever you like to", "No, you cannot do that at all I fear", False),
        (LONG, "Bread is baked of flour and water, with yeast or sourdough, in a hot oven.", False),
        ("", "something", None),
    ],
)
def test_two_answers_say_the_same_or_not_or_nobody_knows(one: str, other: str, verdict: bool | None) -> None:
    assert same(one, other) is verdict
    assert same(other, one) is verdict
