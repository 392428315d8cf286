"""A call for embeddings, input by input: what each is, and what it and its vector are known by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import orjson

from proxy.exchange import Exchange, Json

IGNORED: Final = frozenset({"input", "model", "encoding_format", "user", "stream"})
"""What does not change a vector, or stands in its key another way."""
FORMATS: Final = frozenset({"float", "base64"})
KEY_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Inputs:
    """`keys[i]` is what `items[i]` is known by: a text, or a list of tokens."""

    items: list[Json]
    keys: list[bytes]
    form: str
    """float or base64."""
    scope: bytes
    """Calls with the same may be put together: they differ in their inputs alone."""


def inputs(exchange: Exchange, doc: Json, secret: bytes) -> Inputs | None:
    """None where the call is not understood: then it is the provider's to judge. Needs `exchange.target`."""
    target, caller = exchange.target, exchange.caller
    assert target is not None
    form = doc.get("encoding_format") or "float"
    items = listed(doc.get("input"))
    if not items or form not in FORMATS:
        return None
    others = sorted((name, value) for name, value in doc.items() if name not in IGNORED)
    try:
        place = orjson.dumps([caller.tenant, target.upstream, target.model, exchange.request.path, others])
        whole = orjson.dumps([form, caller.agent, caller.key, caller.credential, caller.user, doc.get("user")])
        keys = [_hashed(place, orjson.dumps(item), secret) for item in items]
    except TypeError:
        return None
    return Inputs(items, keys, form, _hashed(place, whole, secret))


def listed(given: Any) -> list[Json]:
    """The inputs one by one; none where they are not what the dialect knows."""
    if isinstance(given, str):
        return [given] if given else []
    if not isinstance(given, list) or not given:
        return []
    if all(type(each) is int for each in given):
        return [given]
    texts = all(isinstance(each, str) and each for each in given)
    return given if texts or all(map(_tokens, given)) else []


def _tokens(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(each) is int for each in value)


def _hashed(place: bytes, item: bytes, secret: bytes) -> bytes:
    hashed = hashlib.blake2b(key=secret, digest_size=KEY_BYTES)
    hashed.update(len(place).to_bytes(8, "little"))
    hashed.update(place)
    hashed.update(item)
    return hashed.digest()
