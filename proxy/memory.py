"""What plugins found in a text, remembered: agents resend the whole conversation, so a turn costs what is new in it.

The key is plugin, fingerprint of its options and model, tenant, role, kind, whether the text is new in the call, and a
128-bit XXH3 of the text with a seed drawn per process (without one, colliding texts are constructed at will). Only
spans, scores, counts and masked text are kept, never an original. Not shared between processes.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any

import xxhash

from proxy.exchange import Exchange, Segment

ENTRIES = 65_536


class Memory:
    """`ports.Memory`: bounded, the least recently used goes first."""

    def __init__(self, entries: int = ENTRIES) -> None:
        self._entries = entries
        self._seed = int.from_bytes(os.urandom(8))
        self._kept: OrderedDict[tuple[object, ...], Any] = OrderedDict()

    def recall(self, plugin: str, fingerprint: str, exchange: Exchange, segment: Segment) -> Any:
        """What was remembered of this text; None where nothing was."""
        key = self._key(plugin, fingerprint, exchange, segment)
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def remember(self, plugin: str, fingerprint: str, exchange: Exchange, segment: Segment, found: Any) -> None:
        """`found`: spans, scores, counts or masked text; anything but None."""
        self._kept[self._key(plugin, fingerprint, exchange, segment)] = found
        if len(self._kept) > self._entries:
            self._kept.popitem(last=False)

    def __len__(self) -> int:
        return len(self._kept)

    def _key(self, plugin: str, fingerprint: str, exchange: Exchange, segment: Segment) -> tuple[object, ...]:
        digest = xxhash.xxh3_128_intdigest(segment.original.encode("utf-8", "surrogatepass"), seed=self._seed)
        return (plugin, fingerprint, exchange.caller.tenant, segment.role, segment.kind, segment.fresh, digest)
