"""Which model a conversation is with, and what a provider has of it in its cache: bounded, forgotten after silence."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from proxy.exchange import Target

ENTRIES = 20_000
MOST_KEY_CHARS = 256


@dataclass(slots=True)
class Stay:
    """Where a conversation is."""

    target: Target
    at_s: float
    """When it last was heard of, wall time."""
    prompt_tokens: int
    """Of its last call."""
    cached: bool
    """The provider told of its cache in that call: the next one finds this prompt there."""
    chance: float = 1.0
    """That its model is good enough, as it was judged at first."""
    traits: Sequence[float] | None = None
    """By which it was: later turns are not judged again."""
    asked: int = 0
    """The hash of its last call, where that was answered and its session has a name; 0: that is of no use."""


class Sticky:
    """One per process. Conversations whose model was the only one able forget nothing of worth when they go."""

    def __init__(self, entries: int = ENTRIES) -> None:
        self._most = entries
        self._stays: OrderedDict[tuple[str, str], Stay] = OrderedDict()

    def __len__(self) -> int:
        return len(self._stays)

    def find(self, conversation: str, asked: str, at_s: float, silent_s: float) -> Stay | None:
        """Where it is, if it was heard of less than `silent_s` ago."""
        found = self._stays.get((conversation, asked))
        return found if found is not None and at_s - found.at_s < silent_s else None

    def keep(self, conversation: str, asked: str, stay: Stay) -> None:
        key = (conversation[:MOST_KEY_CHARS], asked[:MOST_KEY_CHARS])
        if key not in self._stays and len(self._stays) >= self._most:
            self._stays.popitem(last=False)
        self._stays[key] = stay
        self._stays.move_to_end(key)

    def touch(self, conversation: str, asked: str) -> None:
        """It was heard of again."""
        key = (conversation, asked)
        if key in self._stays:
            self._stays.move_to_end(key)
