"""What a guard leaves for those below and behind it: texts from tools and documents that seem to give orders."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.notes import Key


@dataclass(frozen=True, slots=True)
class Suspect:
    """A text from a tool or a document that seems to give orders: a note for those below and behind."""

    index: int
    """Of its message or item in the request."""
    part: int
    position: str
    """`tool`, `document` or `description`."""
    text: str
    """As it came. Never to be recorded."""
    score: float
    """0 to 1."""
    reasons: tuple[str, ...]
    passed: bool
    """It went to the model as it is, or marked as data; else it was replaced."""


SUSPECTS: Key[tuple[Suspect, ...]] = Key("suspects")
"""Whoever sees the model do what such a text asks for (a call of a tool, a link) has reason to stop it. Texts that
come near to acting are among them."""
