"""What plugins found in a text, remembered: agents resend the whole conversation, so a turn costs what is new in it.

Under which name: a 128-bit XXH3 of the text with a seed drawn per process (without one, colliding texts are constructed
at will), the role, the kind and whether the text is new in the call; and plugin, fingerprint of its options and model,
tenant. All of it is one number, each part of it a random one of this process. Only spans, scores, counts and masked
text are kept, never an original. Not shared between processes.

What is remembered is of two generations. What is asked for belongs to the young one; when that is full, it becomes the
old one, and what was old and not asked for since is forgotten: so a look-up changes nothing, in nearly every case.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import xxhash

from proxy.exchange import Exchange, Segment

ENTRIES = 65_536
GROUPS = 16_384
"""Of plugin, fingerprint and tenant. When there are more, all is forgotten."""


class Memory:
    """`plugin.MemoryKit`: bounded, what was not used for long goes first."""

    def __init__(self, entries: int = ENTRIES) -> None:
        self._most = max(1, entries // 2)
        """Of a generation."""
        self._seed = secrets.randbits(64)
        self._places: defaultdict[tuple[str, str, bool], int] = defaultdict(_drawn)
        self._groups: defaultdict[tuple[str, str, str], int] = defaultdict(_drawn)
        self._young: dict[int, Any] = {}
        self._old: dict[int, Any] = {}

    def recall(self, plugin: str, fingerprint: str, exchange: Exchange, segment: Segment) -> Any:
        """What was remembered of this text; None where nothing was."""
        key = self._groups[plugin, fingerprint, exchange.caller.tenant] ^ (segment.mark or self._marked(segment))
        found = self._young.get(key)
        return self._old_of(key) if found is None else found

    def recall_all(self, plugin: str, fingerprint: str, exchange: Exchange, segments: Sequence[Segment]) -> list[Any]:
        """As `recall`, for many texts at once: what is known of each of them, in their order."""
        group, marked = self._groups[plugin, fingerprint, exchange.caller.tenant], self._marked
        keys = [group ^ (segment.mark or marked(segment)) for segment in segments]
        known = list(map(self._young.get, keys))
        if None in known:
            known = [self._old_of(key) if found is None else found for key, found in zip(keys, known, strict=True)]
        return known

    def remember(self, plugin: str, fingerprint: str, exchange: Exchange, segment: Segment, found: Any) -> None:
        """`found`: spans, scores, counts or masked text; anything but None."""
        group = self._groups[plugin, fingerprint, exchange.caller.tenant]
        self._keep(group ^ (segment.mark or self._marked(segment)), found)
        if len(self._groups) > GROUPS:
            self._groups.clear()

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def _keep(self, key: int, found: Any) -> None:
        if len(self._young) >= self._most and key not in self._young:
            self._young, self._old = {}, self._young
        self._young[key] = found

    def _old_of(self, key: int) -> Any:
        """What only the old generation knows, which belongs to the young one from now on."""
        found = self._old.get(key)
        if found is not None:
            self._keep(key, found)
        return found

    def _marked(self, segment: Segment) -> int:
        """The number of a text at its place, which all share who remember something of it."""
        digest = xxhash.xxh3_128_intdigest(segment.original.encode("utf-8", "surrogatepass"), seed=self._seed)
        mark = segment.mark = digest ^ self._places[segment.role, segment.kind, segment.fresh]
        return mark


def _drawn() -> int:
    return secrets.randbits(128)
