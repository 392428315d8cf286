"""What a cache in shadow would have: which calls were answered when, and with how many tokens, but no answer."""

from __future__ import annotations

from typing import Any, Final

from proxy.exchange import Exchange, Saving

MOST: Final = 65_536


class Seen:
    """Bounded: when the young half is full, it becomes the old one, and what was old is forgotten."""

    __slots__ = ("_most", "_old", "_young")

    def __init__(self, most: int = MOST) -> None:
        self._most = most // 2
        self._young: dict[bytes, tuple[float, Saving]] = {}
        self._old: dict[bytes, tuple[float, Saving]] = {}

    def __bool__(self) -> bool:
        return bool(self._young)

    def note(self, key: bytes, at_s: float, saving: Saving) -> None:
        """This call was answered; one more answer to it saves so much."""
        if len(self._young) >= self._most:
            self._young, self._old = {}, self._young
        self._young[key] = (at_s, saving)

    def find(self, key: bytes, at_s: float, ttl_s: float) -> Saving | None:
        """What is saved where that was less than `ttl_s` ago."""
        found = self._young.get(key) or self._old.get(key)
        return found[1] if found is not None and at_s - found[0] < ttl_s else None

    def clear(self) -> None:
        self._young, self._old = {}, {}


def in_shadow(name: str, snapshot: Any, agent: Any) -> bool:
    """Whether the plugin of this name only watches the calls of an agent with these settings of its own."""
    mode = next((entry.mode for entry in snapshot.chain if entry.name == name), "enforce")
    if agent is not None:
        mode = agent.plugins.get(name, {}).get("mode") or mode
    return bool(mode == "shadow")


def of_call(name: str, exchange: Exchange) -> bool:
    """The same for the calls of this one's agent."""
    return in_shadow(name, exchange.snapshot, exchange.snapshot.agents.get(exchange.caller.agent))
