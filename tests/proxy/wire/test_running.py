from __future__ import annotations

from collections.abc import Iterator

from proxy.exchange import Segment
from proxy.wire.deltas import Arguments, Passing, Text
from proxy.wire.running import Running


def answer(passing: Passing, told: str = "") -> str:
    """Runs it, giving each piece in capitals, or `told` for the last one."""
    try:
        piece = next(passing)
        while True:
            piece = passing.send(piece.text.upper() + (told if piece.final else ""))
    except StopIteration as end:
        result: str = end.value
        return result


def counter() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


def test_it_remembers_what_came_and_what_was_delivered() -> None:
    text = Running(Text(Segment("assistant", "text", "")))
    assert [answer(text.feed(piece)) for piece in ("a", "", "b")] == ["A", "", "B"]
    assert answer(text.close(), "!") == "!"
    assert (text.original, text.delivered, text.open, text.same) == ("ab", "AB!", False, False)
    assert answer(text.close(), "!") == ""


def test_a_text_that_never_began_ends_unseen() -> None:
    text = Running(Text(Segment("assistant", "text", "")))
    assert list(text.close()) == []
    assert text.same and not text.open


def test_a_sealed_text_is_delivered_as_it_came() -> None:
    text = Running(Text(Segment("assistant", "reasoning", "", sealed=True)))
    assert answer(text.feed("a")) + answer(text.close(), "!") == "a"
    assert text.same


def test_arguments_are_remembered_as_json() -> None:
    numbers = counter()
    text = Running(Arguments(0, lambda: next(numbers)))
    assert answer(text.whole('{"k":"a"}'), '"') == '{"k":"A\\""}'
    assert (text.original, text.delivered) == ('{"k":"a"}', '{"k":"A\\""}')
