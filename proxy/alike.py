"""What calls still have in common that were alike when they began, and have been sent on to another target."""

from __future__ import annotations

import orjson
import xxhash

from proxy.exchange import Exchange


def onward(exchange: Exchange, key: str) -> str:
    """The flight (`key`: of the one before) of calls that are sent on to the same target and would still send the same:
    what plugins have changed since is no other's. Empty where that cannot be told."""
    target, request = exchange.target, exchange.request
    try:
        doc = {**request.present(), "model": None}
        body = xxhash.xxh3_128_hexdigest(orjson.dumps(doc, option=orjson.OPT_SORT_KEYS))
    except TypeError:  # integers of more than 64 bits
        return ""
    return "" if target is None else f"{key} {body} {target.upstream}/{target.model}"
