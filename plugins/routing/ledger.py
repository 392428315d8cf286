"""What a choice spared, net: the asked model at the measured usage, less the one that served and what was tried."""

from __future__ import annotations

from dataclasses import dataclass, replace

from proxy.exchange import Exchange, Response, Saving, Target, Usage
from proxy.ports import Prices

NOT_OURS = frozenset({"HIT", "SEMANTIC", "COALESCED"})
"""Of such calls nothing was asked of a provider: others count what that spared."""


@dataclass(slots=True)
class Account:
    """What has to be known of a call to say what its route spared."""

    asked: Target
    chosen: Target
    risk: str = ""
    """What is risked; empty: that the model is not good enough."""
    name: str = ""
    """Of the model that was chosen."""
    likely: float = 1.0
    """The chance that it is good enough."""
    left_tokens: int = 0
    """Of the prompt, that the model which the conversation leaves has in its provider's cache."""
    tried_nano_usd: int | None = 0
    """What answers cost that were not good enough; None: not known."""
    tried_tokens: tuple[int, int] = (0, 0)
    """Of those answers, in and out."""


def tried(account: Account, exchange: Exchange, prices: Prices) -> None:
    """Takes down an answer that is thrown away."""
    if exchange.response is not None and exchange.response.usage_source == "cached":  # another call pays for it
        return
    usage = exchange.response.usage if exchange.response is not None else None
    if usage is None or exchange.target is None:
        account.tried_nano_usd = None
        return
    cost = _cost(prices, exchange.target, usage, exchange.at_s, exchange.response.model if exchange.response else "")
    account.tried_nano_usd = None if cost is None or account.tried_nano_usd is None else account.tried_nano_usd + cost
    tokens_in, tokens_out = account.tried_tokens
    account.tried_tokens = (tokens_in + _prompt(usage), tokens_out + usage.output)


def saving(account: Account, exchange: Exchange, prices: Prices) -> Saving | None:
    """What the route spared (below 0: cost more), or would have in shadow, where the asked model served. None where
    nothing was asked of another model, or nobody knows what it took."""
    if exchange.cache in NOT_OURS:
        return _beside(account, exchange, prices)
    response, shadow = exchange.response, not exchange.attempts
    served = account.chosen if shadow else exchange.target
    if served is None or response is None or response.usage is None or not billed(exchange, response):
        return _lost(account)
    if account.tried_tokens == (0, 0) and (served is account.asked or served == account.asked):
        return None
    usage = response.usage
    asked_usage, served_usage = (usage, usage) if served == account.asked else _usages(account, usage, shadow=shadow)
    named = "" if shadow else response.model
    asked = _cost(prices, account.asked, asked_usage, exchange.at_s, named if served == account.asked else "")
    cost = _cost(prices, served, served_usage, exchange.at_s, named)
    known = asked is not None and cost is not None and account.tried_nano_usd is not None
    spared = (asked or 0) - (cost or 0) - (account.tried_nano_usd or 0) if known else None
    return _told(account, spared)


def _beside(account: Account, exchange: Exchange, prices: Prices) -> Saving | None:
    """Of a call that got an answer which was there: whoever had it counts what the model that made it would have taken;
    what the asked one would have taken beyond that, the route has spared."""
    response = exchange.response
    served = exchange.target if exchange.cache == "COALESCED" else account.chosen
    if served is None or response is None or response.usage is None or response.usage_source != "cached":
        return _lost(account)
    if served == account.asked:
        return _lost(account)
    asked = _cost(prices, account.asked, response.usage, exchange.at_s)
    cost = _cost(prices, served, response.usage, exchange.at_s, response.model)
    if asked is None or cost is None or account.tried_nano_usd is None:
        return _told(account, None)
    return _told(account, asked - cost - account.tried_nano_usd)


def _lost(account: Account) -> Saving | None:
    """Nothing was asked after an answer that was thrown away, or failed: that one was for nothing."""
    tried = account.tried_nano_usd
    return None if account.tried_tokens == (0, 0) else _told(account, None if tried is None else -tried)


def _told(account: Account, spared: int | None) -> Saving:
    tokens_in, tokens_out = account.tried_tokens
    risk = account.risk or f"{account.name} is good enough with {account.likely:.0%}"
    return Saving("routing", "routed", -tokens_in, -tokens_out, spared, risk)


def billed(exchange: Exchange, response: Response) -> bool:
    """A provider made this answer, for this call."""
    if response.source != "upstream" or response.usage_source == "cached" or exchange.cache in NOT_OURS:
        return False
    return response.status < 400


def _usages(account: Account, usage: Usage, *, shadow: bool) -> tuple[Usage, Usage]:
    """What the asked model would have counted, and what the one that serves: whoever is new to a conversation has
    nothing of it in its cache, and the one that is left would have had."""
    if not account.left_tokens:
        return usage, usage
    prompt = _prompt(usage)
    if shadow:
        return usage, replace(usage, input=prompt - usage.cache_write, cache_read=0)
    kept = min(account.left_tokens, prompt)
    return replace(usage, input=prompt - kept, cache_read=kept, cache_write=0), usage


def _prompt(usage: Usage) -> int:
    return usage.input + usage.cache_read + usage.cache_write


def _cost(prices: Prices, target: Target, usage: Usage, at_s: float, named: str = "") -> int | None:
    """`named`: the model, as its answer names it; empty: nobody has answered."""
    cost = prices.cost_nano_usd(target.upstream, named, usage, at_s)[0] if named and named != target.model else None
    return cost if cost is not None else prices.cost_nano_usd(target.upstream, target.model, usage, at_s)[0]
