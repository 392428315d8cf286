"""What hangs on a text of the Responses dialect: annotations with offsets are moved or dropped, logprobs emptied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from proxy.exchange import Segment
from proxy.ports import Json

_CONTEXT_CHARS = 16


def of_changed(changed: Iterable[Segment]) -> list[tuple[Any, Any, Json]]:
    """What else must be set (container, key, value) because these texts changed."""
    found: list[tuple[Any, Any, Json]] = []
    for segment in changed:
        container = getattr(segment.slot, "container", None)
        if type(container) is dict and container.get("type") == "output_text":
            found += [(container, key, value) for key, value in _settled(container, segment.original, segment.text)]
    return found


def settle(part: dict[str, Any], original: str, text: str) -> None:
    """Puts right what a part (or event) says about its text, which was `original` and is now `text`."""
    part.update(tuple(_settled(part, original, text)))


def _settled(part: dict[str, Any], original: str, text: str) -> Iterator[tuple[str, Json]]:
    if part.get("logprobs"):
        yield "logprobs", []
    notes = part.get("annotations")
    if type(notes) is list and notes and original != text:
        mover = Mover(original, text)
        moved = [mover.move(note) for note in notes]
        yield "annotations", [note for note in moved if note is not None]


class Mover:
    """Carries annotations from a text to what it has become."""

    __slots__ = ("_original", "_same_at_begin", "_same_at_end", "_text")

    def __init__(self, original: str, text: str) -> None:
        self._original = original
        self._text = text
        begin = _common(original, text)
        most = min(len(original), len(text)) - begin
        self._same_at_begin = begin
        self._same_at_end = min(most, _common(original[::-1], text[::-1]))

    def move(self, note: Json) -> Json:
        """The annotation in its new place; None where what it marked is not there any more, or is there twice."""
        if type(note) is not dict:
            return note
        start, end, index = note.get("start_index"), note.get("end_index"), note.get("index")
        if type(start) is int and type(end) is int:
            at = self._span(start, end)
            return None if at is None else {**note, "start_index": at, "end_index": at + end - start}
        return {**note, "index": self._point(index)} if type(index) is int else note

    def _span(self, start: int, end: int) -> int | None:
        original, text = self._original, self._text
        if not 0 <= start <= end <= len(original):
            return None
        if end <= self._same_at_begin:
            return start
        if start >= len(original) - self._same_at_end:
            return start + len(text) - len(original)
        marked = original[start:end]
        if not marked or original.count(marked) != 1 or text.count(marked) != 1:
            return None
        return text.index(marked)

    def _point(self, index: int) -> int:
        """A position rather than a range: at worst it moves to the end of what was changed."""
        original, text = self._original, self._text
        if not self._same_at_begin < index <= len(original):
            return index
        if index >= len(original) - self._same_at_end:
            return index + len(text) - len(original)
        before = original[max(0, index - _CONTEXT_CHARS) : index]
        if original.count(before) == 1 and text.count(before) == 1:
            return text.index(before) + len(before)
        return len(text) - self._same_at_end


def _common(one: str, other: str) -> int:
    """How many characters they begin with alike."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
