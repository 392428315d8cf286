"""An entry as an answer: what goes out once more, what is saved by it, and when an old one is better than none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from plugins.cache import echo
from plugins.cache.entry import Entry
from proxy.exchange import Exchange, Response, Saving, Usage
from proxy.ports import Prices

PIECE_BYTES: Final = 64 * 1024
"""Longer streams are given again in pieces of this size."""
PASSING: Final = frozenset({408, 409, 425, 429})
"""Statuses below 500 with which a provider says that it cannot answer now."""
STALE: Final = ("warning", '110 - "Response is Stale"')


def replayed(entry: Entry, mine: tuple[Any, ...] | None, age_s: float) -> Response:
    """The answer to a call that names this (`echo.named`), `age_s` seconds after it was made."""
    body = entry.body
    if mine is not None and mine != entry.named:
        body = echo.retold(body, entry.stream, mine)
    found = head(entry, age_s)
    if entry.stream:
        found.events = _pieces(body)
    else:
        found.body = body
    return found


def head(entry: Entry, age_s: float) -> Response:
    """The same without its body."""
    return Response(
        headers=[("age", str(int(age_s)))],
        usage=entry.usage,
        usage_source="none" if entry.usage is None else "cached",
        id=entry.id,
        model=entry.served,
        finish=entry.finish,
    )


def saved(entry: Entry, prices: Prices, at_s: float, plugin: str) -> Saving:
    """What giving it once more saves; reckoned once."""
    saving = entry.saving
    if saving is None:
        saving = saving_of(prices, entry.usage, entry.upstream, (entry.served, entry.model), at_s, plugin)
        entry.saving = saving
    return saving


def saving_of(
    prices: Prices, usage: Usage | None, upstream: str, models: Sequence[str], at_s: float, plugin: str
) -> Saving:
    """`models`: under which the price is looked for, one after the other."""
    if usage is None:
        return Saving(plugin, "hit")
    costs = (prices.cost_nano_usd(upstream, model, usage, at_s)[0] for model in models if model)
    cost = next((cost for cost in costs if cost is not None), None)
    return Saving(plugin, "hit", usage.total - usage.output, usage.output, cost)


def passes(exchange: Exchange) -> bool:
    """Whether the failure is none of the call's own: it would be answered another time."""
    status = 0 if exchange.response is None else exchange.response.status
    return not 400 <= status < 500 or status in PASSING


def _pieces(body: bytes) -> list[bytes]:
    if len(body) <= PIECE_BYTES:
        return [body]
    return [body[start : start + PIECE_BYTES] for start in range(0, len(body), PIECE_BYTES)]
