"""What shorter texts are worth in money, net of the provider's cache: prices, and what it told of its cache."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from proxy.exchange import Exchange, Usage
from proxy.ports import Prices

AGENTS = 1024
SEEN = 3
"""So many answers of an agent must have told their usage before anything is inferred of its cache."""
LEAST_SHARE = 0.02
"""Below that nothing is cached of an agent's calls."""
WEIGHT = 0.2
"""Of the newest answer in the running shares."""
SAMPLE = 10_000
"""Tokens that prices are asked for: so many that nothing is lost to rounding, and too few for the prices of long calls,
the first of which begin at 32,000."""


@dataclass(slots=True)
class Account:
    """What the provider's cache did for an agent: shares of the input that were read from it, 0 to 1."""

    seen: int = 0
    share: float = 0.0
    """Of calls with turns of the assistant in them."""
    opening: float = 0.0
    """Of calls that begin a conversation, in tokens."""

    def learn(self, usage: Usage, opening: bool) -> None:
        whole = usage.input + usage.cache_read + usage.cache_write
        if not whole:
            return
        self.seen += 1
        if opening:
            self.opening += WEIGHT * (usage.cache_read - self.opening)
        else:
            self.share += WEIGHT * (usage.cache_read / whole - self.share)


@dataclass(frozen=True, slots=True)
class Rates:
    """Nano-dollars for `SAMPLE` tokens of input: as they are, read from the provider's cache, written to it."""

    plain: int
    read: int
    write: int


class Ledger:
    """Prices, and one account for each agent of a tenant; bounded."""

    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self._accounts: OrderedDict[tuple[str, str], Account] = OrderedDict()

    def account(self, exchange: Exchange) -> Account:
        key = (exchange.caller.tenant, exchange.caller.agent)
        found = self._accounts.get(key)
        if found is None:
            found = self._accounts[key] = Account()
            if len(self._accounts) > AGENTS:
                self._accounts.popitem(last=False)
        return found

    def rates(self, exchange: Exchange) -> Rates | None:
        """None where a price is not known."""
        target = exchange.target
        upstream, model = ("", exchange.request.model) if target is None else (target.upstream, target.model)
        found = []
        for usage in (Usage(input=SAMPLE), Usage(cache_read=SAMPLE), Usage(cache_write=SAMPLE)):
            cost, _ = self._prices.cost_nano_usd(upstream, model, usage, exchange.at_s)
            if cost is None:
                return None
            found.append(cost)
        return Rates(*found)

    def spared(self, rates: Rates | None, fresh: int, old: int, account: Account) -> int | None:
        """Nano-dollars for so many tokens less: of texts that are new in the call, and of those that a provider with
        a cache would have read from it: all of them, so that no saving is told that was none."""
        if rates is None:
            return None
        caches = account.seen < SEEN or account.share >= LEAST_SHARE
        return round((fresh * rates.plain + old * (rates.read if caches else rates.plain)) / SAMPLE)


def net(rates: Rates, cached: float, start: float, saved: float) -> float:
    """Nano-dollars won by making a text `saved` tokens shorter that begins `start` tokens into a prompt of which the
    provider has `cached` tokens in its cache: what lies behind the change is read at the full price once more."""
    behind = max(0.0, cached - start)
    spared = saved * (rates.read if behind else rates.plain)
    lost = max(0.0, behind - saved) * (rates.plain - rates.read)
    return (spared - lost) / SAMPLE
