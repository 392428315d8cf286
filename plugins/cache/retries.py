"""Which sessions were given an answer to which call a moment ago: who asks the same again there wants another try."""

from __future__ import annotations

MOST = 65_536


class Retries:
    """Bounded: when the young half is full, it becomes the old one, and what was old is forgotten. A session that the
    caller names (`x-weir-session`) tells conversations apart; what Weir makes up from the opening of a call does not,
    for two users' equal calls have one. Times are monotonic seconds."""

    __slots__ = ("_most", "_old", "_young")

    def __init__(self, most: int = MOST) -> None:
        self._most = most // 2
        self._young: dict[bytes, float] = {}
        self._old: dict[bytes, float] = {}

    def given(self, key: bytes, conversation: str, now_s: float) -> None:
        """An answer to this call has been given there."""
        if len(self._young) >= self._most:
            self._young, self._old = {}, self._young
        self._young[key + conversation.encode()] = now_s

    def again(self, key: bytes, conversation: str, now_s: float, within_s: float) -> bool:
        """Whether that was less than `within_s` ago."""
        place = key + conversation.encode()
        at_s = self._young.get(place) or self._old.get(place)
        return at_s is not None and now_s - at_s < within_s
