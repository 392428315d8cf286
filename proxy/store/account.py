"""What one process holds of a shared bucket: leased ahead, spent, owed, and its share while the store is away. Pure.

Units that are leased have left the shared bucket, so spending them can never be too much. Beyond them a process may
spend only while the store is away: at first `AWAY_SHARE` of the capacity divided by all processes (and no more than its
part of what was left), then its part of what would be refilled. What it spent so is owed, and told when the store is
back. So, in any time: taken <= capacity + refill + AWAY_SHARE * capacity for each time the store was away. Who has the
buckets alone may spend all that was left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from proxy.ports import Allowance
from proxy.store.bucket import ROUNDING

AWAY_SHARE = 0.1
"""Of a bucket's capacity, for all processes together, each time the store goes away."""
SPARE_PART = 32
"""A process leases at most this part of a capacity ahead of what it needs."""
AHEAD_S = 0.1
"""It leases what it takes in this time."""


class Order(NamedTuple):
    """What is asked of the shared bucket. `need` is for those who wait, `wish` as well for those to come; `charge` is
    taken whatever is left (negative: given back); `cap` is the most there can be, where the store may have forgotten.
    For slots `charge` is how many stay with this process, and `need` and `wish` include them."""

    need: int
    wish: int
    charge: float
    cap: float | None
    owed: float
    """The part of `charge` that must not be lost."""


@dataclass(slots=True)
class Account:
    bucket: Allowance
    known: float
    """Units in the shared bucket when it was last heard of."""
    known_s: float
    used_s: float
    held: float = 0.0
    """Leased and not spent; below zero, spent without a lease."""
    lent: int = 0
    """Slots in use."""
    owed: float = 0.0
    """Spent without a lease, and to be told."""
    extra: float = 0.0
    """What is left of the share while the store is away."""
    extra_s: float = 0.0
    met: bool = False
    """The store has told of it before."""
    pace: float = 0.0
    """Units per second that are taken here, of late."""
    taken: float = 0.0
    wanted: int = 0
    """By those who wait for the store."""

    @property
    def spare(self) -> int:
        """What is leased ahead; nothing where little is left, for others may need it."""
        if self.known < self.bucket.capacity / 4:
            return 0
        soon = max(self.pace * AHEAD_S, self.taken / 2)  # (who begins is soon on the way)
        return int(min(self.bucket.capacity / SPARE_PART, soon))

    def resize(self, bucket: Allowance) -> None:
        """The same bucket under new settings."""
        self.known += bucket.capacity - self.bucket.capacity
        self.bucket = bucket

    def left(self, now_s: float) -> float:
        """Units to be had, as far as this process knows: what it holds may since have come back to the shared ones."""
        return min(float(self.bucket.capacity), self.held + self.shared(now_s))

    def shared(self, now_s: float) -> float:
        """Units in the shared bucket, as it should be by now."""
        bucket = self.bucket
        return min(float(bucket.capacity), self.known + max(0.0, now_s - self.known_s) * bucket.refill_per_s)

    def spend(self, amount: int, now_s: float) -> None:
        """Of what is held."""
        self.held -= amount
        self.taken += max(0, amount)
        self.used_s = now_s
        if self.bucket.slots:
            self.lent += amount

    def wait_s(self, amount: int, now_s: float) -> float:
        """Until `amount` could be had; infinite for never, or where nobody can say."""
        rate = self.bucket.refill_per_s
        if amount > self.bucket.capacity or rate <= 0:
            return math.inf
        return max(0.0, amount - self.left(now_s)) / rate

    # While the store is away

    def leave(self, parties: int, now_s: float) -> None:
        """The store is away: from here on this process has its share alone."""
        capacity = self.bucket.capacity
        share = max(0.0, self.shared(now_s))
        if parties > 1:
            share = min(share, capacity * AWAY_SHARE) / parties
        self.extra = math.floor(share) if self.bucket.slots else share
        self.extra_s = now_s

    def alone(self, amount: int, parties: int, now_s: float) -> float:
        """Seconds until `amount` may be spent while the store is away; 0 for now."""
        bucket = self.bucket
        rate = bucket.refill_per_s / parties
        most = bucket.capacity / parties
        if rate > 0:
            self.extra = max(self.extra, min(most, self.extra + max(0.0, now_s - self.extra_s) * rate))
        self.extra_s = now_s
        missing = amount - self.held - self.extra
        if amount <= 0 or missing <= ROUNDING:
            return 0.0
        return missing / rate if rate > 0 and amount <= most + max(0.0, self.held) else math.inf

    def spend_alone(self, amount: int, now_s: float) -> None:
        """What `alone` has allowed."""
        beyond = max(0.0, amount - max(0.0, self.held))
        self.spend(amount, now_s)
        if beyond and not self.bucket.slots:  # (slots come back to where they were taken)
            self.extra = max(0.0, self.extra - beyond)
            self.held += beyond
            self.owed += beyond

    # Talking to the store

    def order(self, *, again: bool, idle: bool, now_s: float) -> Order:
        """What is to be asked now; what is given back is gone from here at once. `again`: the store was away.
        `idle`: nobody has used it for a while, so that nothing is held ahead."""
        keep = 0 if idle else self.spare
        if self.bucket.slots:
            self.held = max(0.0, min(self.held, keep))  # (below zero: in use without a lease, which is now told)
            stays = self.lent + math.floor(self.held)
            need = stays + max(0, math.ceil(self.wanted - self.held))
            return Order(need, max(need, self.lent + self.wanted + keep), stays, None, 0.0)
        if self.held < 0:
            self.owed -= self.held
            self.held = 0.0
        surplus = max(0.0, self.held - keep - self.wanted)
        self.held -= surplus
        owed, self.owed = self.owed, 0.0
        need = max(0, math.ceil(self.wanted - self.held))
        wish = max(need, math.ceil(self.wanted + keep - self.held) if self.held < keep / 2 or need else 0)
        cap = self.shared(now_s) if again and self.met else None
        return Order(need, wish, owed - surplus, cap, owed)

    def heard(self, order: Order, grant: int, level: float, now_s: float) -> None:
        """What the store has said to an order."""
        self.held += grant - order.charge if self.bucket.slots else grant
        self.known, self.known_s, self.met, self.extra = level, now_s, True, 0.0

    def unheard(self, order: Order) -> None:
        """Nobody knows whether the store took it: what is owed is told once more, what was given back is not."""
        self.owed += order.owed

    def measure(self, passed_s: float) -> None:
        """The pace, from what was taken since the last time."""
        if passed_s > 0:
            self.pace += 0.5 * (self.taken / passed_s - self.pace)
            self.taken = 0.0
