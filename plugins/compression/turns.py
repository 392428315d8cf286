"""What was decided of the texts of a conversation, so that its prefix stays the same bytes over all turns."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from plugins.compression.cut import Cut
from proxy.ports import Store

CONVERSATIONS = 4096
DIGESTS = 512
"""Of one conversation; past that the oldest decisions are forgotten, and their texts stay as they come."""
DIGEST_BYTES = 8
TTL_S = 6 * 3600.0


@dataclass(slots=True)
class Turn:
    """What was decided in one conversation, by the digests of the texts."""

    done: OrderedDict[bytes, None] = field(default_factory=OrderedDict)
    """These were sent shorter."""
    kept: OrderedDict[bytes, None] = field(default_factory=OrderedDict)
    """These were sent as they came."""
    extracts: OrderedDict[bytes, int] = field(default_factory=OrderedDict)
    """Of these an extract was sent, of so many tokens."""
    cuts: tuple[Cut, ...] = ()
    """These messages were dropped."""
    mark: bytes = b""
    """Stands for them."""
    summarised: bool = False
    user: str = ""

    def keep(self, digest: bytes) -> None:
        _bounded(self.kept, digest)

    def do(self, digest: bytes) -> None:
        _bounded(self.done, digest)


Key = tuple[str, str]
"""Tenant and conversation."""


class Turns:
    """The conversations of late, in this process; what was made shorter is told to the others through the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turns: OrderedDict[Key, Turn] = OrderedDict()

    def of(self, key: Key) -> Turn | None:
        found = self._turns.get(key)
        if found is not None:
            self._turns.move_to_end(key)
        return found

    def begin(self, key: Key) -> Turn:
        found = self._turns.get(key)
        if found is None:
            found = self._turns[key] = Turn()
            if len(self._turns) > CONVERSATIONS:
                self._turns.popitem(last=False)
        return found

    def forget(self, user: str) -> int:
        """What was decided of this user's conversations, with the summaries in it."""
        found = [key for key, turn in self._turns.items() if turn.user == user]
        for key in found:
            del self._turns[key]
        return len(found)

    async def told(self, key: Key) -> frozenset[bytes] | None:
        """What other processes made shorter in this conversation; None where they know nothing of it. May raise
        StoreDown."""
        raw = await self._store.get(_name(key))
        if raw is None:
            return None
        return frozenset(raw[at : at + DIGEST_BYTES] for at in range(0, len(raw), DIGEST_BYTES))

    async def tell(self, key: Key, digests: Iterable[bytes]) -> None:
        """May raise StoreDown."""
        known = await self.told(key) or frozenset()
        whole = b"".join([*known, *(one for one in digests if one not in known)])
        await self._store.put(_name(key), whole[-DIGESTS * DIGEST_BYTES :], TTL_S)


def _name(key: Key) -> str:
    return "compression:" + ":".join(key)


def _bounded(of: OrderedDict[bytes, None], digest: bytes) -> None:
    of[digest] = None
    if len(of) > DIGESTS:
        of.popitem(last=False)
