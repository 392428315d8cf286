"""Reservations of one process from buckets that many share: most are answered at once, from what is leased ahead.

Theory of operation
-------------------
Of every bucket that is in use here there is an `Account`. A reservation that all its accounts can cover is made on the
spot. Another waits: one script at a time (`scripts.LEASE`) carries what all who wait need, what is owed and what is
given back, and then those who wait are served in their order, or told how long it would take. Four times a second what
is owed or idle is settled with the store, and leases of slots are renewed. While the store is away nobody waits: what
then may be spent is the account's to say, and what was spent so is told when the store is back.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from proxy import ports
from proxy.errors import StoreDown
from proxy.ports import Allowance, Now
from proxy.store.account import Account, Order
from proxy.store.bucket import Taken, whole

PARTIES = "parties"
LIFE_S = 10.0
"""A process that was not heard of for so long is dead, and its slots are free."""
STRANGERS = 8
"""Processes that are taken to share the buckets, where the store has never been heard."""
TICK_S = 0.25
LOOK_S = 1.0
"""How often a bucket in use is asked how full it is."""
IDLE_S = 1.0
"""Leased units that nobody has used for so long are given back."""
FORGET_S = 60.0
ACCOUNTS = 20_000
BATCH = 128
WAITING = 10_000
"""Reservations that wait at once; beyond that they are answered as if the store were away."""

Send = Callable[[list[str], list[Any]], Awaitable[list[Any]]]
"""Runs `scripts.LEASE` with these keys and arguments. Raises StoreDown."""


@dataclass(slots=True)
class Waiter:
    accounts: list[Account]
    amounts: Sequence[int]
    told: asyncio.Future[ports.Taken]


class Leases:
    """One per store and process. Belongs to one event loop."""

    def __init__(self, send: Send, now: Now, on_change: Callable[[bool], None]) -> None:
        """`on_change` is told when the store goes away (True) and comes back."""
        self._send = send
        self._on_change = on_change
        self._now = now
        self._me = os.urandom(8).hex()
        self._accounts: OrderedDict[str, Account] = OrderedDict()
        self._waiting: deque[Waiter] = deque()
        self._short: set[str] = set()
        """Keys of accounts that should have more."""
        self._wake = asyncio.Event()
        self._work: asyncio.Task[None] | None = None
        self._active: dict[str, Account] = {}
        """Those of which there is something to measure, to tell or to renew."""
        self._ticked_s = now()
        self.parties = STRANGERS
        self.away = False
        """The store did not answer: what is spent is this process's share."""
        self.local = 0
        """Reservations that were made so."""

    def reserve(self, buckets: Sequence[Allowance], amounts: Sequence[int]) -> Taken | asyncio.Future[ports.Taken]:
        now_s = self._now()
        accounts = [self._account(each, now_s) for each in buckets]
        for account, amount in zip(accounts, amounts, strict=True):
            if amount > account.held - account.wanted:
                break
        else:
            return self._spent(accounts, amounts, now_s)
        if self.away or len(self._waiting) >= WAITING:
            return self._alone(accounts, amounts, now_s)
        return self._queued(accounts, amounts)

    def settle(self, buckets: Sequence[Allowance], amounts: Sequence[int]) -> None:
        now_s = self._now()
        for bucket, amount in zip(buckets, amounts, strict=True):
            self._account(bucket, now_s).spend(amount, now_s)
            if amount < 0 and bucket.slots:
                self._pass_on(bucket.key)

    async def stop(self) -> None:
        """Gives back what is held; those who wait are answered."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
            self._work = None
        for waiter in self._waiting:
            if not waiter.told.done():
                waiter.told.set_result(Taken(False, 1.0, tuple(0 for _ in waiter.amounts)))
        self._waiting.clear()
        for account in self._accounts.values():
            account.held += account.lent if account.bucket.slots else 0
            account.lent, account.wanted, account.pace = 0, 0, 0.0
        holding = [one for one in self._accounts.values() if one.held or one.owed]
        for start in range(0, len(holding), BATCH):
            if not await self._ask(holding[start : start + BATCH], idle=True):
                return

    # At once

    def _account(self, bucket: Allowance, now_s: float) -> Account:
        account = self._active.get(bucket.key) or self._accounts.get(bucket.key)
        if account is not None:
            if account.bucket is not bucket:
                account.resize(bucket)
            account.used_s = now_s
            self._active[bucket.key] = account
            return account
        if self._work is None:
            self._ticked_s = now_s
            self._work = asyncio.get_running_loop().create_task(self._run(), name="leases")
        account = Account(bucket, float(bucket.capacity), now_s, now_s)
        self._accounts[bucket.key] = self._active[bucket.key] = account
        if self.away:
            account.leave(self.parties, now_s)
        while len(self._accounts) > ACCOUNTS:
            self._active.pop(self._accounts.popitem(last=False)[0], None)
        return account

    def _spent(self, accounts: list[Account], amounts: Sequence[int], now_s: float) -> Taken:
        left = []
        for account, amount in zip(accounts, amounts, strict=True):
            account.spend(amount, now_s)
            spare = account.spare
            if spare and account.held < spare / 2 and account.bucket.key not in self._short:
                self._short.add(account.bucket.key)
                self._wake.set()
            left.append(whole(account.left(now_s)))
        return Taken(True, 0.0, tuple(left))

    def _alone(self, accounts: list[Account], amounts: Sequence[int], now_s: float) -> Taken:
        """While the store is away."""
        pairs = list(zip(accounts, amounts, strict=True))
        wait_s = max((one.alone(amount, self.parties, now_s) for one, amount in pairs), default=0.0)
        self.local += 1
        if wait_s <= 0:
            for account, amount in pairs:
                account.spend_alone(amount, now_s)
        return Taken(wait_s <= 0, wait_s, tuple(whole(one.held + one.extra) for one in accounts))

    def _pass_on(self, key: str) -> None:
        """A slot is free again: others may be short of it, where the store has none left."""
        account = self._accounts[key]
        if account.known < 1 and not self.away:
            self._short.add(key)
            self._wake.set()

    # Waiting for the store

    def _queued(self, accounts: list[Account], amounts: Sequence[int]) -> asyncio.Future[ports.Taken]:
        told: asyncio.Future[ports.Taken] = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiter(accounts, amounts, told))
        for account, amount in zip(accounts, amounts, strict=True):
            account.wanted += amount
            self._short.add(account.bucket.key)
        self._wake.set()
        return told

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(max(0.0, self._ticked_s + TICK_S - self._now())):
                    await self._wake.wait()
            except TimeoutError:
                await self._tick()
            self._wake.clear()
            if not self.away:
                await self._serve()

    async def _serve(self) -> None:
        """Leases what those who wait need, and more where it runs short."""
        asked, self._short = self._short, set()
        count = len(self._waiting)
        accounts = [self._accounts[key] for key in asked if key in self._accounts]
        for start in range(0, len(accounts), BATCH):
            if not await self._ask(accounts[start : start + BATCH]):
                break
        self._answer(count)

    def _answer(self, count: int) -> None:
        """Those who waited before the store was asked, in their order."""
        now_s = self._now()
        for waiter in [self._waiting.popleft() for _ in range(count)]:
            for account, amount in zip(waiter.accounts, waiter.amounts, strict=True):
                account.wanted -= amount
            if waiter.told.done():  # who asked has gone
                continue
            if self.away:
                waiter.told.set_result(self._alone(waiter.accounts, waiter.amounts, now_s))
                continue
            pairs = list(zip(waiter.accounts, waiter.amounts, strict=True))
            if all(amount <= account.held for account, amount in pairs):
                waiter.told.set_result(self._spent(waiter.accounts, waiter.amounts, now_s))
                continue
            waits = [one.wait_s(amount, now_s) for one, amount in pairs if amount > one.held]
            left = tuple(whole(one.left(now_s)) for one in waiter.accounts)
            waiter.told.set_result(Taken(False, max(max(waits), 0.001), left))
            for account in waiter.accounts:  # what was granted for nothing goes back, for others may need it
                if account.held > 2 * account.spare + 1 + account.wanted:
                    self._short.add(account.bucket.key)
                    self._wake.set()
        if self._waiting:
            self._wake.set()

    async def _ask(self, accounts: list[Account], *, again: bool = False, idle: bool = False) -> bool:
        """One script. False where the store did not answer: it is away from then on."""
        now_s = self._now()
        orders = [account.order(again=again, idle=idle, now_s=now_s) for account in accounts]
        keys, arguments = [PARTIES], [self._me, LIFE_S]
        for account, order in zip(accounts, orders, strict=True):
            keys.append(account.bucket.key)
            arguments += _said(account, order)
        try:
            parties, *found = await self._send(keys, arguments)
        except StoreDown:
            for account, order in zip(accounts, orders, strict=True):
                account.unheard(order)
            self._left()
            return False
        self.parties = max(1, int(parties))
        now_s = self._now()
        for place, (account, order) in enumerate(zip(accounts, orders, strict=True)):
            account.heard(order, int(found[2 * place]), float(found[2 * place + 1]), now_s)
        return True

    def doubt(self) -> None:
        """Another server answers than before: it may have forgotten the last there was. As if it had been away: what is
        known here is told before anything is leased anew. Where nothing is, there is nothing to doubt (and nobody who
        would come back)."""
        if self._accounts:
            self._left()

    def _left(self) -> None:
        if self.away:
            return
        now_s = self._now()
        for account in self._accounts.values():
            account.leave(self.parties, now_s)
        self._turned(True)

    # Now and then

    async def _tick(self) -> None:
        now_s = self._now()
        passed_s, self._ticked_s = now_s - self._ticked_s, now_s
        active = list(self._active.values())
        for account in active:
            account.measure(passed_s)
        if self.away:
            await self._return()
            return
        due = [one for one in active if _due(one, now_s)]
        for idle in (True, False):
            some = [one for one in due if (now_s - one.used_s >= IDLE_S) is idle]
            for start in range(0, len(some), BATCH):
                if not await self._ask(some[start : start + BATCH], idle=idle):
                    return
        self._forget(now_s)

    async def _return(self) -> None:
        """Everything that was spent meanwhile is told before anything is leased anew."""
        accounts = list(self._accounts.values())
        for start in range(0, max(1, len(accounts)), BATCH):
            if not await self._ask(accounts[start : start + BATCH], again=True):
                return
        self._turned(False)

    def _turned(self, away: bool) -> None:
        self.away = away
        self._on_change(away)

    def _forget(self, now_s: float) -> None:
        for key in [key for key, one in self._active.items() if _over(one, now_s, LIFE_S)]:
            del self._active[key]
        some = list(islice(self._accounts.items(), 4 * BATCH))
        for key, account in some:
            if key not in self._active and _over(account, now_s, FORGET_S):
                del self._accounts[key]
            else:
                self._accounts.move_to_end(key)  # so that all have their turn


def _due(account: Account, now_s: float) -> bool:
    """Whether the store is to be told or asked of it."""
    if account.owed or account.held < 0:
        return True
    idle_s, unseen_s = now_s - account.used_s, now_s - account.known_s
    if account.bucket.slots and (account.lent or account.held):
        return unseen_s >= LOOK_S
    if account.held >= 1 and (idle_s >= IDLE_S or account.held > 2 * account.spare + 1):
        return True
    return idle_s < LIFE_S and unseen_s >= LOOK_S


def _over(account: Account, now_s: float, after_s: float) -> bool:
    """Whether it has nothing to say and nobody has used it for so long."""
    used = account.owed or account.lent or account.wanted or abs(account.held) >= 1
    return not used and now_s - account.used_s >= after_s


def _said(account: Account, order: Order) -> list[Any]:
    bucket = account.bucket
    return [
        "slots" if bucket.slots else "rate", bucket.capacity, repr(bucket.refill_per_s), math.ceil(bucket.ttl_s * 1000),
        order.need, order.wish, repr(order.charge), "" if order.cap is None else repr(order.cap),
    ]  # fmt: skip
